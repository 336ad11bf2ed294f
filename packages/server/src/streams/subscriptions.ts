import {
  agentStream,
  allowsScope,
  CloseCode,
  canonicalSessionKey,
  GatewayError,
  type Payload,
  type Position,
  parseStreamName,
  type ResetReason,
  type Result,
  sessionStream,
  streamScope,
} from '@openclaw/protocol';
import type { Identity, Peer } from '../connection/peer.ts';
import { noObserver, type SafeObserver } from '../observer.ts';
import type { CommittedEvent } from './committed-event.ts';
import { fitReset, mergePage } from './range-frames.ts';
import type { LogRecord, Stream, StreamLog } from './stream-log.ts';

/** A reader of one stream: the log is its buffer, the cursor all that is kept for it (S26). */
interface Cursor {
  stream: Stream;
  /** The last offset that was sent. */
  at: number;
  /** Whether commits are pushed to it; else the pump reads for it. */
  isLive: boolean;
  /** Set until `stream.live` was sent. */
  owesLive: boolean;
  /** Set while it catches up after the peer was slow: adjacent deltas are merged. */
  isMerging: boolean;
}

/** A peer with its cursors. */
interface Reader {
  peer: Peer;
  cursors: Map<string, Cursor>;
  /** Subscribe requests that have not begun yet, and what was unsubscribed meanwhile: that came later, so it wins. */
  startingCount: number;
  endedMeanwhile: Map<string, number>;
  isSlow: boolean;
  isPumping: boolean;
}

/** A stream that a request may read; without `stream` it may not. */
interface Admitted {
  name: string;
  stream: Stream | undefined;
  after: Position | undefined;
}

type Answer = Result<'streams.subscribe'>['streams'][number];

/** What a subscribe request comes to once everything before it is committed: its answer, and what follows the answer. */
export interface Subscribed {
  result: Result<'streams.subscribe'>;
  begin(): void;
}

export interface SubscriptionsOptions {
  log: StreamLog;
  /** The agent of session keys that name none. */
  defaultAgentId: string;
  /** Bytes queued on a socket above which the gateway stops pushing to it. Default 1 MiB. */
  highWatermarkBytes?: number;
  /** Streams that one connection may read. Default 4,096. */
  maxStreams?: number;
  /** Told of positions and of slow readers. Default nobody. */
  observer?: SafeObserver;
}

/** The hub: who reads which stream from where (S5–S10, S26). */
export class Subscriptions {
  /** Positions ahead of head in the current epoch (S15); stays 0 unless a client forges one. */
  aheadCount = 0;
  readonly #log: StreamLog;
  readonly #defaultAgentId: string;
  readonly #highBytes: number;
  readonly #maxStreams: number;
  readonly #observer: SafeObserver;
  readonly #readers = new Map<Peer, Reader>();
  readonly #byStream = new Map<Stream, Set<Reader>>();
  readonly #renewed = new Set<string>();
  #requestCount = 0;

  constructor({
    log,
    defaultAgentId,
    highWatermarkBytes = 1_048_576,
    maxStreams = 4_096,
    observer = noObserver,
  }: SubscriptionsOptions) {
    this.#observer = observer;
    this.#log = log;
    this.#defaultAgentId = defaultAgentId;
    this.#highBytes = highWatermarkBytes;
    this.#maxStreams = maxStreams;
  }

  /** Whether anyone reads the stream. */
  hasReaders(stream: Stream): boolean {
    return this.#byStream.has(stream);
  }

  /** Brings the streams into memory; what it resolves with is to be called when everything so far is committed. */
  async subscribe(
    peer: Peer,
    requests: readonly { stream: string; after?: Position | undefined }[],
  ): Promise<() => Subscribed> {
    if (!peer.hasStreams) {
      throw new GatewayError(
        'INVALID_REQUEST',
        "streams.subscribe needs 'streams' in the caps of connect (S4); connect again with it.",
      );
    }
    const reader = this.#readerOf(peer);
    const number = ++this.#requestCount;
    reader.startingCount++;
    const ended = () => {
      if (--reader.startingCount === 0) reader.endedMeanwhile.clear();
    };
    let opened: Admitted[];
    try {
      opened = await Promise.all(requests.map(({ stream, after }) => this.#admit(peer.identity, stream, after)));
      this.#checkLimit(reader, opened);
    } catch (error) {
      ended();
      throw error;
    }
    return () => {
      const begins: (() => void)[] = [];
      const streams = opened.map(({ name, stream, after }): Answer => {
        // Scopes may have been taken away since it was admitted.
        if (!stream || !mayRead(peer.identity, name))
          return { stream: name, epoch: '', head: 0, result: 'forbidden', reason: 'scope_lost' };
        return this.#start(reader, number, stream, after, begins);
      });
      return {
        result: { streams },
        begin: () => {
          for (const begin of begins) begin();
          ended();
        },
      };
    };
  }

  #readerOf(peer: Peer): Reader {
    let reader = this.#readers.get(peer);
    if (!reader) {
      reader = {
        peer,
        cursors: new Map(),
        startingCount: 0,
        endedMeanwhile: new Map(),
        isSlow: false,
        isPumping: false,
      };
      this.#readers.set(peer, reader);
    }
    return reader;
  }

  /** Streams that it reads already count once: a reader at the limit can still mend a gap. */
  #checkLimit({ cursors }: Reader, opened: readonly { name: string }[]): void {
    const fresh = new Set(opened.map(({ name }) => name).filter((name) => !cursors.has(name)));
    if (cursors.size + fresh.size <= this.#maxStreams) return;
    throw new GatewayError(
      'INVALID_REQUEST',
      `A connection reads at most ${this.#maxStreams} streams; it reads ${cursors.size} and asked for ${fresh.size} more. Unsubscribe from some.`,
    );
  }

  async #admit(identity: Identity, asked: string, after: Position | undefined): Promise<Admitted> {
    const name = this.#canonical(asked);
    // Permission before existence: who may not read learns nothing of what exists (S7).
    if (name === undefined || !mayRead(identity, name)) return { name: name ?? asked, stream: undefined, after };
    const stream = await this.#log.open(name);
    const isAhead = after !== undefined && after.epoch === stream.epoch && after.offset > stream.committedHead;
    if (isAhead && this.#log.exists(name)) {
      this.aheadCount++;
      if (!this.#renewed.has(name)) {
        this.#renewed.add(name);
        await this.#log.renewEpoch(stream);
        this.#resetAll(stream, 'epoch_changed');
      }
      return { name, stream, after: { epoch: stream.epoch, offset: Number.POSITIVE_INFINITY } };
    }
    return { name, stream, after };
  }

  #start(reader: Reader, number: number, stream: Stream, after: Position | undefined, begins: (() => void)[]): Answer {
    const base = { stream: stream.name, epoch: stream.epoch, head: stream.committedHead };
    if (stream.isErased) return { ...base, epoch: '', head: 0, result: 'gone', reason: 'deleted' };
    const isUnborn = stream.head === 0;
    if (isUnborn && after && after.offset > 0)
      return { ...base, epoch: '', head: 0, result: 'gone', reason: 'deleted' };
    const reason = isUnborn && after ? undefined : resetReasonOf(stream, after);
    const cursor: Cursor = {
      stream,
      at: after && reason === undefined ? after.offset : stream.committedHead,
      isLive: false,
      owesLive: true,
      isMerging: false,
    };
    // An unborn stream's epoch is the one its first event keeps, so there is nothing that a position could miss.
    if (isUnborn && after && after.epoch !== stream.epoch) {
      begins.push(() => this.#begin(reader, number, cursor, 'no_position'));
      return { ...base, result: 'snapshot', reason: 'no_position' };
    }
    begins.push(() => this.#begin(reader, number, cursor, reason));
    return reason === undefined ? { ...base, result: 'resumed' } : { ...base, result: 'snapshot', reason };
  }

  #begin(reader: Reader, number: number, cursor: Cursor, reason: ResetReason | undefined): void {
    const { stream } = cursor;
    if (!reader.peer.isOpen || this.#readers.get(reader.peer) !== reader) return;
    if ((reader.endedMeanwhile.get(stream.name) ?? 0) > number) return;
    if (!reader.cursors.has(stream.name) && reader.cursors.size >= this.#maxStreams) {
      reader.peer.close(CloseCode.rateLimited, `more than ${this.#maxStreams} streams on one connection`);
      return;
    }
    reader.cursors.set(stream.name, cursor);
    const readers = this.#byStream.get(stream);
    if (readers) readers.add(reader);
    else this.#byStream.set(stream, new Set([reader]));
    this.#observer.resumed(reason ?? 'full');
    if (reason !== undefined) this.#sendReset(reader, cursor, reason);
    this.#pump(reader);
  }

  /** Ends subscriptions of a peer; returns their canonical names. */
  unsubscribe(peer: Peer, names: readonly string[]): string[] {
    const canonical = names.map((name) => this.#canonical(name) ?? name);
    const reader = this.#readers.get(peer);
    const number = ++this.#requestCount;
    for (const name of canonical) {
      // Bounded: beyond it, an unsubscribe that overtakes its subscribe is the peer's to repeat.
      if (reader && reader.startingCount > 0 && reader.endedMeanwhile.size < this.#maxStreams) {
        reader.endedMeanwhile.set(name, number);
      }
      const cursor = reader?.cursors.get(name);
      if (reader && cursor) this.#drop(reader, cursor);
    }
    return canonical;
  }

  /** The canonical name of a stream, undefined when it is none. */
  #canonical(name: string): string | undefined {
    const parsed = parseStreamName(name);
    if (parsed?.kind !== 'session') return parsed ? name : undefined;
    const key = canonicalSessionKey(parsed.id, this.#defaultAgentId);
    return key === undefined ? undefined : sessionStream(key);
  }

  /** Ends what a peer may no longer read, and says so (S9). */
  revoke(peer: Peer): void {
    const reader = this.#readers.get(peer);
    if (!reader) return;
    for (const cursor of [...reader.cursors.values()]) {
      if (mayRead(peer.identity, cursor.stream.name)) continue;
      this.#sendEnd(reader, cursor, 'scope_lost');
    }
  }

  leave(peer: Peer): void {
    const reader = this.#readers.get(peer);
    if (!reader) return;
    for (const cursor of [...reader.cursors.values()]) this.#drop(reader, cursor);
    this.#readers.delete(peer);
  }

  /** Pushes what was committed to the readers that are live. */
  committed(stream: Stream, events: readonly CommittedEvent[]): void {
    const readers = this.#byStream.get(stream);
    if (!readers) return;
    for (const reader of readers) {
      const cursor = reader.cursors.get(stream.name);
      if (!cursor?.isLive) continue;
      for (const { offset, frame } of events) {
        if (reader.peer.queuedBytes > this.#highBytes) {
          this.#slowDown(reader);
          break;
        }
        if (offset !== cursor.at + 1) continue;
        reader.peer.send(frame);
        cursor.at = offset;
      }
      if (cursor.at < stream.committedHead) {
        cursor.isLive = false;
        if (!reader.isSlow) this.#pump(reader);
      }
    }
  }

  /** Tells the readers of a stream that it is gone. */
  deleted(stream: Stream): void {
    for (const reader of [...(this.#byStream.get(stream) ?? [])]) {
      const cursor = reader.cursors.get(stream.name);
      if (cursor?.stream === stream) this.#sendEnd(reader, cursor, 'deleted');
    }
  }

  /** The peer drained its queue: go on from the log. */
  drained(peer: Peer): void {
    const reader = this.#readers.get(peer);
    if (!reader?.isSlow) return;
    reader.isSlow = false;
    peer.pauseReading(false);
    this.#pump(reader);
  }

  #slowDown(reader: Reader): void {
    if (reader.isSlow) return;
    reader.isSlow = true;
    this.#observer.slowConsumer('merged');
    reader.peer.pauseReading(true);
    for (const cursor of reader.cursors.values()) cursor.isMerging = true;
  }

  #resetAll(stream: Stream, reason: ResetReason): void {
    for (const reader of this.#byStream.get(stream) ?? []) {
      const cursor = reader.cursors.get(stream.name);
      if (!cursor) continue;
      this.#observer.reset(reason);
      this.#sendReset(reader, cursor, reason);
    }
  }

  #drop(reader: Reader, cursor: Cursor): void {
    const { stream } = cursor;
    if (reader.cursors.get(stream.name) === cursor) reader.cursors.delete(stream.name);
    const readers = this.#byStream.get(stream);
    readers?.delete(reader);
    if (readers?.size === 0) this.#byStream.delete(stream);
  }

  #sendEnd(reader: Reader, cursor: Cursor, reason: 'deleted' | 'scope_lost'): void {
    const { stream } = cursor;
    const payload: Payload<'stream.reset'> = { stream: stream.name, epoch: stream.epoch, offset: cursor.at, reason };
    reader.peer.sendEvent('stream.reset', JSON.stringify(payload));
    this.#drop(reader, cursor);
  }

  #sendReset(reader: Reader, cursor: Cursor, reason: ResetReason): void {
    const { stream } = cursor;
    cursor.at = stream.committedHead;
    const head = { stream: stream.name, epoch: stream.epoch, offset: cursor.at, reason };
    reader.peer.sendEvent('stream.reset', fitReset(head, stream.committedState));
  }

  /** Reads for the cursors that are behind, a page each in turn, until all are live or the peer is slow (S8). */
  #pump(reader: Reader): void {
    if (reader.isPumping) return;
    reader.isPumping = true;
    this.#pumpPages(reader).catch((error: unknown) => {
      reader.isPumping = false;
      this.#observer.warning('a stream could not be read from the store', error);
      reader.peer.close(1011, 'reading the log failed; the gateway’s log says why');
    });
  }

  async #pumpPages(reader: Reader): Promise<void> {
    for (;;) {
      // Anew each time: cursors come and go while a page is read.
      const behind = [...reader.cursors.values()].filter(({ isLive }) => !isLive);
      if (behind.length === 0) break;
      for (const cursor of behind) {
        if (cursor.isLive || !isCurrent(reader, cursor)) continue;
        if (reader.peer.queuedBytes > this.#highBytes) this.#slowDown(reader);
        if (reader.isSlow || !reader.peer.isOpen) {
          reader.isPumping = false;
          return;
        }
        const head = cursor.stream.committedHead;
        const page = this.#log.read(cursor.stream, cursor.at);
        // The ring answers at once, so that nothing of the stream can be committed in between.
        this.#sendPage(reader, cursor, head, Array.isArray(page) ? page : await page);
      }
    }
    // In the same turn as the last look: whoever falls behind from now on starts the next one.
    reader.isPumping = false;
  }

  /** `head` is the committed head from before the page was read. */
  #sendPage(reader: Reader, cursor: Cursor, head: number, page: LogRecord[]): void {
    if (!isCurrent(reader, cursor) || !reader.peer.isOpen) return;
    const { stream } = cursor;
    const first = page[0];
    const isGap = first !== undefined && (first.from ?? first.offset) > cursor.at + 1;
    if (isGap || (first === undefined && cursor.at < head)) {
      // Retention overtook it; a range that began before the cursor is no gap.
      this.#observer.reset('offset_expired');
      this.#sendReset(reader, cursor, 'offset_expired');
    } else {
      for (const record of cursor.isMerging ? mergePage(stream.name, page) : page) {
        reader.peer.send(record.frame);
        cursor.at = record.offset;
      }
    }
    if (cursor.at < stream.committedHead) return;
    cursor.isLive = true;
    cursor.isMerging = false;
    if (!cursor.owesLive) return;
    cursor.owesLive = false;
    reader.peer.sendEvent(
      'stream.live',
      JSON.stringify({ stream: stream.name, epoch: stream.epoch, offset: cursor.at }),
    );
  }
}

function isCurrent(reader: Reader, cursor: Cursor): boolean {
  return reader.cursors.get(cursor.stream.name) === cursor;
}

/** Why the position can't be honoured; undefined when it can. */
function resetReasonOf(stream: Stream, after: Position | undefined): ResetReason | undefined {
  if (!after) return 'no_position';
  if (after.epoch !== stream.epoch) return 'epoch_changed';
  if (after.offset > stream.committedHead) return 'offset_ahead';
  return after.offset < stream.low - 1 ? 'offset_expired' : undefined;
}

function mayRead(identity: Identity, name: string): boolean {
  const kind = parseStreamName(name)?.kind;
  if (kind === undefined) return false;
  if (identity.role === 'agent') return name === agentStream(identity.id);
  if (identity.role === 'channel') return name === `channel:${identity.id}`;
  if (identity.role !== 'operator') return false;
  const scope = streamScope(kind);
  return scope !== undefined && allowsScope(identity.scopes, scope);
}
