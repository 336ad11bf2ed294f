import { type Clock, type EventFrame, mergeableDelta, mergeDeltas } from '@openclaw/protocol';
import { EncodedFrame } from '../transport/encoded-frame.ts';
import type { Documents } from './documents.ts';
import type { EventRecord, EventStore } from './event-store.ts';
import type { LogRecord, Stream, StreamLog } from './stream-log.ts';

/** What a stream keeps before its position is answered with a snapshot (S16). */
export interface RetentionOptions {
  /** Age, in ms of this process's uptime. Default 24 h. */
  maxAgeMs: number;
  /** The same for refusals in the audit trail; its other entries are kept. Default 90 days. */
  auditAgeMs: number;
  /** Events per stream. Default 100,000. */
  maxEvents: number;
  /** Bytes per stream, of events appended since the start. Default 64 MiB. */
  maxBytes: number;
  /** How long after the last event of a session its deltas are merged, in ms. Default 10 min. */
  mergeAfterMs: number;
}

export const defaultRetention: RetentionOptions = {
  maxAgeMs: 24 * 3_600_000,
  auditAgeMs: 90 * 24 * 3_600_000,
  maxEvents: 100_000,
  maxBytes: 64 * 1_048_576,
  mergeAfterMs: 600_000,
};

/** Where a stream stood at a time. */
interface Mark {
  atMs: number;
  head: number;
  bytes: number;
}

const mergedKind = 'merged-to';

/** Keeps the log within its bounds: expires what is old, and merges the deltas of what is finished. */
export class Retention {
  readonly #log: StreamLog;
  readonly #store: EventStore;
  readonly #documents: Documents;
  readonly #clock: Clock;
  readonly #options: RetentionOptions;
  readonly #onWarning: (warning: string, cause: unknown) => void;
  readonly #marks = new Map<string, Mark[]>();
  readonly #bytes = new Map<string, number>();

  constructor(parts: {
    log: StreamLog;
    store: EventStore;
    documents: Documents;
    clock: Clock;
    options?: Partial<RetentionOptions> | undefined;
    onWarning: (warning: string, cause: unknown) => void;
  }) {
    this.#log = parts.log;
    this.#store = parts.store;
    this.#documents = parts.documents;
    this.#clock = parts.clock;
    this.#onWarning = parts.onWarning;
    this.#options = { ...defaultRetention, ...parts.options };
  }

  /** Counts what was appended. */
  committed(stream: Stream, bytes: number): void {
    this.#bytes.set(stream.name, (this.#bytes.get(stream.name) ?? 0) + bytes);
  }

  forget(stream: string): void {
    this.#marks.delete(stream);
    this.#bytes.delete(stream);
    if (this.#documents.get(mergedKind, stream) !== undefined) this.#documents.set(mergedKind, stream, undefined);
  }

  /**
   * Looks at every stream once. `isBusy`: nothing of it may expire now (open runs, unsettled work). One stream that fails
   * leaves the others their turn.
   */
  async sweep(isBusy: (name: string) => boolean): Promise<void> {
    for (const name of this.#log.names('')) {
      try {
        await this.#look(name, isBusy(name));
      } catch (error) {
        this.#onWarning(`retention of ${name} failed; it is tried again`, error);
      }
    }
  }

  async #look(name: string, isBusy: boolean): Promise<void> {
    const known = this.#log.headOf(name);
    if (!known) return;
    // What is appended while this waits is for the next time.
    const { head, low: lowBefore } = { ...known };
    const marks = this.#mark(name, head);
    if (isBusy) return;
    const low = this.#lowOf(name, head, marks);
    if (low > lowBefore) await this.#log.trim(await this.#log.open(name), low);
    const quietSince = marks.find((mark) => mark.head === head)?.atMs ?? this.#clock.elapsed();
    const mergedTo = this.#documents.get<number>(mergedKind, name) ?? 0;
    const isQuiet = this.#clock.elapsed() - quietSince >= this.#options.mergeAfterMs;
    if (!name.startsWith('session:') || mergedTo >= head || !isQuiet) return;
    const stream = await this.#log.open(name);
    await this.#merge(stream, Math.max(mergedTo, low - 1), head);
    if (!stream.isDeleted) this.#documents.set(mergedKind, name, head, { durable: false });
  }

  #mark(name: string, head: number): Mark[] {
    const marks = this.#marks.get(name) ?? [];
    this.#marks.set(name, marks);
    if (marks.at(-1)?.head !== head)
      marks.push({ atMs: this.#clock.elapsed(), head, bytes: this.#bytes.get(name) ?? 0 });
    // One mark an hour is enough for ages; the newest tells since when it is quiet.
    const before = marks.at(-3);
    if (before && (marks.at(-2) as Mark).atMs - before.atMs < 3_600_000 && marks.length > 2) marks.splice(-2, 1);
    return marks;
  }

  /** The first offset to keep. */
  #lowOf(name: string, head: number, marks: Mark[]): number {
    const { maxEvents, maxBytes } = this.#options;
    const maxAgeMs = name === 'audit' ? this.#options.auditAgeMs : this.#options.maxAgeMs;
    const nowMs = this.#clock.elapsed();
    const bytes = marks.at(-1)?.bytes ?? 0;
    let low = Math.max(1, head - maxEvents + 1);
    for (const mark of marks) {
      if (nowMs - mark.atMs < maxAgeMs && bytes - mark.bytes < maxBytes) break;
      low = Math.max(low, mark.head + 1);
    }
    return low;
  }

  /** Each stretch of adjacent deltas of one part becomes one record; offsets stay (S16). */
  async #merge(stream: Stream, after: number, to: number): Promise<void> {
    let stretch: { first: number; frame: EventFrame; count: number } | undefined;
    const close = async () => {
      if (!stretch || stretch.count === 1 || stream.isDeleted) return;
      const { first, frame } = stretch;
      const offset = frame.offset as number;
      const record: EventRecord = { offset, from: first, bytes: EncodedFrame.fromText(JSON.stringify(frame)).bytes };
      await this.#store.rewrite(stream.name, first, offset, [record]);
    };
    for (let at = after; at < to; ) {
      const page: LogRecord[] = await this.#log.read(stream, at, 512, 1_048_576);
      if (page.length === 0 || stream.isDeleted) return;
      for (const { offset, from, frame: encoded } of page) {
        at = offset;
        const frame = JSON.parse(encoded.text) as EventFrame;
        const joined = stretch ? mergeDeltas(stretch.frame, frame) : undefined;
        if (stretch && joined) {
          stretch = { first: stretch.first, frame: joined, count: stretch.count + 1 };
          continue;
        }
        await close();
        stretch = mergeableDelta(frame) ? { first: from ?? offset, frame, count: 1 } : undefined;
      }
    }
    await close();
  }
}
