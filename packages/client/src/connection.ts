import type { HelloOk } from '@openclaw/protocol';
import {
  type Clock,
  closeAction,
  type EventFrame,
  type Frame,
  GatewayError,
  isGatewayError,
  type ResponseFrame,
  streamsCapability,
  type Transport,
} from '@openclaw/protocol/wire';
import { backoffMs } from './backoff.ts';
import { hasSocket, type Input, type Phase, type StateCode, transition } from './connection-state.ts';
import { type Dialer, silentClose } from './dialer.ts';
import type { StateChange } from './gateway.ts';
import type { Handshake } from './handshake.ts';
import { Heartbeat } from './heartbeat.ts';
import type { Limits } from './limits.ts';
import { isOffline, type PageScope, watchPage } from './wake.ts';

const normalClose = 1000;
const connectId = 'connect';
const probeId = 'probe';
/** Live this long, a connection counts as stable: delays and limits begin anew (S22, S24). */
const stableMs = 30_000;
const maxSilenceMs = 60_000;
const patientMs = 5_000;
const maxRefusals = 3;

export interface ConnectionOptions {
  clock: Clock;
  random: () => number;
  dialer: Dialer;
  handshake: Handshake;
  limits: Limits;
  page: PageScope;
}

/** What a connection tells its owner. Nothing of an older socket is ever told. */
export interface ConnectionEvents {
  state(change: StateChange): void;
  /** Admitted. The owner calls `resumed()` when streams go on. */
  hello(hello: HelloOk): void;
  frame(frame: ResponseFrame | EventFrame, units: number): void;
  /** The socket is gone; another attempt follows. */
  lost(): void;
  /** Nothing follows. */
  ended(error: GatewayError): void;
}

interface Loss {
  closeCode?: number;
  retryAfterMs?: number | undefined;
  minMs?: number | undefined;
  error?: GatewayError;
}

/** One connection at a time to the gateway: dials, shakes hands, watches, and dials again. */
export class Connection {
  phase: Phase = 'idle';
  #options: ConnectionOptions;
  #events: ConnectionEvents;
  #heartbeat: Heartbeat;
  #transport: Transport | undefined;
  /** Counts sockets; callbacks of an older one are ignored. */
  #generation = 0;
  #cancelTimer: (() => void) | undefined;
  #stopWatching: (() => void) | undefined;
  #attempt = 0;
  #refusals = 0;
  #hello: HelloOk | undefined;
  #helloAtMs = 0;
  #silenceFactor = 1;
  #restartAtMs: number | undefined;

  constructor(options: ConnectionOptions, events: ConnectionEvents) {
    this.#options = options;
    this.#events = events;
    this.#heartbeat = new Heartbeat({
      clock: options.clock,
      limitMs: () => this.#silenceLimitMs(),
      silent: (silenceMs) => {
        this.#silenceFactor *= 2;
        this.#lose('silent', `no frame for ${Math.round(silenceMs)} ms`);
      },
      woke: () => this.doubt('woke'),
    });
  }

  start(): void {
    if (!this.#move('start', 'started')) return;
    this.#stopWatching = watchPage(this.#options.page, (hint) => this.doubt(hint));
    this.#dial();
  }

  /** Sends one message on the current socket. */
  send(text: string): void {
    this.#transport?.send(text);
  }

  /** Streams go on: the connection is live. */
  resumed(): void {
    this.#move('resumed', 'resumed');
  }

  /** Gives this socket up and tries again later. */
  drop(reason: string, retryAfterMs?: number): void {
    this.#lose('refused', reason, { retryAfterMs, minMs: patientMs });
  }

  /** Gives up for good. */
  fail(error: GatewayError): void {
    this.#end('fail', 'fatal', error.message, error);
  }

  close(): void {
    const error = new GatewayError('CLOSED', 'The client was closed; connect() again.');
    this.#end('close', 'closed', 'close() was called', error);
  }

  /** Someone doubts that the connection lives: probe it, or dial at once if there is none (S23). */
  doubt(code: 'woke' | 'online' | 'visible'): void {
    const wasConnected = this.phase === 'live';
    if (!wasConnected) this.#attempt = 0;
    if (!this.#move('doubt', code)) return;
    if (!wasConnected) {
      this.#dial();
      return;
    }
    const method = this.#hello?.features.methods.includes('ping') ? 'ping' : 'health';
    this.#after(this.#options.limits.probeTimeoutMs, () => {
      this.#attempt = 0;
      this.#lose('probe-unanswered', `no answer to ${method} within ${this.#options.limits.probeTimeoutMs} ms`);
    });
    this.send(JSON.stringify({ type: 'req', id: probeId, method, params: {} }));
  }

  #dial(): void {
    if (this.phase !== 'dialing') return;
    const generation = ++this.#generation;
    const { handshakeTimeoutMs } = this.#options.limits;
    this.#after(handshakeTimeoutMs, () =>
      this.#lose('handshake-timeout', `no hello-ok within ${handshakeTimeoutMs} ms`),
    );
    try {
      this.#transport = this.#options.dialer();
    } catch (error) {
      this.#lose('dial-failed', asGatewayError(error).message);
      return;
    }
    this.#transport.open({
      message: (text) => {
        if (generation === this.#generation) this.#receive(text);
      },
      drained() {},
      closed: (code, reason) => {
        if (generation === this.#generation) this.#closed(code, reason);
      },
    });
  }

  #receive(text: string): void {
    this.#heartbeat.touch();
    let frame: Frame;
    try {
      frame = JSON.parse(text) as Frame;
    } catch {
      this.#lose('bad-frame', 'a message is not JSON');
      return;
    }
    switch (this.phase) {
      case 'dialing':
        if (frame.type === 'event' && frame.event === 'connect.challenge') {
          this.#answerChallenge(frame.payload as { nonce?: string; ts?: number }, this.#generation);
        }
        return;
      case 'handshaking':
        if (frame.type === 'res' && frame.id === connectId) this.#greeted(frame);
        return;
      default:
        if (frame.type === 'event') this.#noticeEvent(frame, text.length);
        else if (frame.type === 'res' && frame.id === probeId) {
          this.#cancelTimer?.();
          this.#move('answer', 'answered');
        } else if (frame.type === 'res') this.#events.frame(frame, text.length);
    }
  }

  #noticeEvent(frame: EventFrame, units: number): void {
    if (frame.event === 'tick') return;
    if (frame.event === 'shutdown' && frame.stream === undefined) {
      const { restartExpectedMs, spreadMs = 0 } = frame.payload as { restartExpectedMs?: number; spreadMs?: number };
      if (restartExpectedMs !== undefined) {
        this.#restartAtMs = this.#options.clock.elapsed() + restartExpectedMs + this.#options.random() * spreadMs;
      }
    }
    this.#events.frame(frame, units);
  }

  #answerChallenge(challenge: { nonce?: string; ts?: number }, generation: number): void {
    if (!this.#move('challenge', 'challenged')) return;
    this.#options.handshake.params(challenge).then(
      (params) => {
        if (generation !== this.#generation) return;
        this.send(JSON.stringify({ type: 'req', id: connectId, method: 'connect', params }));
      },
      (error: unknown) => {
        if (generation !== this.#generation) return;
        this.#lose('dial-failed', `no credential: ${asGatewayError(error).message}`);
      },
    );
  }

  #greeted(frame: ResponseFrame): void {
    const hello = frame.payload as HelloOk | undefined;
    if (!frame.ok) {
      this.#refused(GatewayError.fromWire(frame.error ?? { code: 'INTERNAL', message: 'refused' }));
    } else if (hello?.type !== 'hello-ok') {
      this.#lose('bad-frame', 'connect was not answered with hello-ok');
    } else {
      this.#cancelTimer?.();
      this.#refusals = 0;
      this.#restartAtMs = undefined;
      this.#hello = hello;
      this.#helloAtMs = this.#options.clock.elapsed();
      this.#heartbeat.start();
      if (this.#move('hello', 'hello')) this.#events.hello(hello);
    }
  }

  #refused(error: GatewayError): void {
    const refusal = this.#options.handshake.refused(error);
    if (refusal.action === 'retry') {
      this.#lose('refused', error.message, { retryAfterMs: refusal.retryAfterMs, minMs: refusal.minMs, error });
    } else {
      this.#end('fail', 'refused', error.message, error);
    }
  }

  #closed(closeCode: number, text: string): void {
    const reason = `closed with ${closeCode}${text ? `: ${text}` : ''}`;
    const action = closeAction(closeCode);
    const isBeforeHello = this.phase === 'dialing' || this.phase === 'handshaking';
    if (action === 'refused' && isBeforeHello) this.#refusals++;
    if (action === 'fatal' || this.#refusals >= maxRefusals) {
      const error = new GatewayError('FORBIDDEN', `The gateway ${reason}; change that, then connect() again.`, {
        details: { closeCode },
      });
      this.#end('fail', 'fatal', reason, error, closeCode);
      return;
    }
    const minMs = action === 'refused' || action === 'wait' ? patientMs : undefined;
    this.#lose(this.phase === 'dialing' ? 'dial-failed' : 'closed-by-peer', reason, { closeCode, minMs });
  }

  /** The socket is gone or given up: the next attempt gets its time. */
  #lose(code: StateCode, reason: string, { closeCode, retryAfterMs, minMs, error }: Loss = {}): void {
    if (!hasSocket(this.phase)) return;
    const { clock, random, page } = this.#options;
    const isStable = this.#hello && clock.elapsed() - this.#helloAtMs >= stableMs;
    // After a sleep the end of the old connection may be heard of before any timer runs; that is a wake, too (S24).
    if (isStable || this.#heartbeat.isOverdue) this.#attempt = 0;
    this.#release(code === 'silent' || code === 'probe-unanswered' ? silentClose : normalClose, code);
    const restartInMs = this.#restartAtMs === undefined ? 0 : Math.max(0, this.#restartAtMs - clock.elapsed());
    this.#restartAtMs = undefined;
    const delayMs = backoffMs(this.#attempt++, random, {
      retryAfterMs: Math.max(retryAfterMs ?? 0, restartInMs),
      minMs,
    });
    this.#after(delayMs, () => {
      if (this.#move('due', 'due')) this.#dial();
    });
    this.#events.lost();
    this.#move(isOffline(page) ? 'offline' : 'lost', code, reason, {
      retryAtMs: clock.now() + delayMs,
      closeCode,
      error,
    });
  }

  #end(input: Input, code: StateCode, reason: string, error: GatewayError, closeCode?: number): void {
    if (transition(this.phase, input) === undefined) return;
    this.#release(normalClose, code);
    this.#stopWatching?.();
    this.#move(input, code, reason, {
      error: input === 'fail' ? error : undefined,
      closeCode,
    });
    this.#events.ended(error);
  }

  #release(code: number, reason: string): void {
    this.#generation++;
    this.#heartbeat.stop();
    this.#cancelTimer?.();
    this.#hello = undefined;
    const transport = this.#transport;
    this.#transport = undefined;
    transport?.close(code, reason);
  }

  #move(input: Input, code: StateCode, reason: string = code, more: Partial<StateChange> = {}): boolean {
    const next = transition(this.phase, input);
    if (next === undefined) return false;
    const previous = this.phase;
    this.phase = next;
    this.#events.state({ state: next, previous, code, reason, ...more });
    return this.phase === next;
  }

  /** One timer at a time: each phase waits for one thing. */
  #after(delayMs: number, task: () => void): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#options.clock.schedule(task, delayMs);
  }

  #silenceLimitMs(): number {
    if (!this.#hello) return maxSilenceMs;
    const { clock } = this.#options;
    if (clock.elapsed() - this.#helloAtMs >= stableMs) this.#silenceFactor = 1;
    const { tickIntervalMs } = this.#hello.policy;
    const baseMs = hasStreams(this.#hello) ? 1.5 * tickIntervalMs : 2 * tickIntervalMs;
    return Math.max(baseMs, Math.min(maxSilenceMs, baseMs * this.#silenceFactor));
  }
}

/** True when the gateway understands streams (S4). */
export function hasStreams(hello: HelloOk): boolean {
  return hello.features.capabilities?.includes(streamsCapability) === true;
}

/** What an unknown throw is worth, as an error of this package. */
export function asGatewayError(error: unknown): GatewayError {
  if (isGatewayError(error)) return error;
  return new GatewayError('INTERNAL', error instanceof Error ? error.message : String(error), { cause: error });
}
