import type { GatewayError } from '@openclaw/protocol/wire';
import type { Bookmark } from './cursor.ts';
import type { FeedReader } from './feed.ts';
import type { Limits } from './limits.ts';
import { makeSignal } from './signal.ts';
import type { EventStream, EventsOptions, StreamEvent, StreamReset } from './stream-events.ts';
import type { Subscriptions } from './subscriptions.ts';

type Item = StreamEvent | StreamReset;
type Caps = Pick<Limits, 'bufferedEvents' | 'bufferedUnits'>;

/**
 * One iteration over a stream's events. What a slow consumer has not taken is held up to the caps; beyond them the reader
 * lets the stream go and reads on from its own position later: the gateway's log is the buffer.
 */
export function readEvents(
  subscriptions: Subscriptions,
  name: string,
  { bufferedEvents, bufferedUnits }: Caps,
  { after, signal }: EventsOptions = {},
): EventStream<Item> {
  let phase: 'new' | 'joined' | 'behind' | 'ended' = 'new';
  let bookmark = after;
  let items: { item: Item; units: number }[] = [];
  let heldUnits = 0;
  /** The event in the application's hands. */
  let taken: Item | undefined;
  let error: GatewayError | undefined;
  /** One waits for the next item, unless the application calls `next` again before the last is settled. */
  const { wait, tell: wake } = makeSignal();

  const reader: FeedReader = {
    cursor: after,
    needsState: true,
    event: ({ event, payload, offset, from }, units) =>
      push({ type: 'event', event, payload, offset, from, bookmark: reader.cursor as Bookmark }, units),
    reset: ({ reason, state }) => push({ type: 'reset', reason, state, bookmark: reader.cursor as Bookmark }, 0),
    ended(why) {
      if (phase === 'ended') return;
      if (typeof why === 'string') {
        const last = reader.cursor ?? { stream: name, epoch: '', offset: 0, open: {} };
        push({ type: 'reset', reason: why, bookmark: last }, 0);
      } else if (why.code !== 'CLOSED') {
        // One's own close() ends the loop; anything else is an error that the loop has to tell.
        error = why;
      }
      release();
    },
  };

  function join(): void {
    phase = 'joined';
    subscriptions.join(name, reader);
  }

  function push(item: Item, units: number): void {
    items.push({ item, units });
    heldUnits += units;
    if (items.length >= bufferedEvents || heldUnits >= bufferedUnits) {
      phase = 'behind';
      subscriptions.leave(name, reader);
    }
    wake();
  }

  /** Ended from this side: nothing more is handed out. */
  function finish(): void {
    items = [];
    error = undefined;
    subscriptions.leave(name, reader);
    release();
  }

  function release(): void {
    phase = 'ended';
    signal?.removeEventListener('abort', finish);
    wake();
  }

  const iterator: AsyncIterator<Item, undefined> = {
    async next() {
      // The handler of the event before has returned: only now it counts as handled (S12).
      bookmark = taken?.bookmark ?? bookmark;
      taken = undefined;
      if (phase === 'new') {
        signal?.addEventListener('abort', finish, { once: true });
        join();
      }
      if (signal?.aborted) finish();
      for (;;) {
        const first = items.shift();
        if (first) {
          heldUnits -= first.units;
          taken = first.item;
          return { done: false, value: taken };
        }
        if ((phase as string) === 'ended') {
          const told = error;
          error = undefined;
          if (told) throw told;
          return { done: true, value: undefined };
        }
        if (phase === 'behind') join();
        else await wait();
      }
    },
    async return() {
      finish();
      return { done: true, value: undefined };
    },
  };

  return {
    get bookmark() {
      return bookmark;
    },
    [Symbol.asyncIterator]: () => iterator,
  };
}
