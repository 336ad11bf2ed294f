import { fstatSync } from 'node:fs';
import type { Clock } from '@openclaw/protocol/wire';
import { eraseDoomed, isErasureDue, rebuildTables, setErasureDue } from './erasure.ts';
import type { OpenStore } from './open-store.ts';

/** When a store tidies up. */
export interface UpkeepLimits {
  /** Journal rows from which folding begins. */
  foldRows: number;
  /** Bytes in the journal from which folding begins. */
  foldBytes: number;
  /** Size from which the WAL is truncated at a quiet moment. */
  walQuietBytes: number;
  /** Size from which the WAL is truncated even while commits come. */
  walMaxBytes: number;
  /** How long after a delete its bytes are erased without anyone asking (S29 allows 60 s). */
  erasureDelayMs: number;
}

export const defaultLimits: UpkeepLimits = {
  foldRows: 2_000,
  foldBytes: 2 * 1024 * 1024,
  walQuietBytes: 1024 * 1024,
  walMaxBytes: 32 * 1024 * 1024,
  erasureDelayMs: 10_000,
};

const watchMs = 250;
const quietMs = 100;

/** What a store does for itself between commits: folding, truncating the WAL, erasing what was deleted. */
export class Upkeep {
  #store: OpenStore;
  #clock: Clock;
  #limits: UpkeepLimits;
  #lastCommitAt = 0;
  #deleteCount = 0;
  #stopWatching: (() => void) | undefined;
  #stopErasure: (() => void) | undefined;
  #erasure: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(store: OpenStore, clock: Clock, limits: UpkeepLimits) {
    this.#store = store;
    this.#clock = clock;
    this.#limits = limits;
    // After a kill, media files may lie there that no commit came to name.
    if (!store.wasClosed || isErasureDue(store.database)) this.#planErasure();
  }

  noteCommit({ hasDeletes }: { hasDeletes: boolean }): void {
    this.#lastCommitAt = this.#clock.elapsed();
    if (hasDeletes) {
      this.#deleteCount++;
      this.#planErasure();
    }
    const { journal } = this.#store;
    if (journal.rowCount >= this.#limits.foldRows || journal.sizeBytes >= this.#limits.foldBytes) {
      // Tried again by the next commit when it fails; what it fails by, that commit says.
      journal.fold().catch(() => undefined);
    }
    this.#watchWal();
  }

  /** Resolves when nothing that was deleted before the call is left in any file. */
  erase(): Promise<void> {
    this.#erasure = this.#erasure.catch(() => undefined).then(() => this.#erase());
    return this.#erasure;
  }

  /** Copies the WAL into the database file and cuts it to nothing. */
  async truncateWal(): Promise<void> {
    // First off the loop, so that SQLite's own wait for the disk is short.
    await this.#store.walSync.sync();
    this.#store.database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get();
  }

  /** Ends the timers, and waits for an erasure in progress. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopWatching?.();
    this.#stopErasure?.();
    await this.#erasure.catch(() => undefined);
  }

  async #erase(): Promise<void> {
    const { database, journal, media } = this.#store;
    const deleteCount = this.#deleteCount;
    await journal.fold();
    await eraseDoomed(database);
    rebuildTables(database);
    await media.removeUnneeded();
    await this.truncateWal();
    if (deleteCount === this.#deleteCount) setErasureDue(database, false);
  }

  #planErasure(): void {
    if (this.#stopErasure || this.#isStopped) return;
    this.#stopErasure = this.#clock.schedule(() => {
      this.#stopErasure = undefined;
      this.erase().catch(() => this.#planErasure());
    }, this.#limits.erasureDelayMs);
  }

  #watchWal(): void {
    if (this.#stopWatching || this.#isStopped) return;
    this.#stopWatching = this.#clock.schedule(() => {
      this.#stopWatching = undefined;
      this.#shortenWal().catch(() => undefined);
    }, watchMs);
  }

  async #shortenWal(): Promise<void> {
    const { size } = fstatSync(this.#store.walSync.file);
    if (size <= this.#limits.walQuietBytes) return;
    const isQuiet = this.#clock.elapsed() - this.#lastCommitAt >= quietMs;
    try {
      if (isQuiet || size > this.#limits.walMaxBytes) await this.truncateWal();
    } finally {
      this.#watchWal();
    }
  }
}
