import { randomUUID } from 'node:crypto';
import { allowsScope, type PairingRequest, type PairingState, type Payload } from '@openclaw/protocol';
import type { CommittedEvent } from '../streams/committed-event.ts';
import type { Stream, StreamLog } from '../streams/stream-log.ts';
import type { Peer } from './peer.ts';

type PairingStream = Stream & { state: PairingState; committedState: PairingState };

/** What a device asks for; the rest of a request is added here. */
export type PairingAsked = Omit<PairingRequest, 'requestId' | 'ts'>;
/** How a request ended. */
export type PairingDecision = Payload<'device.pair.resolved'>['decision'];

export interface PairingOptions {
  log: StreamLog;
  now: () => number;
  elapsed: () => number;
}

/** How long a device waits for an answer, in ms. */
const waitMs = 3_600_000;
/** Devices that wait at a time; the one that has waited longest makes room. */
const maxPending = 50;
const maxSettled = 128;

/** Devices that wait to be let in: a stream of its own, so that an operator can be asked wherever one is, kept over a restart. */
export class Pairing {
  readonly #log: StreamLog;
  readonly #now: () => number;
  readonly #elapsed: () => number;
  /** When the time of each is over, on the monotonic clock: a wall clock that is set refuses nobody. */
  readonly #deadlines = new Map<string, number>();
  /** Answers that were given lately, for those who ask again after a drop. */
  readonly #settled = new Map<string, { deviceId: string; decision: PairingDecision }>();
  #stream: PairingStream | undefined;

  constructor({ log, now, elapsed }: PairingOptions) {
    this.#log = log;
    this.#now = now;
    this.#elapsed = elapsed;
  }

  /** Brings the stream into memory; called once. */
  async start(): Promise<void> {
    this.#stream = (await this.#log.open('pairing')) as PairingStream;
  }

  /** Those that wait, oldest first. */
  get pending(): readonly PairingRequest[] {
    return this.#stream?.state.pending ?? [];
  }

  /** Those that wait as far as they are committed. */
  get committed(): readonly PairingRequest[] {
    return this.#stream?.committedState.pending ?? [];
  }

  find(requestId: string): PairingRequest | undefined {
    return this.pending.find((request) => request.requestId === requestId);
  }

  /** How a request ended that is not waiting any more; undefined when that is not known (any more). */
  settled(requestId: string): { deviceId: string; decision: PairingDecision } | undefined {
    return this.#settled.get(requestId);
  }

  /** The request of this device for exactly this, if it waits already. */
  waiting(asked: Pick<PairingAsked, 'deviceId' | 'role' | 'scopes'>): PairingRequest | undefined {
    const known = this.pending.find(({ deviceId }) => deviceId === asked.deviceId);
    if (!known || known.role !== asked.role) return undefined;
    const [before, now] = [known.scopes ?? [], asked.scopes ?? []];
    return before.length === now.length && now.every((scope) => before.includes(scope)) ? known : undefined;
  }

  /** Asks, in place of what the device asked for before. Asking for the same again is no new request. */
  ask(asked: PairingAsked): PairingRequest {
    const known = this.waiting(asked);
    if (known) return known;
    const others = this.pending.filter(({ deviceId }) => deviceId !== asked.deviceId);
    for (const oldest of others.slice(0, Math.max(0, others.length - maxPending + 1))) this.settle(oldest, 'expired');
    const request: PairingRequest = { ...asked, requestId: randomUUID(), ts: this.#now() };
    this.#deadlines.set(request.requestId, this.#elapsed() + waitMs);
    this.#append('device.pair.requested', request);
    return request;
  }

  /** Takes a request off the list. */
  settle({ requestId, deviceId }: PairingRequest, decision: PairingDecision): void {
    this.#deadlines.delete(requestId);
    if (this.#settled.size >= maxSettled) this.#settled.delete(this.#settled.keys().next().value ?? '');
    this.#settled.set(requestId, { deviceId, decision });
    this.#append('device.pair.resolved', { requestId, deviceId, decision, ts: this.#now() });
  }

  /** The device was let in or taken out otherwise: what it waits for is settled. */
  settleDevice(deviceId: string, decision: PairingDecision): void {
    for (const request of this.pending) if (request.deviceId === deviceId) this.settle(request, decision);
  }

  /** Ends those that waited too long. */
  sweep(): void {
    const elapsedMs = this.#elapsed();
    const known = new Set(this.pending.map(({ requestId }) => requestId));
    for (const requestId of this.#deadlines.keys()) if (!known.has(requestId)) this.#deadlines.delete(requestId);
    for (const request of [...this.pending]) {
      let deadlineMs = this.#deadlines.get(request.requestId);
      if (deadlineMs === undefined) {
        deadlineMs = elapsedMs + Math.min(waitMs, Math.max(0, request.ts + waitMs - this.#now()));
        this.#deadlines.set(request.requestId, deadlineMs);
      }
      if (elapsedMs >= deadlineMs) this.settle(request, 'expired');
    }
  }

  #append<E extends 'device.pair.requested' | 'device.pair.resolved'>(event: E, payload: Payload<E>): void {
    if (this.#stream) this.#log.append(this.#stream, event, payload, { durable: true });
  }
}

/** Tells connections without streams, which can't read the stream of pairing, what was committed to it. */
export function tellV4(peers: Iterable<Peer>, events: readonly CommittedEvent[]): void {
  for (const peer of peers) {
    const { role, scopes } = peer.identity;
    if (peer.hasStreams || role !== 'operator' || !allowsScope(scopes, 'operator.pairing')) continue;
    for (const { event, payload } of events) peer.sendEvent(event, JSON.stringify(payload));
  }
}
