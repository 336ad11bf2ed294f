import type { HelloOk, Result } from '@openclaw/protocol';
import {
  type Clock,
  type EventFrame,
  GatewayError,
  type Position,
  type StreamEventFrame,
} from '@openclaw/protocol/wire';
import { type Ask, Feed, type FeedReader, type ResetPayload } from './feed.ts';
import type { AnswerSink } from './request-queue.ts';

const namesPerCall = 256;

export interface SubscriptionsOptions {
  clock: Clock;
  lingerMs: number;
  /** A request that belongs to the current connection: sent at once, rejected when it is lost. */
  call(method: string, params: unknown, answer: AnswerSink): void;
}

const ignored: AnswerSink = { resolve() {}, reject() {} };

type Answer = Result<'streams.subscribe'>['streams'][number];

/**
 * The streams that are read, over all connections: subscribes, keeps each reader in order (S7–S12), and goes on after a
 * reconnect.
 */
export class Subscriptions {
  #options: SubscriptionsOptions;
  #feeds = new Map<string, Feed>();
  #waiting = new Set<Feed>();
  #hello: HelloOk | undefined;
  #isFlushing = false;
  #ended: GatewayError | undefined;
  #asking = 0;
  #idle: (() => void) | undefined;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  /** Begins to feed a reader from its cursor. */
  join(name: string, reader: FeedReader): void {
    if (this.#ended) {
      reader.ended(this.#ended);
      return;
    }
    let feed = this.#feeds.get(name);
    if (!feed) {
      feed = new Feed(name);
      this.#feeds.set(name, feed);
    }
    feed.cancelLinger?.();
    feed.cancelLinger = undefined;
    if (feed.admit(reader)) this.#want(feed);
  }

  /** Ends that. The stream stays subscribed a little while, for the next reader. */
  leave(name: string, reader: FeedReader): void {
    const feed = this.#feeds.get(name);
    if (!feed?.readers.delete(reader) || feed.readers.size > 0) return;
    if (!feed.isSubscribed && !feed.asked) {
      this.#feeds.delete(name);
      return;
    }
    feed.cancelLinger = this.#options.clock.schedule(() => this.#unsubscribe(feed), this.#options.lingerMs);
  }

  /** A connection was admitted: every stream that is read goes on. Resolves when the gateway has answered for each. */
  async connected(hello: HelloOk): Promise<void> {
    this.#hello = hello;
    for (const feed of [...this.#feeds.values()]) {
      if (feed.readers.size === 0) this.#forget(feed);
      else this.#waiting.add(feed);
    }
    this.flush();
    if (this.#asking > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  disconnected(): void {
    this.#hello = undefined;
    for (const feed of this.#feeds.values()) feed.disconnected();
  }

  /** An event frame that may belong to a stream. True when it did. */
  event(frame: EventFrame, units: number): boolean {
    if (frame.stream !== undefined && frame.offset !== undefined) {
      this.#each(frame.stream, (feed) => feed.event(frame as StreamEventFrame, units));
      return true;
    }
    if (frame.event === 'stream.reset') {
      const reset = frame.payload as ResetPayload;
      const { reason } = reset;
      this.#each(reset.stream, (feed) => {
        if (reason !== 'deleted' && reason !== 'scope_lost') return feed.reset(reset);
        this.#forget(feed);
        feed.end(reason);
        return false;
      });
      return true;
    }
    if (frame.event === 'stream.live') {
      const live = frame.payload as Position & { stream: string };
      this.#each(live.stream, (feed) => feed.live(live));
      return true;
    }
    return false;
  }

  /** Ends every reader, now and from now on. */
  end(error: GatewayError): void {
    this.#ended = error;
    for (const feed of this.#feeds.values()) feed.end(error);
    this.#feeds.clear();
  }

  /** Subscribes to what is waiting to be subscribed. */
  flush(): void {
    this.#isFlushing = false;
    const hello = this.#hello;
    if (!hello) return;
    const feeds = [...this.#waiting].filter((feed) => !feed.asked && feed.readers.size > 0);
    for (const feed of feeds) this.#waiting.delete(feed);
    for (let first = 0; first < feeds.length; first += namesPerCall) {
      this.#ask(feeds.slice(first, first + namesPerCall), hello);
    }
  }

  #want(feed: Feed): void {
    this.#waiting.add(feed);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    // Whatever else is joined in this turn goes into the same call.
    queueMicrotask(() => {
      if (this.#isFlushing) this.flush();
    });
  }

  #ask(feeds: Feed[], hello: HelloOk): void {
    const asks = feeds.map((feed) => {
      const after = feed.oldest();
      feed.asked = { after };
      return feed.asked;
    });
    const streams = feeds.map(({ name }, index) => {
      const after = asks[index]?.after;
      return { stream: name, after: after && { epoch: after.epoch, offset: after.offset } };
    });
    this.#call('streams.subscribe', { streams }, feeds, hello, (result) => {
      const answers = (result as Result<'streams.subscribe'>).streams;
      feeds.forEach((feed, index) => {
        const ask = asks[index];
        const answer = answers[index];
        if (ask && answer && feed.asked === ask) this.#answered(feed, ask, answer);
      });
    });
  }

  #answered(feed: Feed, ask: Ask, answer: Answer): void {
    feed.canonical = answer.stream;
    if (answer.result === 'resumed') {
      if (feed.resumed(ask, answer.epoch)) this.#want(feed);
      return;
    }
    if (answer.result === 'snapshot') {
      feed.promisedState(ask);
      return;
    }
    this.#forget(feed);
    const why =
      answer.result === 'gone'
        ? 'deleted'
        : new GatewayError('FORBIDDEN', `Reading ${feed.name} needs another scope or role.`, {
            details: { code: 'MISSING_SCOPE' },
          });
    feed.end(why);
  }

  /** Asks for feeds. The answer is taken in before the frame that follows it. */
  #call(method: string, params: unknown, feeds: Feed[], hello: HelloOk, answered: (result: unknown) => void): void {
    this.#asking++;
    const done = () => {
      if (--this.#asking > 0) return;
      this.#idle?.();
      this.#idle = undefined;
    };
    this.#options.call(method, params, {
      resolve: (result) => {
        answered(result);
        done();
      },
      reject: (error) => {
        // A lost connection is no answer: the next one asks again.
        if (this.#hello === hello) this.#failed(feeds, hello, error);
        done();
      },
    });
  }

  #failed(feeds: Feed[], hello: HelloOk, error: GatewayError): void {
    for (const feed of feeds) {
      if (feeds.length > 1) {
        // One of them spoils the call for all: each is asked for alone.
        this.#ask([feed], hello);
      } else {
        this.#forget(feed);
        feed.end(error);
      }
    }
  }

  #unsubscribe(feed: Feed): void {
    if (feed.readers.size > 0) return;
    this.#forget(feed);
    // A name that is being asked for may turn out to mean the same stream.
    const isShared = [...this.#feeds.values()].some(({ canonical, asked }) => asked || canonical === feed.canonical);
    if (this.#hello && !isShared) this.#options.call('streams.unsubscribe', { streams: [feed.canonical] }, ignored);
  }

  #forget(feed: Feed): void {
    feed.cancelLinger?.();
    this.#waiting.delete(feed);
    if (this.#feeds.get(feed.name) === feed) this.#feeds.delete(feed.name);
  }

  /** Two names may mean one stream (`main` and its canonical key); both are fed. */
  #each(canonical: string, step: (feed: Feed) => boolean): void {
    for (const feed of [...this.#feeds.values()]) {
      if (feed.canonical === canonical && step(feed)) this.#want(feed);
    }
  }
}
