import type { Result } from '@openclaw/protocol';
import type { Clock, EventFrame, GatewayError, Position, StreamEventFrame } from '@openclaw/protocol/wire';
import { type EndReason, type Feed, type FeedReader, forbidden, makeFeed, type ResetPayload } from './feed.ts';
import type { Answered } from './request-queue.ts';

const namesPerCall = 256;

export interface SubscriptionsOptions {
  clock: Clock;
  lingerMs: number;
  /** A request that belongs to the current connection: sent at once, rejected when it is lost. */
  call(method: string, params: unknown, answered: Answered): void;
}

type Answer = Result<'streams.subscribe'>['streams'][number];

/**
 * The streams that are read, over all connections: subscribes, keeps each reader in order (S7–S12), and goes on after a
 * reconnect.
 */
export interface Subscriptions {
  /** Begins to feed a reader from its cursor. */
  join(name: string, reader: FeedReader): void;
  /** Ends that. The stream stays subscribed a little while, for the next reader. */
  leave(name: string, reader: FeedReader): void;
  /** A connection was admitted: every stream that is read goes on. Resolves when the gateway has answered for each. */
  connected(): Promise<void>;
  disconnected(): void;
  /** An event frame that may belong to a stream. True when it did. */
  event(frame: EventFrame, units: number): boolean;
  /** Subscribes to what is waiting to be subscribed. Resolves when all of that was answered. */
  flush(): Promise<void>;
  /** Ends every reader, now and from now on. */
  end(error: GatewayError): void;
}

/** No streams yet; nothing is asked before `connected()`. */
export function makeSubscriptions({ clock, lingerMs, call }: SubscriptionsOptions): Subscriptions {
  const feeds = new Map<string, Feed>();
  const waiting = new Set<Feed>();
  /** Stands for the current connection, if there is one. */
  let connection: object | undefined;
  let isFlushing = false;
  let ended: GatewayError | undefined;

  async function flush(): Promise<void> {
    isFlushing = false;
    if (!connection) return;
    const due = [...waiting].filter((feed) => !feed.asked && feed.readers.size > 0);
    for (const feed of due) waiting.delete(feed);
    const answers: Promise<void>[] = [];
    while (due.length > 0) answers.push(ask(due.splice(0, namesPerCall)));
    await Promise.all(answers);
  }

  function want(feed: Feed): void {
    waiting.add(feed);
    if (isFlushing) return;
    isFlushing = true;
    // Whatever else is joined in this turn goes into the same call.
    queueMicrotask(() => {
      if (isFlushing) void flush();
    });
  }

  /** Resolves with the answer, which is taken in before the frame that follows it. */
  function ask(asked: Feed[]): Promise<void> {
    const asker = connection;
    const asks = asked.map((feed) => feed.ask());
    return new Promise((resolve) => {
      call('streams.subscribe', { streams: asks }, (error, result) => {
        if (!error) {
          const answers = (result as Result<'streams.subscribe'>).streams;
          asked.forEach((feed, index) => {
            const answer = answers[index];
            if (answer && feed.asked === asks[index]) take(feed, answer);
          });
        } else if (asker === connection) {
          // One of several spoils the call for all: each is asked for alone.
          if (asked.length > 1)
            return resolve(Promise.all(asked.map((feed) => ask([feed]))) as Promise<unknown> as Promise<void>);
          for (const feed of asked) endFeed(feed, error);
        }
        // A lost connection is no answer: the next one asks again.
        resolve();
      });
    });
  }

  function take(feed: Feed, { stream, epoch, result }: Answer): void {
    feed.canonical = stream;
    if (result === 'resumed') {
      if (feed.resumed(epoch)) want(feed);
    } else if (result === 'snapshot') {
      feed.promisedState();
    } else if (result === 'gone') {
      endFeed(feed, 'deleted');
    } else {
      endFeed(feed, forbidden(feed.name));
    }
  }

  function unsubscribe(feed: Feed): void {
    if (feed.readers.size > 0) return;
    const { canonical } = feed;
    const others = [...feeds.values()].filter((other) => other !== feed);
    if (others.some(({ asked }) => asked)) {
      // A name that is being asked for may turn out to mean the same stream: its answer tells, and takes a moment.
      linger(feed, 1_000);
      return;
    }
    forget(feed);
    if (connection && !others.some((other) => other.canonical === canonical))
      call('streams.unsubscribe', { streams: [canonical] }, () => {});
  }

  function linger(feed: Feed, delayMs = lingerMs): void {
    feed.cancelLinger = clock.schedule(() => unsubscribe(feed), delayMs);
  }

  function endFeed(feed: Feed, why: EndReason): void {
    forget(feed);
    feed.end(why);
  }

  function forget(feed: Feed): void {
    feed.cancelLinger?.();
    waiting.delete(feed);
    if (feeds.get(feed.name) === feed) feeds.delete(feed.name);
  }

  /** Two names may mean one stream (`main` and its canonical key); both are fed. Always true. */
  function each(canonical: string, step: (feed: Feed) => boolean | undefined): true {
    for (const feed of [...feeds.values()]) {
      if (feed.canonical === canonical && step(feed)) want(feed);
    }
    return true;
  }

  return {
    flush,

    join(name, reader) {
      if (ended) {
        reader.ended(ended);
        return;
      }
      const feed = feeds.get(name) ?? makeFeed(name);
      feeds.set(name, feed);
      feed.cancelLinger?.();
      feed.cancelLinger = undefined;
      if (feed.admit(reader)) want(feed);
    },

    leave(name, reader) {
      const feed = feeds.get(name);
      if (!feed?.readers.delete(reader) || feed.readers.size > 0) return;
      if (feed.isSubscribed || feed.asked) linger(feed);
      else feeds.delete(name);
    },

    connected() {
      connection = {};
      for (const feed of [...feeds.values()]) {
        if (feed.readers.size === 0) forget(feed);
        else waiting.add(feed);
      }
      return flush();
    },

    disconnected() {
      connection = undefined;
      for (const feed of feeds.values()) feed.disconnected();
    },

    event(frame, units) {
      const { stream, offset, event, payload } = frame;
      if (stream !== undefined && offset !== undefined) {
        return each(stream, (feed) => feed.event(frame as StreamEventFrame, units));
      }
      if (event === 'stream.reset') {
        const reset = payload as ResetPayload;
        const { reason } = reset;
        return each(reset.stream, (feed) => {
          if (reason !== 'deleted' && reason !== 'scope_lost') return feed.reset(reset);
          endFeed(feed, reason);
        });
      }
      if (event !== 'stream.live') return false;
      const live = payload as Position & { stream: string };
      return each(live.stream, (feed) => feed.live(live));
    },

    end(error) {
      ended = error;
      for (const feed of feeds.values()) feed.end(error);
      feeds.clear();
    },
  };
}
