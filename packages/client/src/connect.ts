import type { HelloOk } from '@openclaw/protocol';
import { type EventFrame, GatewayError, type ResponseFrame, systemClock } from '@openclaw/protocol/wire';
import { webSocketDialer } from '#socket';
import type { ConnectOptions } from './connect-options.ts';
import { asGatewayError, hasStreams, makeConnection } from './connection.ts';
import type { Dialer } from './dialer.ts';
import { makeEmitter } from './emitter.ts';
import { readEvents } from './event-reader.ts';
import type { Gateway, GatewayEvents, Session } from './gateway.ts';
import { makeHandshake } from './handshake.ts';
import { defaultLimits } from './limits.ts';
import type { PlainBridge } from './plain-v4.ts';
import type { RequestFunction, RequestOptions } from './request.ts';
import { makeRequestQueue } from './request-queue.ts';
import { makeSession } from './session.ts';
import { makeSubscriptions } from './subscriptions.ts';
import { pageScope } from './wake.ts';

/**
 * Connects to a gateway and stays connected until `close()`: dials by itself, in a later turn, so that listeners can be
 * set first, and again after every loss. Everything may be called at once; what needs a connection waits for it.
 *
 * Throws `INVALID_REQUEST` when neither a proper `url` nor a `dialer` is given, or for a `pin`, `ca` or `proxy` that is none, and
 * `UNSUPPORTED` for these and `headers` in a browser.
 *
 * ```ts
 * const gateway = connect({ url: 'ws://127.0.0.1:18789', token });
 * for await (const part of gateway.session('main').send('Plan my week')) {
 *   if (part.type === 'text') process.stdout.write(part.delta);
 * }
 * gateway.close();
 * ```
 */
export function connect(options: ConnectOptions): Gateway {
  const {
    clock = systemClock(),
    random = Math.random,
    methods = {},
    queueStore,
    page = pageScope(),
    prepare,
  } = options;
  const { url, urls = [], dialer } = options;
  const dialers = dialer
    ? [dialer]
    : [url, ...urls].map((each, at) => webSocketDialer({ ...options, url: each, hasNext: at < urls.length }));
  /** Counts addresses that could not be reached: each makes room for the next one. */
  let address = 0;
  const limits = { ...defaultLimits, ...options.limits };
  const { on, off, emit } = makeEmitter<GatewayEvents>();
  const handshake = makeHandshake(options, clock, (notice) => emit('notice', notice));
  const sessions = new Map<string, Session>();
  let hello: HelloOk | undefined;
  /** The hello of the current connection. */
  let current: HelloOk | undefined;
  /** Stands between this client and a gateway without streams. */
  let bridge: PlainBridge | undefined;

  const queue = makeRequestQueue({
    clock,
    random,
    limits,
    methods,
    store: queueStore,
    isKeyless: (method) => bridge?.isKeyless(method) === true,
    send: (text) => connection.send(text),
    restored: (outcome) => emit('restored', outcome),
  });
  const subscriptions = makeSubscriptions({
    clock,
    lingerMs: limits.lingerMs,
    call: (method, params, answered) => (bridge ?? queue).call(method, params, answered),
  });
  const connection = makeConnection(
    { clock, random, dialer: () => (dialers[address % dialers.length] as Dialer)(), handshake, limits, page },
    {
      state(change) {
        // Also where dialing threw, as browsers do for ws:// in a page of https://.
        if (change.previous === 'dialing' && change.retryAtMs) address++;
        emit('state', change);
      },
      hello: (greeting) => void admitted(greeting),
      frame: received,
      lost() {
        current = undefined;
        subscriptions.disconnected();
        queue.disconnected();
        bridge = undefined;
      },
      ended(error) {
        current = undefined;
        subscriptions.end(error);
        queue.end(error);
      },
    },
  );
  const control = ((method: string, params?: unknown) => queue.add(method, params, {}, true)) as RequestFunction;
  const request = ((method: string, params?: unknown, requestOptions?: RequestOptions) => {
    // What is to be heard is asked for before what causes it.
    void subscriptions.flush();
    return queue.add(method, params, requestOptions);
  }) as RequestFunction;
  const ports = { subscriptions, request, limits, cancelUnsent: queue.cancelUnsent };

  async function admitted(greeting: HelloOk): Promise<void> {
    const isCurrent = () => current === greeting;
    hello = greeting;
    current = greeting;
    const credentials = handshake.granted(greeting);
    if (credentials) emit('credentials', credentials);
    queue.connected(greeting.policy.maxPayload);
    try {
      await prepare?.(greeting, control);
      const plain = hasStreams(greeting) ? undefined : await plainBridge(greeting);
      if (!isCurrent()) return;
      bridge = plain;
      const subscribed = subscriptions.connected();
      queue.ready();
      await subscribed;
      if (isCurrent()) connection.resumed();
    } catch (cause) {
      const error = asGatewayError(cause);
      if (!isCurrent()) return;
      if (error.retryable) connection.drop(error.message, error.retryAfterMs);
      else connection.fail(error);
    }
  }

  async function plainBridge(greeting: HelloOk): Promise<PlainBridge> {
    const plain = await import('./plain-v4.ts').catch((cause: unknown) => {
      const message = 'plain-v4 was not loaded.';
      throw new GatewayError('UNAVAILABLE', message, { cause, retryable: true });
    });
    return new plain.PlainBridge({
      hello: greeting,
      call: queue.call,
      unsupported: (message) => new GatewayError('UNSUPPORTED', message),
      event: (frame) => void subscriptions.event(frame, 0),
    });
  }

  function received(frame: ResponseFrame | EventFrame, units: number): void {
    if (frame.type === 'res') {
      queue.answer(frame);
      return;
    }
    for (const heard of bridge?.translate(frame) ?? [frame]) {
      const { event, payload, stateVersion } = heard;
      if (!subscriptions.event(heard, units)) emit('event', { event, payload, stateVersion });
    }
  }

  queueMicrotask(() => {
    void queue.load();
    connection.start();
  });

  return {
    get state() {
      return connection.phase;
    },
    get hello() {
      return hello;
    },
    request,
    session(key) {
      const session = sessions.get(key) ?? makeSession(ports, key);
      sessions.set(key, session);
      return session;
    },
    stream: (name) => ({ name, events: (eventsOptions) => readEvents(subscriptions, name, limits, eventsOptions) }),
    on,
    off,
    close: connection.close,
  };
}
