import type { Steer } from './agent.ts';

/** Steering messages of one run: those that wait, and who waits for them. Each message counts once. */
export class SteeringQueue implements AsyncIterable<Steer> {
  #waiting: Steer[] = [];
  #known = new Set<string>();
  #taken: (steer: Steer) => void;
  #wakers: (() => void)[] = [];
  #isOver = false;

  /** `taken` is called for each message as the agent takes it in. */
  constructor(taken: (steer: Steer) => void) {
    this.#taken = taken;
  }

  add(steers: readonly Steer[]): void {
    for (const { inputId, text } of steers) {
      if (this.#known.has(inputId)) continue;
      this.#known.add(inputId);
      this.#waiting.push({ inputId, text });
    }
    this.#wake();
  }

  takeAll(): Steer[] {
    if (this.#isOver) return [];
    const steers = this.#waiting;
    this.#waiting = [];
    for (const steer of steers) this.#taken(steer);
    return steers;
  }

  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Steer, void, void> {
    while (!this.#isOver) {
      const steer = this.#waiting.shift();
      if (steer) {
        this.#taken(steer);
        yield steer;
      } else {
        await new Promise<void>((resolve) => this.#wakers.push(resolve));
      }
    }
  }

  #wake(): void {
    const wakers = this.#wakers;
    this.#wakers = [];
    for (const wake of wakers) wake();
  }
}
