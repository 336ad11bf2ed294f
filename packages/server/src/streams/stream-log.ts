import { emptyState, parseStreamName, randomId, reduce, type StreamState } from '@openclaw/protocol';
import { EncodedFrame } from '../transport/encoded-frame.ts';
import type { CommittedEvent } from './committed-event.ts';
import type { Committer } from './committer.ts';
import type { CommitBatch, EventRecord, EventStore, StreamHead } from './event-store.ts';

/** A record of a stream in memory: in the ring, or read from the store. `payload` is there while the ring holds it. */
export interface LogRecord {
  offset: number;
  from?: number;
  frame: EncodedFrame;
  event?: string;
  payload?: unknown;
}

/** A stream in memory. `head` and `state` run ahead of the last commit; only what is committed may be shown (S13). */
export interface Stream {
  readonly name: string;
  epoch: string;
  head: number;
  state: StreamState;
  committedHead: number;
  committedState: StreamState;
  low: number;
  /** The newest records, whole and contiguous up to `head`. */
  ring: LogRecord[];
  ringBytes: number;
  /** Deleted by a change that may not be committed yet. */
  isDeleted: boolean;
  /** Deleted, and that is committed. */
  isErased: boolean;
  /** When something last happened to it, on the monotonic clock. */
  usedAtMs: number;
}

/** What an event needs to outlive: `message` and `fact` outlive retention (S16); `durable` waits for the disk (S14). */
export interface AppendOptions {
  keep?: 'message' | 'fact';
  durable?: boolean;
}

/** What one tick appended to one stream. `head` and `state` are as of the end of that tick. */
interface Tail {
  batch: CommitBatch;
  stream: Stream;
  records: LogRecord[];
  stored: EventRecord[];
  head: number;
  state: StreamState;
}

export interface StreamLogOptions {
  store: EventStore;
  committer: Committer;
  elapsed: () => number;
  /** Hot ring per stream. Default 1,024 records and 1 MiB. */
  ringRecords?: number;
  ringBytes?: number;
}

/** Who is told of commits: the hub and the projections. */
export interface LogListener {
  /** The events of one commit, grouped by stream, each stream's in order. Called before any answer of that tick leaves. */
  committed(stream: Stream, events: CommittedEvent[]): void;
  /** The stream is gone; its readers are to be told. */
  deleted(stream: Stream): void;
}

/** The log of every stream: assigns offsets, encodes each event once, keeps states and a hot ring, reads cold pages. */
export class StreamLog {
  readonly #store: EventStore;
  readonly #committer: Committer;
  readonly #elapsed: () => number;
  readonly #ringRecords: number;
  readonly #ringBytes: number;
  readonly #heads = new Map<string, StreamHead>();
  readonly #loaded = new Map<string, Stream>();
  readonly #loading = new Map<string, Promise<Stream>>();
  readonly #tails = new Map<string, Tail>();
  /** Streams that were appended to since the last checkpoint. */
  readonly #dirty = new Set<Stream>();
  #listener: LogListener | undefined;

  constructor({ store, committer, elapsed, ringRecords = 1_024, ringBytes = 1_048_576 }: StreamLogOptions) {
    this.#store = store;
    this.#committer = committer;
    this.#elapsed = elapsed;
    this.#ringRecords = ringRecords;
    this.#ringBytes = ringBytes;
  }

  listen(listener: LogListener): void {
    this.#listener = listener;
  }

  /** Fills the index at start. */
  load(heads: readonly StreamHead[]): void {
    for (const head of heads) this.#heads.set(head.stream, head);
  }

  /** Names of all streams that have an event, of a kind. */
  names(prefix: string): string[] {
    return [...this.#heads.keys()].filter((name) => name.startsWith(prefix));
  }

  /** Where a stream stands; undefined for one without events. */
  headOf(name: string): Readonly<StreamHead> | undefined {
    return this.#heads.get(name);
  }

  /** Whether the stream has an event. */
  exists(name: string): boolean {
    return this.#heads.has(name);
  }

  /** The stream if it is in memory. */
  peek(name: string): Stream | undefined {
    return this.#loaded.get(name);
  }

  /** The stream, brought into memory; a new, empty one when there is none. Nothing is stored by opening. */
  open(name: string): Promise<Stream> {
    // Before what is loaded: it is there a moment before the first who asked is told, and nobody may overtake that one.
    const loading = this.#loading.get(name);
    if (loading) return loading;
    const loaded = this.#loaded.get(name);
    if (loaded) {
      loaded.usedAtMs = this.#elapsed();
      return Promise.resolve(loaded);
    }
    const opened = this.#load(name);
    this.#loading.set(name, opened);
    const forget = () => this.#loading.delete(name);
    opened.then(forget, forget);
    return opened;
  }

  /**
   * The stream as it is now, for a handler that had to wait since it opened it: another one when it was deleted meanwhile.
   */
  current(stream: Stream): Stream {
    return stream.isDeleted ? (this.#loaded.get(stream.name) ?? this.#fresh(stream.name)) : stream;
  }

  async #load(name: string): Promise<Stream> {
    const head = this.#heads.get(name);
    if (!head) return this.#fresh(name);
    const stored = await this.#store.readState(name);
    let state = stored.state ?? emptyState(name);
    for (const { bytes } of stored.records) state = reduce(state, JSON.parse(Buffer.from(bytes).toString()));
    const stream: Stream = {
      name,
      epoch: head.epoch,
      head: head.head,
      state,
      committedHead: head.head,
      committedState: state,
      low: head.low,
      ring: [],
      ringBytes: 0,
      isDeleted: false,
      isErased: false,
      usedAtMs: this.#elapsed(),
    };
    this.#loaded.set(name, stream);
    // What only the log knows of its state is to be in the next checkpoint, before retention takes it.
    if (stored.records.length > 0) this.#dirty.add(stream);
    return stream;
  }

  #fresh(name: string): Stream {
    const state = emptyState(name);
    const stream: Stream = {
      name,
      epoch: randomId(5),
      head: 0,
      state,
      committedHead: 0,
      committedState: state,
      low: 1,
      ring: [],
      ringBytes: 0,
      isDeleted: false,
      isErased: false,
      usedAtMs: this.#elapsed(),
    };
    this.#loaded.set(name, stream);
    return stream;
  }

  /** Appends an event: assigns the next offset, encodes it, moves the state on. It is seen by nobody before its commit. */
  append(stream: Stream, event: string, payload: unknown, { keep, durable = false }: AppendOptions = {}): number {
    const next = reduce(stream.state, { event, payload });
    const tail = this.#tail(stream);
    const offset = stream.head + 1;
    const frame = EncodedFrame.fromText(JSON.stringify({ type: 'event', event, payload, stream: stream.name, offset }));
    stream.head = offset;
    stream.state = next;
    stream.usedAtMs = this.#elapsed();
    const record: LogRecord = { offset, frame, event, payload };
    stream.ring.push(record);
    stream.ringBytes += frame.bytes.length;
    tail.records.push(record);
    tail.stored.push({ offset, bytes: frame.bytes, ...(keep ? { keep } : {}) });
    this.#committer.grew(frame.bytes.length);
    tail.head = offset;
    tail.state = next;
    const kind = parseStreamName(stream.name)?.kind;
    if (durable || kind === 'agent' || kind === 'channel' || kind === 'node') tail.batch.durable = true;
    return offset;
  }

  /** The tail of this tick's batch for the stream; made, with its undo, at the first touch. */
  #tail(stream: Stream): Tail {
    const known = this.#tails.get(stream.name);
    if (known && known.stream === stream && this.#committer.isCurrent(known.batch)) return known;
    const before = { head: stream.head, state: stream.state };
    const isNew = !this.#heads.has(stream.name);
    const batch = this.#committer.change(() => {
      stream.head = before.head;
      stream.state = before.state;
      while ((stream.ring.at(-1)?.offset ?? 0) > before.head)
        stream.ringBytes -= stream.ring.pop()?.frame.bytes.length ?? 0;
      if (isNew) this.#heads.delete(stream.name);
    });
    const tail: Tail = { batch, stream, records: [], stored: [], head: before.head, state: before.state };
    batch.appends.push({ stream: stream.name, epoch: stream.epoch, records: tail.stored });
    this.#tails.set(stream.name, tail);
    if (isNew) this.#heads.set(stream.name, { stream: stream.name, epoch: stream.epoch, head: 0, low: 1 });
    this.#committer.onApplied(() => this.#applied(tail));
    return tail;
  }

  #applied(tail: Tail): void {
    const { stream } = tail;
    stream.committedHead = tail.head;
    stream.committedState = tail.state;
    const head = this.#heads.get(stream.name);
    if (head && head.epoch === stream.epoch) head.head = tail.head;
    if (this.#tails.get(stream.name) === tail) this.#tails.delete(stream.name);
    if (!stream.isDeleted) this.#dirty.add(stream);
    this.#listener?.committed(
      stream,
      tail.records.map(({ offset, frame, event, payload }) => ({
        stream: stream.name,
        event: event as string,
        payload,
        offset,
        frame,
      })),
    );
    this.#shrinkRing(stream);
  }

  #shrinkRing(stream: Stream): void {
    let drop = 0;
    while (
      drop < stream.ring.length - 1 &&
      (stream.ring.length - drop > this.#ringRecords || stream.ringBytes > this.#ringBytes) &&
      (stream.ring[drop]?.offset ?? 0) < stream.committedHead
    ) {
      stream.ringBytes -= stream.ring[drop]?.frame.bytes.length ?? 0;
      drop++;
    }
    if (drop > 0) stream.ring.splice(0, drop);
  }

  /**
   * Erases the stream with this tick's commit: its readers are then told `deleted`. The same name opened later is a new
   * stream with a new epoch.
   */
  delete(stream: Stream): void {
    const head = this.#heads.get(stream.name);
    const tail = this.#tails.get(stream.name);
    const batch = this.#committer.change(() => {
      stream.isDeleted = false;
      this.#loaded.set(stream.name, stream);
      if (head) this.#heads.set(stream.name, head);
    });
    stream.isDeleted = true;
    // What this tick appended to it must not come back after the erasure; its readers still get it before `deleted`.
    if (tail) batch.appends = batch.appends.filter(({ records }) => records !== tail.stored);
    batch.media = batch.media.filter((media) => media.stream !== stream.name);
    batch.deletes.push(stream.name);
    batch.durable = true;
    this.#loaded.delete(stream.name);
    this.#heads.delete(stream.name);
    this.#dirty.delete(stream);
    this.#committer.onApplied(() => {
      stream.isErased = true;
      this.#listener?.deleted(stream);
    });
  }

  /**
   * Committed records after `after`, oldest first, at most `maxCount` and, beyond the first, `maxBytes`. From the ring at
   * once when it reaches that far back, else from the store.
   */
  read(stream: Stream, after: number, maxCount = 256, maxBytes = 262_144): LogRecord[] | Promise<LogRecord[]> {
    const first = stream.ring[0];
    if (first && (first.from ?? first.offset) <= after + 1) return this.#readRing(stream, after, maxCount, maxBytes);
    const ceiling = stream.committedHead;
    return this.#store
      .read(stream.name, { after, maxCount, maxBytes })
      .then((records) => records.filter(({ offset }) => offset <= ceiling).map(toLogRecord));
  }

  #readRing(stream: Stream, after: number, maxCount: number, maxBytes: number): LogRecord[] {
    const { ring } = stream;
    // The ring is contiguous, so the place of an offset follows from the last one.
    let index = Math.max(0, ring.length - ((ring.at(-1)?.offset ?? 0) - after));
    const page: LogRecord[] = [];
    let bytes = 0;
    for (; index < ring.length && page.length < maxCount; index++) {
      const record = ring[index] as LogRecord;
      if (record.offset > stream.committedHead) break;
      bytes += record.frame.bytes.length;
      if (page.length > 0 && bytes > maxBytes) break;
      page.push(record);
    }
    return page;
  }

  /** Messages of the transcript before an offset, newest `maxCount` of them, oldest first. */
  async readMessages(stream: Stream, before: number, maxCount: number, maxBytes: number): Promise<LogRecord[]> {
    if (!this.#heads.has(stream.name) || maxCount === 0) return [];
    const records = await this.#store.readMessages(stream.name, { before, maxCount, maxBytes });
    return records.map(toLogRecord);
  }

  /** Gives the stream a new epoch, on the disk before it resolves; readers of the old one are to be reset. */
  async renewEpoch(stream: Stream): Promise<void> {
    const before = stream.epoch;
    const epoch = randomId(5);
    // Set before the store is asked: what is appended meanwhile, also earlier in this tick, belongs to the new one.
    this.#setEpoch(stream, epoch);
    if (!this.#heads.has(stream.name)) return;
    try {
      await this.#store.renewEpoch(stream.name, epoch);
    } catch (error) {
      this.#setEpoch(stream, before);
      throw error;
    }
  }

  #setEpoch(stream: Stream, epoch: string): void {
    stream.epoch = epoch;
    const head = this.#heads.get(stream.name);
    if (head) head.epoch = epoch;
    const tail = this.#tails.get(stream.name);
    const append =
      tail &&
      this.#committer.isCurrent(tail.batch) &&
      tail.batch.appends.find(({ records }) => records === tail.stored);
    if (append) append.epoch = epoch;
  }

  /** Moves `low` up: what lies below may be gone (S16), and is, with everything that is kept, when it erases (S29). */
  async trim(stream: Stream, low: number, options: { isErasing?: boolean } = {}): Promise<void> {
    if (low < stream.low || (low === stream.low && !options.isErasing)) return;
    await this.#store.trim(stream.name, low, options);
    stream.low = low;
    const head = this.#heads.get(stream.name);
    if (head) head.low = low;
    while ((stream.ring[0]?.offset ?? low) < low) stream.ringBytes -= stream.ring.shift()?.frame.bytes.length ?? 0;
  }

  /** Hands the states of the streams that changed since the last time, as committed, to the store. */
  async checkpoint(): Promise<void> {
    const dirty = [...this.#dirty].filter((stream) => !stream.isDeleted);
    this.#dirty.clear();
    if (dirty.length === 0) return;
    try {
      await this.#store.checkpoint(
        dirty.map(({ name, committedHead, committedState }) => ({
          stream: name,
          offset: committedHead,
          state: committedState,
        })),
      );
    } catch (error) {
      for (const stream of dirty) if (!stream.isDeleted) this.#dirty.add(stream);
      throw error;
    }
  }

  /** Lets go of streams that nobody used for a while. `isPinned` keeps those with readers or runs. */
  evict(idleMs: number, isPinned: (stream: Stream) => boolean): void {
    const before = this.#elapsed() - idleMs;
    // Asking about what does not exist must not fill the memory; a request under way is done by then.
    const unbornBefore = this.#elapsed() - Math.min(idleMs, 60_000);
    for (const stream of this.#loaded.values()) {
      const isQuiet =
        stream.usedAtMs < (stream.head === 0 ? unbornBefore : before) &&
        stream.head === stream.committedHead &&
        !this.#dirty.has(stream);
      if (isQuiet && !isPinned(stream)) this.#loaded.delete(stream.name);
    }
  }

  get loadedCount(): number {
    return this.#loaded.size;
  }
}

function toLogRecord({ offset, from, bytes }: EventRecord): LogRecord {
  return { offset, ...(from === undefined ? {} : { from }), frame: EncodedFrame.fromBytes(bytes) };
}
