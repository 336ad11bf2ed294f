import type { Clock } from './clock.ts';

/**
 * A clock that a test moves. Timers run in order of their time, then of their making; microtasks get a turn between them.
 * `wallOffsetMs` may be changed to let the wall jump without the monotonic clock.
 */
export class VirtualClock implements Clock {
  wallOffsetMs = 1_700_000_000_000;
  #elapsedMs = 0;
  #nextId = 0;
  #timers: { atMs: number; id: number; task: () => void }[] = [];

  now(): number {
    return this.wallOffsetMs + this.#elapsedMs;
  }

  elapsed(): number {
    return this.#elapsedMs;
  }

  schedule(task: () => void, delayMs: number): () => void {
    const timer = { atMs: this.#elapsedMs + Math.max(0, delayMs), id: this.#nextId++, task };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** How many timers wait. */
  get timerCount(): number {
    return this.#timers.length;
  }

  /** Moves time on by `ms`, running what falls due, with everything that follows from it. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#elapsedMs + ms;
    await settle();
    for (;;) {
      const due = this.#timers
        .filter((timer) => timer.atMs <= untilMs)
        .sort((a, b) => a.atMs - b.atMs || a.id - b.id)[0];
      if (!due) break;
      this.#elapsedMs = Math.max(this.#elapsedMs, due.atMs);
      this.#timers = this.#timers.filter((timer) => timer !== due);
      due.task();
      await settle();
    }
    this.#elapsedMs = untilMs;
  }
}

/** Lets every queued microtask and immediate run. */
export async function settle(turns = 4): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** A random number generator in [0, 1) whose sequence its seed decides. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

declare function setImmediate(task: () => void): unknown;
