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
  return new GatewayError('FORBIDDEN', `${stream} needs another scope or role.`, {
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
 * it go back; the others ignore what they have (S12). Methods return true when the stream has to be asked for again.
 */
export interface Feed {
  readonly name: string;
  /** The gateway's name for it, as its answers say. */
  canonical: string;
  readonly readers: Set<FeedReader>;
  /** Set while the answer to `streams.subscribe` is awaited. */
  asked?: Ask | undefined;
  isSubscribed?: boolean;
  cancelLinger?: (() => void) | undefined;
  admit(reader: FeedReader): boolean;
  /** Asks from where nobody misses anything. */
  ask(): Ask;
  /** The connection is gone; the readers keep their places. */
  disconnected(): void;
  resumed(epoch: string): boolean;
  promisedState(): void;
  event(frame: StreamEventFrame, units: number): boolean;
  reset(reset: ResetPayload): boolean;
  live(at: Position): boolean;
  /** Tells every reader that nothing follows, and lets go of them. */
  end(why: EndReason): void;
}

/** A feed without readers. */
export function makeFeed(name: string): Feed {
  const readers = new Set<FeedReader>();
  /** Set between an answer that promises a snapshot and that snapshot. */
  let expected: Ask | undefined;
  /** The epoch of what the gateway sends on this connection; a reader of another one waits for its snapshot. */
  let sentEpoch: string | undefined;
  /** As far as this feed itself has seen the stream. */
  let head: Position | undefined;

  const feed: Feed = {
    name,
    canonical: name,
    readers,

    admit(reader) {
      readers.add(reader);
      // From here on at the latest: what it waits for may come before the answer to an ask that is on its way.
      if (head && !reader.needsState) reader.cursor ??= bookmark(head);
      // The answer that is on its way shows whether it serves this reader too.
      if (feed.asked || expected) return false;
      return !feed.isSubscribed || !head || !isAt(reader.cursor, head);
    },

    ask() {
      const at = oldest();
      feed.asked = { stream: name, after: at && { epoch: at.epoch, offset: at.offset } };
      return feed.asked;
    },

    disconnected() {
      feed.asked = expected = sentEpoch = undefined;
      feed.isSubscribed = false;
    },

    resumed(epoch) {
      const offset = feed.asked?.after?.offset ?? 0;
      feed.asked = expected = undefined;
      feed.isSubscribed = true;
      sentEpoch = epoch;
      // The gateway has come to where it resumes: whoever stands further back asks from there.
      if (head?.epoch !== epoch || head.offset < offset) head = { epoch, offset };
      for (const reader of readers) {
        if (!reader.needsState) reader.cursor ??= bookmark(head);
      }
      return [...readers].some(({ cursor }) => cursor?.epoch !== epoch || cursor.offset < offset);
    },

    promisedState() {
      expected = feed.asked;
      feed.asked = undefined;
      feed.isSubscribed = true;
    },

    event(frame, units) {
      follow(frame);
      let mustAsk = false;
      for (const reader of [...readers]) {
        if (!reader.cursor || reader.cursor.epoch !== sentEpoch || !readers.has(reader)) continue;
        const applied = applyFrame(reader.cursor, frame);
        if (applied.verdict === 'applied') {
          reader.cursor = applied.cursor;
          reader.event(applied.frame, units);
        } else if (applied.verdict === 'gap' && missed(reader)) mustAsk = true;
      }
      return mustAsk;
    },

    reset(reset) {
      const { reason, epoch, offset, state } = reset;
      const awaited = expected;
      expected = undefined;
      sentEpoch = epoch;
      const cursor = cursorOfState(feed.canonical, reset, state);
      if (head?.epoch !== epoch || head.offset < offset || !awaited) head = { epoch, offset };
      let mustAsk = false;
      for (const reader of [...readers]) {
        const at = reader.cursor;
        if (at && at.epoch === epoch && !concerns(awaited, at, reason)) {
          // Someone else asked: who is behind asks from its own place.
          if (at.offset < offset) mustAsk = true;
          continue;
        }
        reader.cursor = cursor;
        reader.reset(reset);
      }
      return mustAsk;
    },

    live({ epoch, offset }) {
      let mustAsk = false;
      for (const reader of [...readers]) {
        if (reader.cursor?.epoch !== epoch) continue;
        if (reader.cursor.offset > offset) mustAsk = true;
        else if (reader.cursor.offset === offset) reader.live?.();
        else if (missed(reader)) mustAsk = true;
      }
      return mustAsk;
    },

    end(why) {
      feed.isSubscribed = false;
      head = undefined;
      feed.cancelLinger?.();
      const told = [...readers];
      readers.clear();
      for (const reader of told) reader.ended(why);
    },
  };

  function bookmark(at: Position): Bookmark {
    return { stream: feed.canonical, ...at, open: {} };
  }

  function oldest(): Bookmark | undefined {
    let found: Bookmark | undefined;
    for (const { cursor } of readers) {
      if (!cursor) return undefined;
      // Another epoch than the feed's, or a place that the stream has not come to, is the gateway's to judge (S15).
      if (head && (cursor.epoch !== head.epoch || cursor.offset > head.offset)) return cursor;
      if (!found || cursor.offset < found.offset) found = cursor;
    }
    return found;
  }

  function follow({ offset, from = offset }: StreamEventFrame): void {
    if (!head || offset <= head.offset) return;
    // A feed that lost its own place says so by having none: the next reader asks.
    head = from > head.offset + 1 ? undefined : { ...head, offset };
  }

  /** A gap: true when nothing that is on its way will fill it. */
  function missed(reader: FeedReader): boolean {
    const { cursor, gapAt } = reader;
    if (feed.asked || expected || !cursor) return false;
    // A second gap at the same place is answered with a snapshot.
    if (isAt(gapAt, cursor)) reader.cursor = undefined;
    reader.gapAt = cursor;
    return true;
  }

  return feed;
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
