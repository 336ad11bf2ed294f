import type { Clock } from '@openclaw/protocol';

/** How often something may happen. */
export interface Rate {
  perSecond: number;
  /** At once, after a rest. */
  burst: number;
}

const maxKeys = 10_000;

interface Bucket {
  left: number;
  atMs: number;
}

/** Counts by key (an address) how often something happens: a token bucket each. Bounded. */
export class KeyedRate {
  readonly #clock: Clock;
  readonly #rate: () => Rate;
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Clock, rate: () => Rate) {
    this.#clock = clock;
    this.#rate = rate;
  }

  /** Takes one for the key; how long to wait in ms when there is none. */
  take(key: string): number | undefined {
    const { perSecond, burst } = this.#rate();
    const nowMs = this.#clock.elapsed();
    const known = this.#buckets.get(key);
    const left = known ? Math.min(burst, known.left + ((nowMs - known.atMs) * perSecond) / 1_000) : burst;
    const isTaken = left >= 1;
    this.#buckets.delete(key);
    // The one that was seen longest ago makes room; by then most are full again anyway.
    if (this.#buckets.size >= maxKeys) this.#buckets.delete(this.#buckets.keys().next().value ?? '');
    this.#buckets.set(key, { left: isTaken ? left - 1 : left, atMs: nowMs });
    return isTaken ? undefined : Math.ceil(((1 - left) * 1_000) / perSecond);
  }
}
