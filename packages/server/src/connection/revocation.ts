import type { Writable } from 'node:stream';
import { allowsScope, CloseCode, type OperatorScope } from '@openclaw/protocol';
import type { PairedDevices } from './paired-devices.ts';
import type { Credential, Identity } from './peer.ts';
import type { Prover } from './proof.ts';

/** A connection, as revocation sees it. */
export interface Revocable {
  /** Whether it was let in, so that it has an identity. */
  readonly isGranted: boolean;
  readonly isOpen: boolean;
  readonly identity: Identity;
  narrow(scopes: ReadonlySet<string>): void;
  close(code: number, reason: string): void;
}

/** The answer to an HTTP request. */
export type Cuttable = Pick<Writable, 'once' | 'destroy' | 'destroyed'>;

/** What is left of what a connection was let in with. */
type Standing = { is: 'gone'; reason: string } | { is: 'left'; scopes: readonly string[] };

/** Cuts connections whose credential was taken away, and takes from others what they may not do any more. */
export class Revocation {
  readonly #prover: Prover;
  readonly #devices: PairedDevices;
  readonly #connections: () => Iterable<Revocable>;
  /** What HTTP requests came in with that are not answered yet: that may take as long as a run. A socket may carry several. */
  readonly #requests = new Map<Cuttable, { credential: Credential; scope: OperatorScope }>();

  constructor({
    prover,
    devices,
    connections,
  }: {
    prover: Prover;
    devices: PairedDevices;
    connections: () => Iterable<Revocable>;
  }) {
    this.#prover = prover;
    this.#devices = devices;
    this.#connections = connections;
  }

  /** Cuts the answer when the credential of its request does not allow `scope` any more. */
  watch(response: Cuttable, credential: Credential, scope: OperatorScope): void {
    // It may have been left while its credential was judged: then nobody would tell of its end any more.
    if (response.destroyed) return;
    if (!this.#requests.has(response)) response.once('close', () => this.#requests.delete(response));
    this.#requests.set(response, { credential, scope });
  }

  /** Looks at every connection and request again; to be called once what was taken away is committed. */
  review(): void {
    for (const connection of this.#granted()) {
      const standing = this.#standing(connection.identity);
      if (standing.is === 'gone') {
        connection.close(CloseCode.credentialRevoked, standing.reason);
        continue;
      }
      const { scopes } = connection.identity;
      const left = narrowed(scopes, standing.scopes);
      if (left.size < scopes.size) connection.narrow(left);
    }
    for (const [response, { credential, scope }] of this.#requests) {
      if (!allowsScope(new Set(this.#prover.allowed(credential)), scope)) response.destroy();
    }
  }

  /** Does the same, and cuts every connection of a device, whatever it came in with. */
  cutDevice(deviceId: string): void {
    this.review();
    for (const connection of this.#granted()) {
      if (connection.identity.deviceId === deviceId) connection.close(CloseCode.credentialRevoked, deviceRemoved);
    }
  }

  /** Devices that are connected. */
  connectedDevices(): Set<string> {
    const connected = new Set<string>();
    for (const { identity } of this.#granted()) if (identity.deviceId !== undefined) connected.add(identity.deviceId);
    return connected;
  }

  *#granted(): Iterable<Revocable> {
    for (const connection of [...this.#connections()]) if (connection.isOpen && connection.isGranted) yield connection;
  }

  #standing({ credential, deviceId, scopes }: Identity): Standing {
    // A local peer: this process answers for it.
    if (!credential) return { is: 'left', scopes: [...scopes] };
    const allowed = this.#prover.allowed(credential);
    if (!allowed) return { is: 'gone', reason: credential.kind === 'device' ? deviceRemoved : 'credential revoked' };
    // A token says all by itself; whoever came in otherwise was paired on the way, and is no more than its device.
    if (deviceId === undefined || credential.kind === 'token' || credential.kind === 'device')
      return { is: 'left', scopes: allowed };
    const device = this.#devices.get(deviceId);
    if (!device) return { is: 'gone', reason: deviceRemoved };
    return { is: 'left', scopes: [...narrowed(new Set(allowed), device.scopes)] };
  }
}

/** v4's words, for a device's tokens as well. */
const deviceRemoved = 'device removed';

/** Those of `scopes` that `allowed` allows. */
export function narrowed(scopes: ReadonlySet<string>, allowed: readonly string[]): Set<string> {
  const held = new Set(allowed);
  return new Set([...scopes].filter((scope) => allowsScope(held, scope as OperatorScope)));
}
