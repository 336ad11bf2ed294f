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
export interface Heartbeat {
  start(): void;
  stop(): void;
  /** A frame arrived. */
  touch(): void;
  /** Whether its timer should have run long ago: the machine slept, and other news came first. */
  readonly isOverdue: boolean;
}

/** A heartbeat that stands still until `start()`. */
export function makeHeartbeat({ clock, limitMs, silent, woke }: HeartbeatOptions): Heartbeat {
  let lastFrameMs = 0;
  let dueMs = 0;
  /** Wall time less elapsed time, as it last was. */
  let offsetMs = 0;
  let isConfirming = false;
  let cancel: (() => void) | undefined;

  function stop(): void {
    cancel?.();
    cancel = undefined;
    isConfirming = false;
  }

  function touch(): void {
    lastFrameMs = clock.elapsed();
  }

  function schedule(waitMs = Math.max(0, Math.min(checkEveryMs, lastFrameMs + limitMs() - clock.elapsed()))): void {
    dueMs = clock.elapsed() + waitMs;
    cancel = clock.schedule(check, waitMs);
  }

  function check(): void {
    const elapsedMs = clock.elapsed();
    const lateMs = elapsedMs - dueMs;
    const driftMs = Math.abs(clock.now() - elapsedMs - offsetMs);
    offsetMs = clock.now() - elapsedMs;
    if (lateMs > sleptMs || driftMs > sleptMs) {
      // The gateway had no chance to be heard meanwhile; the probe that follows judges it.
      isConfirming = false;
      touch();
      schedule();
      woke();
      return;
    }
    lastFrameMs += Math.max(0, lateMs);
    const silenceMs = elapsedMs - lastFrameMs;
    if (silenceMs < limitMs()) {
      isConfirming = false;
      schedule();
    } else if (isConfirming) {
      stop();
      silent(silenceMs);
    } else {
      isConfirming = true;
      schedule(0);
    }
  }

  return {
    start() {
      stop();
      touch();
      offsetMs = clock.now() - clock.elapsed();
      schedule();
    },
    stop,
    touch,
    get isOverdue() {
      return cancel !== undefined && clock.elapsed() - dueMs > sleptMs;
    },
  };
}
