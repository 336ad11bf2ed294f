import { type CommitBatch, type EventStore, memoryStore } from '@openclaw/server';
import type { Process, Simulation } from './simulation.ts';
import type { Truth } from './truth.ts';

/**
 * The store of a world: what is committed outlives the gateway's processes. A commit takes time, may fail, and happens
 * whole or not at all when its process dies under it.
 */
export class SharedStore {
  /** Probability that a commit fails. */
  failureRate = 0;
  /** The longest time that a commit takes, in ms. */
  delayMs = 5;
  commitCount = 0;
  failureCount = 0;
  readonly #inner = memoryStore();
  readonly #simulation: Simulation;
  readonly #truth: Truth;

  constructor(simulation: Simulation, truth: Truth) {
    this.#simulation = simulation;
    this.#truth = truth;
  }

  /** The store as one process of the gateway sees it. */
  openedBy(process: Process): EventStore {
    const inner = this.#inner;
    const write = <T>(action: () => Promise<T>) => this.#write(process, action);
    return {
      open: () =>
        this.#later(process, async () => {
          await inner.close();
          return inner.open();
        }),
      commit: (batch) => this.#commit(process, batch),
      read: (...call) => this.#read(process, () => inner.read(...call)),
      readMessages: (...call) => this.#read(process, () => inner.readMessages(...call)),
      readState: (...call) => this.#read(process, () => inner.readState(...call)),
      readMedia: (...call) => this.#read(process, () => inner.readMedia(...call)),
      openUpload: () => inner.openUpload(),
      checkpoint: (states) => write(() => inner.checkpoint(states)),
      rewrite: (...call) => write(() => inner.rewrite(...call)),
      trim: (...call) => write(() => inner.trim(...call)),
      renewEpoch: (stream, epoch) => {
        // It may be seen before it is stored: whatever becomes of it, no pair with it ever means another event (S3).
        this.#truth.renewed(stream, epoch);
        return write(() => inner.renewEpoch(stream, epoch));
      },
      pruneLedger: (...call) => write(() => inner.pruneLedger(...call)),
      scrub: () => write(() => inner.scrub()),
      close: () => this.#later(process, () => inner.close()),
    };
  }

  #commit(process: Process, batch: CommitBatch): Promise<void> {
    if (this.#simulation.chance(this.failureRate)) {
      this.failureCount++;
      return this.#later(process, () => Promise.reject(new Error('the disk is full')));
    }
    return this.#write(process, async () => {
      await this.#inner.commit(batch);
      this.commitCount++;
      this.#truth.committed(batch);
    });
  }

  #read<T>(process: Process, action: () => Promise<T>): Promise<T> {
    return this.#simulation.chance(0.5) ? action() : this.#later(process, action);
  }

  /** Later, and only if the process lives. */
  #later<T>(process: Process, action: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      process.schedule(() => action().then(resolve, reject), this.#delay());
    });
  }

  /** Later; when the process dies before, it has happened or not, whole. */
  #write<T>(process: Process, action: () => Promise<T>): Promise<T> {
    let isDone = false;
    process.onKill(() => {
      if (isDone) return;
      isDone = true;
      if (this.#simulation.chance(0.5)) action().catch(() => {});
    });
    return this.#later(process, () => {
      isDone = true;
      return action();
    });
  }

  #delay(): number {
    return this.#simulation.chance(0.5) ? 0 : this.#simulation.random() * this.delayMs;
  }
}
