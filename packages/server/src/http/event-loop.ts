import { monitorEventLoopDelay, performance } from 'node:perf_hooks';

/** How the event loop did since the last time somebody asked. */
export interface EventLoopFacts {
  degraded: boolean;
  /** Why, in words. */
  reasons: string[];
  /** The span that the figures are of, in ms. */
  intervalMs: number;
  delayP99Ms: number;
  delayMaxMs: number;
  /** 0 idle … 1 never idle. */
  utilization: number;
}

/** A delay at the 99th percentile beyond which the gateway calls itself degraded. */
const degradedP99Ms = 250;
/** Asked again sooner than this, the same figures are given. */
const minIntervalMs = 1_000;

/** Watches how late the event loop runs. Costs nothing before `start`. */
export class EventLoopMonitor {
  readonly #histogram = monitorEventLoopDelay({ resolution: 20 });
  #utilization = performance.eventLoopUtilization();
  #sinceMs = performance.now();
  #last: EventLoopFacts | undefined;

  start(): void {
    this.#histogram.enable();
    this.#reset();
  }

  stop(): void {
    this.#histogram.disable();
  }

  facts(): EventLoopFacts {
    const intervalMs = performance.now() - this.#sinceMs;
    if (this.#last && intervalMs < minIntervalMs) return this.#last;
    const p99Ms = this.#histogram.count === 0 ? 0 : this.#histogram.percentile(99) / 1e6;
    const isDegraded = p99Ms > degradedP99Ms;
    this.#last = {
      degraded: isDegraded,
      reasons: isDegraded ? [`the event loop ran ${Math.round(p99Ms)} ms late`] : [],
      intervalMs: Math.round(intervalMs),
      delayP99Ms: rounded(p99Ms),
      delayMaxMs: rounded(this.#histogram.count === 0 ? 0 : this.#histogram.max / 1e6),
      utilization: rounded(performance.eventLoopUtilization(this.#utilization).utilization),
    };
    this.#reset();
    return this.#last;
  }

  #reset(): void {
    this.#histogram.reset();
    this.#utilization = performance.eventLoopUtilization();
    this.#sinceMs = performance.now();
  }
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
