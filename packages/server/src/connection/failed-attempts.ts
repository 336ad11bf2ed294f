import type { Clock } from '@openclaw/protocol';

const maxFailures = 10;
const windowMs = 60_000;
const maxAddresses = 10_000;

/** Counts wrong credentials per address: after 10 within a minute an address waits for the rest of it. */
export class FailedAttempts {
  readonly #clock: Clock;
  readonly #counts = new Map<string, { count: number; untilMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How long the address has to wait, in ms; undefined when it may try. */
  waitMs(address: string): number | undefined {
    const seen = this.#counts.get(address);
    if (!seen) return undefined;
    const leftMs = seen.untilMs - this.#clock.elapsed();
    if (leftMs <= 0) this.#counts.delete(address);
    return leftMs > 0 && seen.count >= maxFailures ? leftMs : undefined;
  }

  note(address: string): void {
    const seen = this.#counts.get(address);
    if (seen && seen.untilMs > this.#clock.elapsed()) {
      seen.count++;
      return;
    }
    // The oldest makes room: whoever can use that many addresses is not stopped by counting.
    if (this.#counts.size >= maxAddresses) this.#counts.delete(this.#counts.keys().next().value ?? '');
    this.#counts.set(address, { count: 1, untilMs: this.#clock.elapsed() + windowMs });
  }
}
