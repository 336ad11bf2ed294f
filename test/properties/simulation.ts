import type { Clock } from '@openclaw/protocol';
import { seededRandom } from '@openclaw/protocol/testing';

interface Timer {
  atMs: number;
  id: number;
  task: (() => void) | undefined;
}

/**
 * Virtual time for a whole world: one queue of what is to happen, in order of time, then of making. Between two events
 * every microtask runs, so that an event is one turn of one process. All chance comes from the seed.
 */
export class Simulation implements Clock {
  readonly random: () => number;
  /** Events run so far. */
  eventCount = 0;
  /** What was thrown out of an event: a fault of the program under test, or of the test. */
  readonly thrown: unknown[] = [];
  /** Told of everything that happens, when someone wants to read how a seed fails. */
  trace: ((line: string) => void) | undefined;
  #elapsedMs = 0;
  #nextId = 0;
  #heap: Timer[] = [];

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  now(): number {
    return 1_700_000_000_000 + Math.floor(this.#elapsedMs);
  }

  elapsed(): number {
    return this.#elapsedMs;
  }

  schedule(task: () => void, delayMs: number): () => void {
    const timer: Timer = { atMs: this.#elapsedMs + Math.max(0, delayMs), id: this.#nextId++, task };
    this.#push(timer);
    return () => {
      timer.task = undefined;
    };
  }

  /** Runs what falls due within `ms`; `between` is called after each event. */
  async advance(ms: number, between?: () => void): Promise<void> {
    const untilMs = this.#elapsedMs + ms;
    await microtasks();
    for (;;) {
      const first = this.#heap[0];
      if (!first || first.atMs > untilMs) break;
      this.#pop();
      if (!first.task) continue;
      this.#elapsedMs = first.atMs;
      this.eventCount++;
      this.#run(first.task);
      await microtasks();
      if (!between) continue;
      this.#run(between);
      await microtasks();
    }
    this.#elapsedMs = untilMs;
  }

  #run(task: () => void): void {
    try {
      task();
    } catch (error) {
      this.thrown.push(error);
    }
  }

  note(line: string): void {
    this.trace?.(`${this.#elapsedMs.toFixed(1).padStart(10)} ${line}`);
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.random() < probability;
  }

  /** A whole number from `least` to `most`. */
  integer(least: number, most: number): number {
    return least + Math.floor(this.random() * (most - least + 1));
  }

  pick<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.random() * choices.length)] as T;
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(timer);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (isBefore(heap[parent] as Timer, timer)) break;
      heap[index] = heap[parent] as Timer;
      index = parent;
    }
    heap[index] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Timer;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Timer, heap[child] as Timer)) child++;
      if (isBefore(last, heap[child] as Timer)) break;
      heap[index] = heap[child] as Timer;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.id < b.id);
}

/** Resolves when no microtask is left: Node runs the next tick only then. */
function microtasks(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

/** A process in the world: what it scheduled is gone when it is killed. */
export class Process implements Clock {
  isAlive = true;
  readonly name: string;
  readonly #simulation: Simulation;
  #mourners: (() => void)[] = [];

  constructor(simulation: Simulation, name: string) {
    this.#simulation = simulation;
    this.name = name;
  }

  now(): number {
    return this.#simulation.now();
  }

  elapsed(): number {
    return this.#simulation.elapsed();
  }

  schedule(task: () => void, delayMs: number): () => void {
    return this.#simulation.schedule(() => {
      if (this.isAlive) task();
    }, delayMs);
  }

  /** Runs a task in the next turn of this process. */
  readonly defer = (task: () => void): void => {
    this.schedule(task, 0);
  };

  /** Resolves later; never when the process is killed before. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.schedule(resolve, ms));
  }

  onKill(mourner: () => void): void {
    this.#mourners.push(mourner);
  }

  kill(): void {
    if (!this.isAlive) return;
    this.#simulation.note(`${this.name} is killed`);
    this.isAlive = false;
    for (const mourner of this.#mourners) mourner();
  }
}
