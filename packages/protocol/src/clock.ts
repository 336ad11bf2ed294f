/** Time as an argument, so that a test owns it. */
export interface Clock {
  /** Wall time in ms since 1970; may jump. */
  now(): number;
  /** Monotonic time in ms; never jumps, may stand still while the machine sleeps. */
  elapsed(): number;
  /** Runs `task` once after `delayMs`; the returned function takes that back. */
  schedule(task: () => void, delayMs: number): () => void;
}

/** The clock of the machine. Its timers do not keep a Node process alive by themselves when `unref` is true. */
export function systemClock({ unref = false }: { unref?: boolean } = {}): Clock {
  return {
    now: () => Date.now(),
    elapsed: () => performance.now(),
    schedule(task, delayMs) {
      const timer: unknown = setTimeout(task, delayMs);
      if (unref && typeof timer === 'object' && timer !== null) (timer as { unref?: () => void }).unref?.();
      return () => clearTimeout(timer as number);
    },
  };
}

// The few names of the runtime that this package uses; it is compiled without DOM and Node types.
declare function setTimeout(task: () => void, delayMs: number): unknown;
declare function clearTimeout(timer: unknown): void;
declare function queueMicrotask(task: () => void): void;
declare const performance: { now(): number };

/** `byteCount` random bytes from `crypto.getRandomValues` as lower-case hex: an id that needs no secure context. */
export function randomId(byteCount = 16): string {
  const bytes = crypto.getRandomValues(new Uint8Array(byteCount));
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

declare const crypto: { getRandomValues(bytes: Uint8Array): Uint8Array };
