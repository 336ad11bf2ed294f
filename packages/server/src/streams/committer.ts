import { GatewayError } from '@openclaw/protocol';
import { noObserver, type SafeObserver } from '../observer.ts';
import type { CommitBatch, EventStore } from './event-store.ts';

/** What a tick changed and what waits for it. */
interface Pending {
  batch: CommitBatch;
  /** Takes the tick's changes in memory back, newest first. */
  undo: (() => void)[];
  /** Runs once the batch is committed, before any release, oldest first. */
  applied: (() => void)[];
  releases: Release[];
  isDirty: boolean;
  bytes: number;
}

interface Release {
  task: () => void;
  failed: ((error: unknown) => void) | undefined;
}

export interface CommitterOptions {
  store: EventStore;
  /** Told of an error that a released task threw; the others run all the same. */
  onFault?: (error: unknown) => void;
  /** Told of each commit, and how long it took by the monotonic clock `elapsed`. Default nobody. */
  observer?: SafeObserver;
  elapsed?: () => number;
  /** Ends a tick; default `setImmediate`. A test passes its own to own the order. */
  defer?: (task: () => void) => void;
}

/**
 * The group commit (S13): gathers what one tick changes, commits it as one batch, and only then lets out what depends on
 * it, in order. One commit is under way at a time; what happens meanwhile makes the next batch. When a commit fails,
 * memory returns to the last commit and everyone who waited is told.
 */
export class Committer {
  commitCount = 0;
  eventCount = 0;
  /** The last failure, until a commit succeeds again. */
  failure: Error | undefined;
  readonly #store: EventStore;
  readonly #defer: (task: () => void) => void;
  readonly #onFault: (error: unknown) => void;
  readonly #observer: SafeObserver;
  readonly #elapsed: () => number;
  #current: Pending = emptyPending();
  #inFlight: Pending | undefined;
  /** The batch whose releases run at this moment: what they release in turn comes after the others. */
  #releasing: Pending | undefined;
  #isScheduled = false;
  #idleWaiters: (() => void)[] = [];

  constructor({
    store,
    defer = setImmediate,
    onFault = () => {},
    observer = noObserver,
    elapsed = () => 0,
  }: CommitterOptions) {
    this.#observer = observer;
    this.#elapsed = elapsed;
    this.#onFault = onFault;
    this.#store = store;
    this.#defer = defer;
  }

  /** The batch of this tick, to add to. `undo` takes the change in memory back should the commit fail. */
  change(undo: () => void): CommitBatch {
    this.#current.isDirty = true;
    this.#current.undo.push(undo);
    this.#schedule();
    return this.#current.batch;
  }

  /** Notes that the batch of this tick grew by so many bytes. */
  grew(bytes: number): void {
    this.#current.bytes += bytes;
  }

  /** Bytes that wait for their commit; a disk that hangs must not fill the memory. */
  get waitingBytes(): number {
    return this.#current.bytes + (this.#inFlight?.bytes ?? 0);
  }

  /** Whether `batch` is still open for changes. */
  isCurrent(batch: CommitBatch): boolean {
    return this.#current.batch === batch;
  }

  /** Runs `task` when this tick's batch is committed, before anything that waits by `release`. */
  onApplied(task: () => void): void {
    this.#current.applied.push(task);
  }

  /**
   * Runs `task` once all that was changed so far is committed: at once when nothing is under way. Tasks run in the order of
   * their release. `failed` runs in its place when the commit fails.
   */
  release(task: () => void, failed?: (error: unknown) => void): void {
    const target = this.#current.isDirty ? this.#current : (this.#inFlight ?? this.#releasing);
    if (target) target.releases.push({ task, failed });
    else this.#run(task);
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    if (!this.#current.isDirty && !this.#inFlight) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  #schedule(): void {
    if (this.#isScheduled || this.#inFlight) return;
    this.#isScheduled = true;
    this.#defer(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#inFlight || !this.#current.isDirty) return;
    const pending = this.#current;
    this.#current = emptyPending();
    this.#inFlight = pending;
    const atMs = this.#elapsed();
    this.#store.commit(pending.batch).then(
      () => this.#succeeded(pending, this.#elapsed() - atMs),
      (error: unknown) => this.#failed(pending, error),
    );
  }

  #succeeded(pending: Pending, durationMs: number): void {
    this.failure = undefined;
    this.commitCount++;
    let events = 0;
    for (const { records } of pending.batch.appends) events += records.length;
    this.eventCount += events;
    this.#observer.committed(events, pending.bytes, durationMs);
    for (const task of pending.applied) this.#run(task);
    this.#inFlight = undefined;
    // A release may change things; that makes the next batch, not this one.
    this.#releasing = pending;
    for (const { task } of pending.releases) this.#run(task);
    this.#releasing = undefined;
    this.#next();
  }

  #failed(pending: Pending, cause: unknown): void {
    // Once for a row of failures: a full disk fails with every tick.
    if (!this.failure) this.#observer.warning('the store could not commit; what it was given is taken back', cause);
    this.failure = cause instanceof Error ? cause : new Error(String(cause));
    const later = this.#current;
    this.#current = emptyPending();
    this.#inFlight = undefined;
    for (const { undo } of [later, pending]) for (const step of undo.reverse()) step();
    const error = new GatewayError(
      'UNAVAILABLE',
      `The store could not commit (${this.failure.message}); nothing was changed. Send the request again.`,
      { retryable: true, retryAfterMs: 1_000, cause },
    );
    for (const { releases } of [pending, later]) for (const { failed } of releases) this.#run(() => failed?.(error));
    this.#next();
  }

  /** One task's fault must not keep the others of its commit from running. */
  #run(task: () => void): void {
    try {
      task();
    } catch (error) {
      this.#onFault(error);
    }
  }

  #next(): void {
    if (this.#current.isDirty) {
      this.#schedule();
      return;
    }
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const resolve of waiters) resolve();
  }
}

function emptyPending(): Pending {
  return {
    batch: { appends: [], ledger: [], documents: [], media: [], deletes: [], durable: false },
    undo: [],
    applied: [],
    releases: [],
    isDirty: false,
    bytes: 0,
  };
}
