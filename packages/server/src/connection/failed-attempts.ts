import { isIPv6 } from 'node:net';
import type { Clock } from '@openclaw/protocol';

/** How many failures are borne, and how long one waits after them. */
export interface AttemptLimits {
  /** Failures within a minute after which one waits. */
  perMinute: number;
  /** How long one waits the first time, in ms; each further time doubles it. */
  blockMs: number;
  /** The longest wait, in ms. */
  maxBlockMs: number;
}

const windowMs = 60_000;
const maxKeys = 10_000;

interface Attempts {
  count: number;
  windowEndsMs: number;
  /** Until when it waits; 0 when it may try. */
  blockedUntilMs: number;
  /** Waits so far, without a success between them. */
  blocks: number;
}

/** Counts failures by key (an address, a device) and makes a key with too many wait, longer each time. Bounded. */
export class FailedAttempts {
  readonly #clock: Clock;
  readonly #limits: () => AttemptLimits;
  readonly #attempts = new Map<string, Attempts>();

  constructor(clock: Clock, limits: () => AttemptLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** How long the keys have to wait, in ms: the longest; undefined when they may try. */
  waitMs(keys: readonly string[]): number | undefined {
    const nowMs = this.#clock.elapsed();
    const leftMs = Math.max(0, ...keys.map((key) => (this.#attempts.get(key)?.blockedUntilMs ?? 0) - nowMs));
    return leftMs > 0 ? leftMs : undefined;
  }

  /** Counts a failure for each key. */
  note(keys: readonly string[]): void {
    for (const key of keys) this.#noteOne(key);
  }

  /** The keys succeeded: what they failed before is forgotten. */
  clear(keys: readonly string[]): void {
    for (const key of keys) this.#attempts.delete(key);
  }

  #noteOne(key: string): void {
    const { perMinute, blockMs, maxBlockMs } = this.#limits();
    const nowMs = this.#clock.elapsed();
    const seen = this.#attempts.get(key);
    // Whoever kept quiet for the longest wait begins anew.
    const isOld = seen !== undefined && nowMs - Math.max(seen.windowEndsMs, seen.blockedUntilMs) > maxBlockMs;
    const attempts: Attempts =
      seen && !isOld ? seen : { count: 0, windowEndsMs: nowMs + windowMs, blockedUntilMs: 0, blocks: 0 };
    if (attempts.windowEndsMs <= nowMs) {
      attempts.count = 0;
      attempts.windowEndsMs = nowMs + windowMs;
    }
    attempts.count++;
    if (attempts.count >= perMinute) {
      attempts.blockedUntilMs = nowMs + Math.min(maxBlockMs, blockMs * 2 ** Math.min(attempts.blocks, 30));
      attempts.blocks++;
      attempts.count = 0;
      attempts.windowEndsMs = attempts.blockedUntilMs + windowMs;
    }
    this.#attempts.delete(key);
    // The one that failed longest ago makes room: whoever can use that many addresses is not stopped by counting.
    if (this.#attempts.size >= maxKeys) this.#attempts.delete(this.#attempts.keys().next().value ?? '');
    this.#attempts.set(key, attempts);
  }
}

/** The key of an address: an IPv6 one counts as its /64, of which everyone has one at least. */
export function addressKey(address: string): string {
  const plain = (address.split('%', 1)[0] ?? '').replace(/^::ffff:(?=[\d.]+$)/i, '');
  return isIPv6(plain) ? `net:${ipv6Network(plain)}` : `ip:${plain}`;
}

/** The first four groups of an IPv6 address, in one way of writing. */
function ipv6Network(address: string): string {
  const [head = '', tail] = address.toLowerCase().split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':');
    // An IPv4 address at the end stands for two groups.
    const length = after.length + (after.at(-1)?.includes('.') ? 1 : 0);
    while (groups.length + length < 8) groups.push('0');
    groups.push(...after);
  }
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
