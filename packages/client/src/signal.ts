/** Wakes whoever waits for the next change. */
export interface Signal {
  /** Resolves at the next `tell()`. */
  wait(): Promise<void>;
  tell(): void;
}

/** A signal that nobody waits for. */
export function makeSignal(): Signal {
  const waiting: (() => void)[] = [];
  return {
    wait: () => new Promise((resolve) => waiting.push(resolve)),
    tell() {
      for (const resolve of waiting.splice(0)) resolve();
    },
  };
}
