import type { Clock } from '@openclaw/protocol';
import type { Ledger } from '../dispatch/ledger.ts';
import type { Erasure } from './erasure.ts';
import type { EventStore } from './event-store.ts';
import type { Retention } from './retention.ts';
import type { Stream, StreamLog } from './stream-log.ts';

export interface UpkeepOptions {
  clock: Clock;
  store: EventStore;
  log: StreamLog;
  ledger: Ledger;
  retention: Retention;
  erasure: Erasure;
  /** The wall clock for judging ages. */
  agingNow: () => number;
  /** Streams of which nothing may expire now. */
  busyStreams: () => Set<string>;
  /** Whether a stream has to stay in memory. */
  isPinned: (stream: Stream) => boolean;
  onWarning: (warning: string, cause: unknown) => void;
}

const everyMs = 30_000;
const evictAfterMs = 600_000;
const ledgerKeptMs = 48 * 3_600_000;
const receiveKeptMs = 30 * 24 * 3_600_000;

/** What the log needs now and then: states checkpointed, retention applied, deleted sessions erased, memory let go. */
export class Upkeep {
  readonly #options: UpkeepOptions;
  #round: Promise<void> = Promise.resolve();
  #cancel: () => void = () => {};
  #isStopped = false;

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#options.erasure.isDue) void this.erase();
    this.#arm();
  }

  #arm(): void {
    this.#cancel = this.#options.clock.schedule(() => {
      this.#round = this.#round.then(() => this.#try('upkeep', () => this.#keepUp()));
      this.#arm();
    }, everyMs);
  }

  /** Erases what was deleted; what fails is tried again in the next round. */
  erase(): Promise<void> {
    return this.#try('erasing a deleted session', () => this.#options.erasure.run());
  }

  async #keepUp(): Promise<void> {
    if (this.#isStopped) return;
    const { log, store, ledger, retention, erasure, agingNow, busyStreams, isPinned } = this.#options;
    if (erasure.isDue) await this.erase();
    await this.#try('writing states', () => log.checkpoint());
    const busy = busyStreams();
    await this.#try('retention', () => retention.sweep((name) => busy.has(name)));
    const now = agingNow();
    ledger.prune(now - ledgerKeptMs, now - receiveKeptMs);
    await this.#try('forgetting old requests', () => store.pruneLedger(now - ledgerKeptMs, now - receiveKeptMs));
    log.evict(evictAfterMs, (stream) => busy.has(stream.name) || isPinned(stream));
  }

  /** Ends after the round under way, with everything written that a start would else have to work out. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel();
    await this.#round;
    if (this.#options.erasure.isDue) await this.erase();
    await this.#try('writing states', () => this.#options.log.checkpoint());
  }

  async #try(what: string, task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      try {
        this.#options.onWarning(`${what} failed; it is tried again`, error);
      } catch {
        // A log that fails must not end the upkeep.
      }
    }
  }
}
