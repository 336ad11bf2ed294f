import { extname } from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import { type Clock, portTransport, type Transport } from '@openclaw/protocol/wire';
import type { AgentChoice } from './agent-choice.ts';

/** What an {@link AgentWorker} needs of the program around it. */
export interface AgentWorkerOptions {
  /** What runs in the worker. */
  choice: AgentChoice;
  /** Gives the transport of a new worker to the gateway. */
  accept: (transport: Transport) => void;
  /** A line for the person who runs the gateway. */
  log: (line: string) => void;
  clock: Clock;
  /** The worker's own script. Default: `agent-main` beside this file. */
  script?: URL;
  /** How long its event loop may stand still, in ms, before it is replaced. Default 30 s. */
  stuckAfterMs?: number;
}

/** A worker that lives this long was well; the next restart is quick again. */
const wellAfterMs = 30_000;
const firstDelayMs = 250;
const longestDelayMs = 15_000;
/** How many looks a worker has to show that its event loop turns. */
const looksUntilStuck = 10;

/**
 * Keeps an agent at work in a worker thread: starts it, and starts it again with backoff when it dies. A worker that the
 * gateway cuts off, as it does with one that emits without waiting (S28), is terminated, since it can't be talked to any more;
 * so is one whose event loop stands still: its runs would wait for it in vain.
 */
export class AgentWorker {
  readonly #options: AgentWorkerOptions;
  #choice: AgentChoice;
  #worker: Worker | undefined;
  #attempt = 0;
  #cancelRestart: (() => void) | undefined;
  #isStopped = false;

  constructor(options: AgentWorkerOptions) {
    this.#options = options;
    this.#choice = options.choice;
  }

  /** Starts the first worker. */
  start(): void {
    const { accept, log, clock } = this.#options;
    const script = this.#options.script ?? new URL(`./agent-main${extname(import.meta.url)}`, import.meta.url);
    const { port1, port2 } = new MessageChannel();
    const worker = new Worker(script, {
      workerData: { choice: this.#choice, port: port2 },
      transferList: [port2],
      name: 'agent',
      // V8 would take up to 48 MB for young objects; passing on a model's words needs little.
      resourceLimits: { maxYoungGenerationSizeMb: 8 },
    });
    const startedAtMs = clock.elapsed();
    let reason = 'it ended';
    this.#worker = worker;
    worker.on('error', (error: unknown) => {
      reason = error instanceof Error ? error.message : String(error);
    });
    let unwatch = () => {};
    worker.on('online', () => {
      unwatch = this.#watch(worker, (why) => {
        reason = why;
        void worker.terminate();
      });
    });
    worker.on('exit', () => {
      unwatch();
      port1.close();
      // One that was replaced is missed by nobody.
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      if (this.#isStopped) return;
      if (clock.elapsed() - startedAtMs >= wellAfterMs) this.#attempt = 0;
      const delayMs = Math.min(longestDelayMs, firstDelayMs * 2 ** this.#attempt++);
      log(
        `The agent stopped (${reason}); it starts again in ${delayMs / 1000} s. Its open runs go on then, if it can continue them.`,
      );
      this.#cancelRestart = clock.schedule(() => this.start(), delayMs);
    });
    accept(
      tellingClose(portTransport(port1), (why) => {
        reason = `the gateway cut it off: ${why}`;
        void worker.terminate();
      }),
    );
  }

  /** Looks at the worker from time to time; a loop that is never idle in between does not turn. */
  #watch(worker: Worker, stuck: (why: string) => void): () => void {
    const { clock, stuckAfterMs = 30_000 } = this.#options;
    let idleMs = 0;
    let looks = 0;
    let cancel = () => {};
    const look = () => {
      const { idle } = worker.performance.eventLoopUtilization();
      looks = idle > idleMs ? 0 : looks + 1;
      idleMs = idle;
      if (looks >= looksUntilStuck) stuck(`its event loop stood still for ${stuckAfterMs / 1000} s`);
      else cancel = clock.schedule(look, stuckAfterMs / looksUntilStuck);
    };
    cancel = clock.schedule(look, stuckAfterMs / looksUntilStuck);
    return () => cancel();
  }

  /** Ends the worker at work, and starts one with another choice in its place. */
  async replace(choice: AgentChoice): Promise<void> {
    this.#choice = choice;
    if (this.#isStopped) return;
    this.#cancelRestart?.();
    this.#attempt = 0;
    const before = this.#worker;
    this.#worker = undefined;
    await before?.terminate();
    if (!this.#isStopped && !this.#worker) this.start();
  }

  /** No worker is started any more; the one at work is left to what its gateway does. */
  cease(): void {
    this.#isStopped = true;
    this.#cancelRestart?.();
  }

  /** Ends the worker for good; resolves when it is gone. */
  async stop(): Promise<void> {
    this.cease();
    await this.#worker?.terminate();
  }
}

/** A transport that tells when its owner, here the gateway, closes it. */
function tellingClose(transport: Transport, onClose: (reason: string) => void): Transport {
  return {
    get queuedBytes() {
      return transport.queuedBytes;
    },
    send: (text) => transport.send(text),
    open: (events) => transport.open(events),
    close(code, reason) {
      transport.close(code, reason);
      onClose(reason);
    },
  };
}
