import type { Clock } from '@openclaw/protocol';

/** A step of the wall clock that has lasted this long is the time by now. */
const absorbAfterMs = 48 * 3_600_000;

/**
 * The wall clock for judging ages: it does not run ahead of what has passed by the monotonic clock. A clock that is set
 * forward makes nothing expire sooner than uptime allows; after 48 h of uptime the step counts.
 */
export function agingNow(clock: Clock): () => number {
  let base = clock.now() - clock.elapsed();
  let aheadSinceMs: number | undefined;
  return () => {
    const wall = clock.now();
    const elapsed = clock.elapsed();
    const aheadMs = wall - (base + elapsed);
    if (aheadMs <= 60_000) aheadSinceMs = undefined;
    else {
      aheadSinceMs ??= elapsed;
      if (elapsed - aheadSinceMs >= absorbAfterMs) base += aheadMs;
    }
    return Math.min(wall, base + elapsed);
  };
}
