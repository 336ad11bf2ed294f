import { CloseCode, GatewayError } from '@openclaw/protocol';
import type { ConnectionLimits } from '../connection/limits.ts';
import type { Peer } from '../connection/peer.ts';

/** What of the limits counts here. */
export type RequestLimits = Readonly<
  Pick<ConnectionLimits, 'maxRequestsInFlight' | 'requestsPerSecond' | 'requestBurst' | 'maxRefusedRequests'>
>;

/** Who was refused waits this long, in ms: then there is a second's worth of requests again. */
const retryAfterMs = 1_000;

interface Bucket {
  left: number;
  atMs: number;
  refusedCount: number;
  refusedAtMs: number;
}

/**
 * How many requests an operator's connection may send: a token bucket each. Agents and channels have windows of their own,
 * local peers are part of the process, and `ping` says that a connection lives. Costs a look-up and a subtraction per request.
 */
export class RequestRate {
  readonly #limits: () => RequestLimits;
  readonly #buckets = new Map<Peer, Bucket>();

  /** `limits` is read at each request, so that a change counts at once. */
  constructor(limits: () => RequestLimits) {
    this.#limits = limits;
  }

  /** Takes one request; why it is refused, if it is. Closes a connection that goes on all the same. */
  take(peer: Peer, method: string, atMs: number): GatewayError | undefined {
    const { identity } = peer;
    if (identity.role !== 'operator' || identity.isLocal || method === 'ping') return undefined;
    const { requestsPerSecond, requestBurst } = this.#limits();
    let bucket = this.#buckets.get(peer);
    if (!bucket) {
      bucket = { left: requestBurst, atMs, refusedCount: 0, refusedAtMs: Number.NEGATIVE_INFINITY };
      this.#buckets.set(peer, bucket);
    }
    bucket.left = Math.min(requestBurst, bucket.left + ((atMs - bucket.atMs) * requestsPerSecond) / 1_000) - 1;
    bucket.atMs = atMs;
    return bucket.left >= 0 ? undefined : this.#refused(peer, bucket);
  }

  /** The connection is gone. */
  forget(peer: Peer): void {
    this.#buckets.delete(peer);
  }

  #refused(peer: Peer, bucket: Bucket): GatewayError {
    const { requestsPerSecond, requestBurst, maxRefusedRequests } = this.#limits();
    // What was refused is not owed.
    bucket.left++;
    if (bucket.atMs - bucket.refusedAtMs >= retryAfterMs) bucket.refusedCount = 0;
    bucket.refusedAtMs = bucket.atMs;
    const told = `more than ${requestsPerSecond} requests per second, ${requestBurst} at once`;
    if (++bucket.refusedCount > maxRefusedRequests) peer.close(CloseCode.rateLimited, `${told}, and no rest when told`);
    return new GatewayError('UNAVAILABLE', `The connection sent ${told}; wait a second.`, {
      details: { code: 'RATE_LIMITED' },
      retryable: true,
      retryAfterMs,
    });
  }
}
