const floorMs = 100;
const firstCeilingMs = 250;
const ceilingMs = 15_000;

/**
 * The delay before dial attempt `attempt` (0, 1, 2, …), in ms (S24): `100 + rand(0, min(15 s, 250 ms·2^n))`. Uniform, so
 * that a fleet does not come back in step; added to `leastMs`, if that is more than 100. `random` gives numbers in [0, 1).
 */
export function backoffMs(attempt: number, random: () => number, leastMs = 0): number {
  return Math.max(leastMs, floorMs) + random() * Math.min(ceilingMs, firstCeilingMs * 2 ** attempt);
}
