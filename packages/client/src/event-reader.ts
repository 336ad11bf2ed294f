import type { GatewayError, StreamEventFrame } from '@openclaw/protocol/wire';
import type { Bookmark } from './cursor.ts';
import type { FeedReader, ResetPayload } from './feed.ts';
import type { Limits } from './limits.ts';
import type { EventStream, EventsOptions, StreamEvent, StreamReset } from './stream-events.ts';
import type { Subscriptions } from './subscriptions.ts';

type Item = StreamEvent | StreamReset;
type Caps = Pick<Limits, 'bufferedEvents' | 'bufferedUnits'>;

/**
 * One iteration over a stream's events. What a slow consumer has not taken is held up to the caps; beyond them the reader
 * lets the stream go and reads on from its own position later: the gateway's log is the buffer.
 */
export class EventReader implements EventStream<Item>, FeedReader, AsyncIterator<Item, undefined> {
  cursor: Bookmark | undefined;
  readonly needsState = true;
  bookmark: Bookmark | undefined;
  #subscriptions: Subscriptions;
  #name: string;
  #caps: Caps;
  #signal: AbortSignal | undefined;
  #items: { item: Item; units: number }[] = [];
  #units = 0;
  /** The event in the application's hands. */
  #taken: Item | undefined;
  #phase: 'new' | 'joined' | 'behind' | 'ended' = 'new';
  #error: GatewayError | undefined;
  #wake: (() => void) | undefined;

  constructor(subscriptions: Subscriptions, name: string, caps: Caps, { after, signal }: EventsOptions = {}) {
    this.#subscriptions = subscriptions;
    this.#name = name;
    this.#caps = caps;
    this.#signal = signal;
    this.cursor = after;
    this.bookmark = after;
  }

  [Symbol.asyncIterator](): AsyncIterator<Item, undefined> {
    return this;
  }

  async next(): Promise<IteratorResult<Item, undefined>> {
    // The handler of the event before has returned: only now it counts as handled (S12).
    if (this.#taken) this.bookmark = this.#taken.bookmark;
    this.#taken = undefined;
    if (this.#phase === 'new') {
      this.#signal?.addEventListener('abort', this.#abort, { once: true });
      this.#join();
    }
    if (this.#signal?.aborted) this.#finish();
    for (;;) {
      const first = this.#items.shift();
      if (first) {
        this.#units -= first.units;
        this.#taken = first.item;
        return { done: false, value: first.item };
      }
      if (this.#phase === 'ended') {
        const error = this.#error;
        this.#error = undefined;
        if (error) throw error;
        return { done: true, value: undefined };
      }
      if (this.#phase === 'behind') this.#join();
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async return(): Promise<IteratorResult<Item, undefined>> {
    this.#finish();
    return { done: true, value: undefined };
  }

  event({ event, payload, offset, from }: StreamEventFrame, units: number): void {
    const bookmark = this.cursor as Bookmark;
    this.#push({ type: 'event', event, payload, offset, from, bookmark }, units);
  }

  reset({ reason, state }: ResetPayload): void {
    const bookmark = this.cursor as Bookmark;
    this.#push({ type: 'reset', reason, state, bookmark }, 0);
  }

  ended(why: 'deleted' | 'scope_lost' | GatewayError): void {
    if (this.#phase === 'ended') return;
    if (typeof why === 'string') {
      const bookmark = this.cursor ?? { stream: this.#name, epoch: '', offset: 0, open: {} };
      this.#push({ type: 'reset', reason: why, bookmark }, 0);
    } else if (why.code !== 'CLOSED') {
      // One's own close() ends the loop; anything else is an error that the loop has to tell.
      this.#error = why;
    }
    this.#phase = 'ended';
    this.#release();
  }

  #join(): void {
    this.#phase = 'joined';
    this.#subscriptions.join(this.#name, this);
  }

  #push(item: Item, units: number): void {
    this.#items.push({ item, units });
    this.#units += units;
    if (this.#items.length >= this.#caps.bufferedEvents || this.#units >= this.#caps.bufferedUnits) {
      this.#phase = 'behind';
      this.#subscriptions.leave(this.#name, this);
    }
    this.#wake?.();
  }

  #abort = (): void => this.#finish();

  /** Ended from this side: nothing more is handed out. */
  #finish(): void {
    this.#items = [];
    this.#error = undefined;
    this.#phase = 'ended';
    this.#subscriptions.leave(this.#name, this);
    this.#release();
  }

  #release(): void {
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#wake?.();
  }
}
