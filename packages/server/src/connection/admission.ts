import { type Clock, CloseCode } from '@openclaw/protocol';
import { ConnectRefusal } from './connect-refusal.ts';
import { addressKey } from './failed-attempts.ts';
import type { ConnectionLimits } from './limits.ts';
import type { Remote } from './origin.ts';
import type { Identity } from './peer.ts';
import { KeyedRate } from './rate-limit.ts';

/** Gives back the place that a connection holds. To be called once. */
export type Seat = () => void;

/** Whether there is room for one more: of an address, a device, a principal, and how fast one address may knock. */
export class Admission {
  readonly #limits: ConnectionLimits;
  readonly #handshakes: KeyedRate;
  readonly #counts = new Map<string, number>();

  /** `limits` is read at each question, so that a change counts at once. */
  constructor({ limits, clock }: { limits: ConnectionLimits; clock: Clock }) {
    this.#limits = limits;
    this.#handshakes = new KeyedRate(clock, () => ({
      perSecond: limits.handshakesPerSecond,
      burst: limits.handshakeBurst,
    }));
  }

  /** Notes that an address knocks; how long it has to wait, in ms, when that is too often. */
  knock({ address, isLoopback }: Remote): number | undefined {
    return isLoopback ? undefined : this.#handshakes.take(addressKey(address));
  }

  /** Refuses an address that has all its seats: asked before a credential is looked at, so that no one-use code is used up. */
  assertRoom(remote: Remote, hasStreams: boolean): void {
    this.#assertFree(this.#ofAddress(remote), hasStreams);
  }

  /** Refuses a device or principal that has all its seats: asked before it is paired or its code is used up. */
  assertSeat(who: Sitter, hasStreams: boolean): void {
    this.#assertFree([this.#of(who)], hasStreams);
  }

  /** A seat for a connection that was let in. Throws a {@link ConnectRefusal} when its address, device or principal has all of its. */
  seat(who: Sitter, remote: Remote, hasStreams: boolean): Seat {
    const wanted: Wanted[] = [...this.#ofAddress(remote), this.#of(who)];
    this.#assertFree(wanted, hasStreams);
    for (const { key } of wanted) this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    return () => {
      for (const { key } of wanted) {
        const count = (this.#counts.get(key) ?? 0) - 1;
        if (count > 0) this.#counts.set(key, count);
        else this.#counts.delete(key);
      }
    };
  }

  /** A device is a principal of its own, with the narrower limit. */
  #of({ principal, deviceId }: Sitter): Wanted {
    const { maxConnectionsPerPrincipal, maxConnectionsPerDevice } = this.#limits;
    return deviceId === undefined
      ? { key: `principal:${principal}`, max: maxConnectionsPerPrincipal, whose: 'this principal' }
      : { key: `device:${deviceId}`, max: maxConnectionsPerDevice, whose: 'this device' };
  }

  /** The machine's own programs can't be told apart by address, and one of them must not lock out the others. */
  #ofAddress({ address, isLoopback }: Remote): Wanted[] {
    if (isLoopback) return [];
    return [{ key: addressKey(address), max: this.#limits.maxConnectionsPerAddress, whose: 'this address' }];
  }

  #assertFree(wanted: readonly Wanted[], hasStreams: boolean): void {
    const full = wanted.find(({ key, max }) => (this.#counts.get(key) ?? 0) >= max);
    if (full)
      throw tooManyConnections(hasStreams, `too many connections of ${full.whose}; close some, or try again later`);
  }
}

/** Who takes a seat. */
export type Sitter = Pick<Identity, 'principal' | 'deviceId'>;

interface Wanted {
  key: string;
  max: number;
  whose: string;
}

/** The refusal of a connection for which there is no room. */
export function tooManyConnections(
  hasStreams: boolean,
  message = 'too many connections; try again later',
): ConnectRefusal {
  return new ConnectRefusal('UNAVAILABLE', message, {
    closeCode: hasStreams ? CloseCode.tooManyConnections : CloseCode.tryAgainLater,
    details: { code: 'AUTH_TOO_MANY_CONNECTIONS' },
    retryAfterMs: 5_000,
  });
}
