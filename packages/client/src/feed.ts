import {
  GatewayError,
  type Position,
  type ResetReason,
  type StreamEventFrame,
  type StreamState,
} from '@openclaw/protocol/wire';
import { applyFrame, type Bookmark, cursorOfState } from './cursor.ts';

/** A snapshot as `stream.reset` carries it. */
export interface ResetPayload extends Position {
  stream: string;
  reason: ResetReason;
  state?: StreamState;
}

/** One reader of a stream. Its cursor is its own: readers of one stream may stand at different places. */
export interface FeedReader {
  /** The last event applied; undefined until a snapshot, or the feed's own place, gives it one. */
  cursor: Bookmark | undefined;
  /** Without a cursor: true to begin with a snapshot, false to begin wherever the feed is. */
  needsState: boolean;
  /** Where the feed last found a gap for it. */
  gapAt?: Bookmark | undefined;
  /** One event, applied; `cursor` is already behind it. */
  event(frame: StreamEventFrame, units: number): void;
  /** Continuity broke, or the first snapshot came; `cursor` is already at it. */
  reset(reset: ResetPayload): void;
  /** All that the stream held is told; what follows is live. */
  live?(): void;
  /** Nothing follows: the stream is gone, or may not be read. */
  ended(why: EndReason): void;
}

/** Why nothing follows. */
export type EndReason = 'deleted' | 'scope_lost' | GatewayError;

/** The error for a stream that may not be read. */
export function forbidden(stream: string): GatewayError {
  return new GatewayError('FORBIDDEN', `Reading ${stream} needs another scope or role.`, {
    details: { code: 'MISSING_SCOPE' },
  });
}

/** What is asked of the gateway; `after` undefined asks for a snapshot. */
interface Ask {
  stream: string;
  after: Position | undefined;
}

/**
 * One stream on one connection: a single cursor at the gateway feeds any number of readers. Whoever stands behind it makes
 * it go back; the others ignore what they have (S12). Every method returns true when the stream has to be asked for again.
 */
export class Feed {
  readonly name: string;
  /** The gateway's name for it, as its answers say. */
  canonical: string;
  readonly readers = new Set<FeedReader>();
  /** Set while the answer to `streams.subscribe` is awaited. */
  asked: Ask | undefined;
  /** Set between an answer that promises a snapshot and that snapshot. */
  #expected: Ask | undefined;
  isSubscribed = false;
  cancelLinger: (() => void) | undefined;
  /** The epoch of what the gateway sends on this connection; a reader of another one waits for its snapshot. */
  #epoch: string | undefined;
  /** As far as this feed itself has seen the stream. */
  #head: Position | undefined;

  constructor(name: string) {
    this.name = name;
    this.canonical = name;
  }

  /** Takes a reader in. */
  admit(reader: FeedReader): boolean {
    this.readers.add(reader);
    const head = this.#head;
    // From here on at the latest: what it waits for may come before the answer to an ask that is on its way.
    if (head && !reader.needsState) reader.cursor ??= this.#bookmark(head);
    // The answer that is on its way shows whether it serves this reader too.
    if (this.asked || this.#expected) return false;
    return !this.isSubscribed || !head || !isAt(reader.cursor, head);
  }

  /** Asks from where nobody misses anything. */
  ask(): Ask {
    const oldest = this.#oldest();
    this.asked = { stream: this.name, after: oldest && { epoch: oldest.epoch, offset: oldest.offset } };
    return this.asked;
  }

  /** The connection is gone; the readers keep their places. */
  disconnected(): void {
    this.asked = undefined;
    this.#expected = undefined;
    this.isSubscribed = false;
    this.#epoch = undefined;
  }

  resumed(epoch: string): boolean {
    const offset = this.asked?.after?.offset ?? 0;
    this.asked = undefined;
    this.#expected = undefined;
    this.isSubscribed = true;
    this.#epoch = epoch;
    // The gateway has come to where it resumes: whoever stands further back asks from there.
    if (this.#head?.epoch !== epoch || this.#head.offset < offset) this.#head = { epoch, offset };
    for (const reader of this.readers) {
      if (!reader.needsState) reader.cursor ??= this.#bookmark(this.#head);
    }
    return [...this.readers].some(({ cursor }) => cursor?.epoch !== epoch || cursor.offset < offset);
  }

  promisedState(): void {
    this.#expected = this.asked;
    this.asked = undefined;
    this.isSubscribed = true;
  }

  event(frame: StreamEventFrame, units: number): boolean {
    this.#follow(frame);
    let mustAsk = false;
    for (const reader of [...this.readers]) {
      if (!reader.cursor || reader.cursor.epoch !== this.#epoch || !this.readers.has(reader)) continue;
      const applied = applyFrame(reader.cursor, frame);
      if (applied.verdict === 'applied') {
        reader.cursor = applied.cursor;
        reader.event(applied.frame, units);
      } else if (applied.verdict === 'gap' && this.#missed(reader)) mustAsk = true;
    }
    return mustAsk;
  }

  reset(reset: ResetPayload): boolean {
    const { reason, epoch, offset, state } = reset;
    const expected = this.#expected;
    this.#expected = undefined;
    this.#epoch = epoch;
    const cursor = cursorOfState(this.canonical, reset, state);
    if (this.#head?.epoch !== epoch || this.#head.offset < offset || !expected) this.#head = { epoch, offset };
    let mustAsk = false;
    for (const reader of [...this.readers]) {
      const at = reader.cursor;
      if (at && at.epoch === epoch && !concerns(expected, at, reason)) {
        // Someone else asked: who is behind asks from its own place.
        if (at.offset < offset) mustAsk = true;
        continue;
      }
      reader.cursor = cursor;
      reader.reset(reset);
    }
    return mustAsk;
  }

  live({ epoch, offset }: Position): boolean {
    let mustAsk = false;
    for (const reader of [...this.readers]) {
      if (reader.cursor?.epoch !== epoch) continue;
      if (reader.cursor.offset > offset) mustAsk = true;
      else if (reader.cursor.offset === offset) reader.live?.();
      else if (this.#missed(reader)) mustAsk = true;
    }
    return mustAsk;
  }

  /** Tells every reader that nothing follows, and lets go of them. */
  end(why: EndReason): void {
    this.isSubscribed = false;
    this.#head = undefined;
    this.cancelLinger?.();
    const readers = [...this.readers];
    this.readers.clear();
    for (const reader of readers) reader.ended(why);
  }

  #bookmark(at: Position): Bookmark {
    return { stream: this.canonical, ...at, open: {} };
  }

  #oldest(): Bookmark | undefined {
    let oldest: Bookmark | undefined;
    for (const { cursor } of this.readers) {
      if (!cursor) return undefined;
      // Another epoch than the feed's, or a place that the stream has not come to, is the gateway's to judge (S15).
      if (this.#head && (cursor.epoch !== this.#head.epoch || cursor.offset > this.#head.offset)) return cursor;
      if (!oldest || cursor.offset < oldest.offset) oldest = cursor;
    }
    return oldest;
  }

  #follow(frame: StreamEventFrame): void {
    const { offset, from = offset } = frame;
    if (!this.#head || offset <= this.#head.offset) return;
    // A feed that lost its own place says so by having none: the next reader asks.
    this.#head = from > this.#head.offset + 1 ? undefined : { ...this.#head, offset };
  }

  /** A gap: true when nothing that is on its way will fill it. */
  #missed(reader: FeedReader): boolean {
    if (this.asked || this.#expected || !reader.cursor) return false;
    const { cursor, gapAt } = reader;
    // A second gap at the same place is answered with a snapshot.
    if (isAt(gapAt, cursor)) reader.cursor = undefined;
    reader.gapAt = cursor;
    return true;
  }
}

function isAt(place: Position | undefined, other: Position): boolean {
  return place?.epoch === other.epoch && place.offset === other.offset;
}

/** Whether a snapshot in the reader's own epoch is meant for it. */
function concerns(expected: Ask | undefined, at: Bookmark, reason: ResetReason): boolean {
  // Unasked, the gateway replaces what every reader has; only a fresh subscription under another name does not.
  if (!expected) return reason !== 'no_position';
  return isAt(expected.after, at);
}
