import type { HelloOk } from '@openclaw/protocol';
import { type EventFrame, GatewayError, type ResponseFrame, systemClock } from '@openclaw/protocol/wire';
import type { ConnectOptions } from './connect-options.ts';
import { asGatewayError, Connection, hasStreams } from './connection.ts';
import { type Dialer, webSocketDialer } from './dialer.ts';
import { Emitter } from './emitter.ts';
import { EventReader } from './event-reader.ts';
import type { Gateway, GatewayEvents, Session } from './gateway.ts';
import { Handshake } from './handshake.ts';
import { defaultLimits, type Limits } from './limits.ts';
import type { PlainBridge } from './plain-v4.ts';
import type { RequestFunction, RequestOptions } from './request.ts';
import { RequestQueue } from './request-queue.ts';
import { GatewaySession } from './session.ts';
import type { StreamReader } from './stream-events.ts';
import { Subscriptions } from './subscriptions.ts';
import { pageScope } from './wake.ts';

/**
 * Connects to a gateway and stays connected until `close()`: dials by itself, in a later turn, so that listeners can be
 * set first, and again after every loss. Everything may be called at once; what needs a connection waits for it.
 *
 * Throws `INVALID_REQUEST` when neither a proper `url` nor a `dialer` is given, and `UNSUPPORTED` for `headers` in a browser.
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
  return new ConnectedGateway(options);
}

class ConnectedGateway implements Gateway {
  hello: HelloOk | undefined;
  readonly request: RequestFunction;
  #emitter = new Emitter<GatewayEvents>();
  #connection: Connection;
  #queue: RequestQueue;
  #subscriptions: Subscriptions;
  #limits: Limits;
  #prepare: ConnectOptions['prepare'];
  #handshake: Handshake;
  #sessions = new Map<string, GatewaySession>();
  /** The hello of the current connection. */
  #current: HelloOk | undefined;
  #direct: Pick<PlainBridge, 'call'> = {
    call: (method, params, answer) => this.#queue.addControl(method, params, answer),
  };
  #control = ((method: string, params?: unknown) =>
    new Promise((resolve, reject) => {
      this.#queue.addControl(method, params, { resolve, reject });
    })) as RequestFunction;
  /** Stands between this client and a gateway without streams. */
  #bridge: PlainBridge | undefined;

  constructor(options: ConnectOptions) {
    const {
      clock = systemClock(),
      random = Math.random,
      methods = {},
      queueStore: store,
      page = pageScope(),
    } = options;
    const dialer = dialerOf(options);
    this.#limits = { ...defaultLimits, ...options.limits };
    const limits = this.#limits;
    this.#prepare = options.prepare;
    this.#handshake = new Handshake(options, clock);
    const handshake = this.#handshake;
    this.#queue = new RequestQueue({
      clock,
      random,
      limits,
      methods,
      store,
      send: (text) => this.#connection.send(text),
      restored: (outcome) => this.#emitter.emit('restored', outcome),
    });
    this.#subscriptions = new Subscriptions({
      clock,
      lingerMs: limits.lingerMs,
      call: (method, params, answer) => (this.#bridge ?? this.#direct).call(method, params, answer),
    });
    this.#connection = new Connection(
      { clock, random, dialer, handshake, limits, page },
      {
        state: (change) => this.#emitter.emit('state', change),
        hello: (hello) => void this.#admitted(hello),
        frame: (frame, units) => this.#frame(frame, units),
        lost: () => this.#lost(),
        ended: (error) => this.#ended(error),
      },
    );
    this.request = ((method: string, params?: unknown, requestOptions?: RequestOptions) => {
      // What is to be heard is asked for before what causes it.
      this.#subscriptions.flush();
      return this.#queue.add(method, params, requestOptions);
    }) as RequestFunction;
    queueMicrotask(() => {
      void this.#queue.load();
      this.#connection.start();
    });
  }

  get state() {
    return this.#connection.phase;
  }

  session(key: string): Session {
    let session = this.#sessions.get(key);
    if (!session) {
      session = new GatewaySession(
        {
          subscriptions: this.#subscriptions,
          request: this.request,
          limits: this.#limits,
          cancelUnsent: (id) => this.#queue.cancelUnsent(id),
        },
        key,
      );
      this.#sessions.set(key, session);
    }
    return session;
  }

  stream(name: string): StreamReader {
    return { name, events: (options) => new EventReader(this.#subscriptions, name, this.#limits, options) };
  }

  on<E extends keyof GatewayEvents>(event: E, listener: (value: GatewayEvents[E]) => void): () => void {
    return this.#emitter.on(event, listener);
  }

  off<E extends keyof GatewayEvents>(event: E, listener: (value: GatewayEvents[E]) => void): void {
    this.#emitter.off(event, listener);
  }

  close(): void {
    this.#connection.close();
  }

  async #admitted(hello: HelloOk): Promise<void> {
    this.hello = hello;
    this.#current = hello;
    const credentials = this.#handshake.granted(hello);
    if (credentials) this.#emitter.emit('credentials', credentials);
    this.#queue.connected(hello.policy.maxPayload);
    let isKeyless: ((method: string) => boolean) | undefined;
    try {
      await this.#prepare?.(hello, this.#control);
      if (!hasStreams(hello) && this.#current === hello) {
        const plain = await import('./plain-v4.ts').catch((cause: unknown) => {
          throw new GatewayError('UNAVAILABLE', 'The support for v4 gateways could not be loaded.', {
            cause,
            retryable: true,
          });
        });
        isKeyless = plain.isKeyless;
        this.#bridge = new plain.PlainBridge({
          hello,
          call: this.#direct.call,
          unsupported: (message) => new GatewayError('UNSUPPORTED', message),
          event: (frame) => void this.#subscriptions.event(frame, 0),
        });
      }
    } catch (cause) {
      const error = asGatewayError(cause);
      if (this.#current !== hello) return;
      if (error.retryable) this.#connection.drop(error.message, error.retryAfterMs);
      else this.#connection.fail(error);
    }
    if (this.#current !== hello) return;
    const subscribed = this.#subscriptions.connected(hello);
    this.#queue.ready(isKeyless);
    await subscribed;
    if (this.#current === hello) this.#connection.resumed();
  }

  #frame(frame: ResponseFrame | EventFrame, units: number): void {
    if (frame.type === 'res') {
      this.#queue.answer(frame);
      return;
    }
    const translated = this.#bridge?.translate(frame);
    for (const event of translated ?? []) this.#subscriptions.event(event, units);
    if (translated || this.#subscriptions.event(frame, units)) return;
    const { event, payload, stateVersion } = frame;
    this.#emitter.emit('event', { event, payload, stateVersion });
  }

  #lost(): void {
    this.#current = undefined;
    this.#bridge = undefined;
    this.#subscriptions.disconnected();
    this.#queue.disconnected();
  }

  #ended(error: GatewayError): void {
    this.#current = undefined;
    this.#subscriptions.end(error);
    this.#queue.end(error);
  }
}

function dialerOf({ url, dialer, headers }: ConnectOptions): Dialer {
  if (dialer) return dialer;
  if (url === undefined) throw new GatewayError('INVALID_REQUEST', 'connect() needs `url` or `dialer`.');
  return webSocketDialer(url, headers);
}
