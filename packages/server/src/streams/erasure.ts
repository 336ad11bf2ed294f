import type { Documents } from './documents.ts';
import type { EventStore } from './event-store.ts';
import type { StreamLog } from './stream-log.ts';

const erasureKind = 'erasure';

/**
 * Erases what a deleted session left in streams that are not its own: its name in the index, its questions among the
 * approvals, its steering in its agent's work (S29). These streams keep their states and go on; who stood before their end
 * is told so. A plan is part of the commit that deletes, so that a kill in between loses none.
 */
export class Erasure {
  readonly #log: StreamLog;
  readonly #store: EventStore;
  readonly #documents: Documents;
  #planCount = 0;
  #running: Promise<void> = Promise.resolve();

  constructor({ log, store, documents }: { log: StreamLog; store: EventStore; documents: Documents }) {
    this.#log = log;
    this.#store = store;
    this.#documents = documents;
  }

  /** Whether some stream waits for it. */
  get isDue(): boolean {
    return this.#documents.count(erasureKind) > 0;
  }

  /** With this tick's commit: what these streams hold up to then is to go. */
  plan(streams: readonly string[]): void {
    this.#planCount++;
    for (const name of streams) this.#documents.set(erasureKind, name, this.#planCount);
  }

  /** Resolves when nothing that was deleted by a commit before the call is left in any file. */
  run(): Promise<void> {
    this.#running = this.#running.catch(() => undefined).then(() => this.#run());
    return this.#running;
  }

  async #run(): Promise<void> {
    for (const [name, plan] of this.#documents.entries<number>(erasureKind)) {
      await this.#forget(name);
      // Planned again meanwhile, it stays due: the commit of that is still to come.
      if (this.#documents.get(erasureKind, name) === plan) this.#documents.set(erasureKind, name, undefined);
    }
    await this.#store.scrub();
  }

  async #forget(name: string): Promise<void> {
    if (!this.#log.exists(name)) return;
    const stream = await this.#log.open(name);
    const { committedHead: offset, committedState: state } = stream;
    await this.#store.checkpoint([{ stream: name, offset, state }]);
    await this.#log.trim(stream, offset + 1, { isErasing: true });
  }
}
