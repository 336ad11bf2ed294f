const floorMs = 100;
const firstCeilingMs = 250;
const ceilingMs = 15_000;

/** What a delay depends on beside the attempt. */
export interface BackoffOptions {
  /** What the gateway asked to wait, in ms; jitter is added to it. */
  retryAfterMs?: number | undefined;
  /** The least delay, in ms. Default 100. */
  minMs?: number | undefined;
}

/**
 * The delay before dial attempt `attempt` (0, 1, 2, …), in ms (S24): `100 + rand(0, min(15 s, 250 ms·2^n))`. Uniform, so
 * that a fleet does not come back in step. `random` gives numbers in [0, 1).
 */
export function backoffMs(attempt: number, random: () => number, options: BackoffOptions = {}): number {
  const jitterMs = random() * Math.min(ceilingMs, firstCeilingMs * 2 ** attempt);
  return Math.max(options.retryAfterMs ?? 0, options.minMs ?? 0, floorMs) + jitterMs;
}
