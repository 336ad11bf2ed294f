import type { Clock } from '@openclaw/protocol';

/**
 * The wall clock for judging ages: it never runs ahead of what has passed by the monotonic clock since the start. A clock
 * that is set forward makes nothing expire sooner than uptime allows.
 */
export function agingNow(clock: Clock): () => number {
  const wallAtStart = clock.now();
  const elapsedAtStart = clock.elapsed();
  return () => Math.min(clock.now(), wallAtStart + clock.elapsed() - elapsedAtStart);
}
