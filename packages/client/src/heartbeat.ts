import type { Clock } from '@openclaw/protocol/wire';

const checkEveryMs = 2_500;
/** A timer that is this late, or clocks that drift apart by this much, mean that the machine slept (S23). */
const sleptMs = 2_000;

export interface HeartbeatOptions {
  clock: Clock;
  /** Silence that counts as the loss of the connection, in ms; asked at each check. */
  limitMs(): number;
  /** Nothing came for `limitMs`. Called once; the heartbeat has stopped. */
  silent(silenceMs: number): void;
  /** The machine was asleep, or someone moved its clock. */
  woke(): void;
}

/**
 * Judges whether a connection is alive by what arrives (S22, S23). It asks for nothing itself. A deadline is judged only
 * after another turn of the event loop, so that frames which arrived while this process was busy count, and it is
 * stretched by how late its own timer was.
 */
export class Heartbeat {
  #options: HeartbeatOptions;
  #lastFrameMs = 0;
  #dueMs = 0;
  #lastWallMs = 0;
  #lastElapsedMs = 0;
  #isConfirming = false;
  #cancel: (() => void) | undefined;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  start(): void {
    this.stop();
    this.touch();
    this.#remember();
    this.#schedule();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#isConfirming = false;
  }

  /** Whether its timer should have run long ago: the machine slept, and other news came first. */
  get isOverdue(): boolean {
    return this.#cancel !== undefined && this.#options.clock.elapsed() - this.#dueMs > sleptMs;
  }

  /** A frame arrived. */
  touch(): void {
    this.#lastFrameMs = this.#options.clock.elapsed();
  }

  #remember(): void {
    this.#lastWallMs = this.#options.clock.now();
    this.#lastElapsedMs = this.#options.clock.elapsed();
  }

  #schedule(delayMs?: number): void {
    const { clock, limitMs } = this.#options;
    const wait = delayMs ?? Math.max(0, Math.min(checkEveryMs, this.#lastFrameMs + limitMs() - clock.elapsed()));
    this.#dueMs = clock.elapsed() + wait;
    this.#cancel = clock.schedule(() => this.#check(), wait);
  }

  #check(): void {
    const { clock, limitMs, silent, woke } = this.#options;
    const elapsedMs = clock.elapsed();
    const lateMs = elapsedMs - this.#dueMs;
    const driftMs = Math.abs(clock.now() - this.#lastWallMs - (elapsedMs - this.#lastElapsedMs));
    this.#remember();
    if (lateMs > sleptMs || driftMs > sleptMs) {
      // The gateway had no chance to be heard meanwhile; the probe that follows judges it.
      this.#isConfirming = false;
      this.touch();
      this.#schedule();
      woke();
      return;
    }
    this.#lastFrameMs += Math.max(0, lateMs);
    const silenceMs = elapsedMs - this.#lastFrameMs;
    if (silenceMs < limitMs()) {
      this.#isConfirming = false;
      this.#schedule();
    } else if (this.#isConfirming) {
      this.stop();
      silent(silenceMs);
    } else {
      this.#isConfirming = true;
      this.#schedule(0);
    }
  }
}
