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
} from '@openclaw/protocol/wire';
import { backoffMs } from './backoff.ts';
import { hasSocket, type Input, type Phase, type StateCode, transition } from './connection-state.ts';
import { type DialedTransport, type Dialer, silentClose } from './dialer.ts';
import type { StateChange } from './gateway.ts';
import { type Challenge, type Handshake, patientMs } from './handshake.ts';
import { makeHeartbeat } from './heartbeat.ts';
import type { Limits } from './limits.ts';
import { requestText } from './request-queue.ts';
import { isOffline, type PageScope, type WakeHint, watchPage } from './wake.ts';

const normalClose = 1000;
const connectId = 'connect';
const probeId = 'probe';
/** Live this long, a connection counts as stable: delays and limits begin anew (S22, S24). */
const stableMs = 30_000;
const maxSilenceMs = 60_000;
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

/** One connection at a time to the gateway: dials, shakes hands, watches, and dials again. */
export interface Connection {
  readonly phase: Phase;
  start(): void;
  /** Sends one message on the current socket. */
  send(text: string): void;
  /** Streams go on: the connection is live. */
  resumed(): void;
  /** Gives this socket up and tries again later. */
  drop(reason: string, retryAfterMs?: number): void;
  /** Gives up for good. */
  fail(error: GatewayError): void;
  close(): void;
}

/** A connection that dials once it is started. */
export function makeConnection(options: ConnectionOptions, events: ConnectionEvents): Connection {
  const { clock, random, dialer, handshake, limits, page } = options;
  let phase: Phase = 'idle';
  let transport: DialedTransport | undefined;
  /** Counts sockets; callbacks of an older one are ignored. */
  let generation = 0;
  let cancelTimer: (() => void) | undefined;
  let stopWatching: (() => void) | undefined;
  let attempt = 0;
  let refusals = 0;
  let hello: HelloOk | undefined;
  let helloAtMs = 0;
  let silenceFactor = 1;
  let restartAtMs: number | undefined;

  const heartbeat = makeHeartbeat({
    clock,
    limitMs: silenceLimitMs,
    silent(silenceMs) {
      silenceFactor *= 2;
      lose('silent', `no frame for ${Math.round(silenceMs)} ms`);
    },
    woke: () => doubt('woke'),
  });

  /** Someone doubts that the connection lives: probe it, or dial at once if there is none (S23). */
  function doubt(code: 'woke' | WakeHint): void {
    const wasConnected = phase === 'live';
    if (!wasConnected) attempt = 0;
    if (!move('doubt', code)) return;
    if (!wasConnected) {
      dialAgain();
      return;
    }
    const method = hello?.features.methods.includes('ping') ? 'ping' : 'health';
    const { probeTimeoutMs } = limits;
    after(probeTimeoutMs, () => {
      attempt = 0;
      lose('probe-unanswered', `no answer to ${method} within ${probeTimeoutMs} ms`);
    });
    request(probeId, method, {});
  }

  function dialAgain(): void {
    if (phase !== 'dialing') return;
    const socket = ++generation;
    const { handshakeTimeoutMs } = limits;
    after(handshakeTimeoutMs, () => lose('handshake-timeout', `no hello-ok within ${handshakeTimeoutMs} ms`));
    try {
      transport = dialer();
    } catch (error) {
      lose('dial-failed', asGatewayError(error).message);
      return;
    }
    transport.open({
      message(text) {
        if (socket === generation) receive(text);
      },
      drained() {},
      closed(code, reason) {
        if (socket === generation) closed(code, reason);
      },
    });
  }

  function request(id: string, method: string, params: unknown): void {
    transport?.send(requestText(id, method, params));
  }

  function receive(text: string): void {
    heartbeat.touch();
    let frame: Frame;
    try {
      frame = JSON.parse(text) as Frame;
      if (!frame?.type) throw 0;
    } catch {
      lose('bad-frame', 'no frame');
      return;
    }
    if (phase === 'dialing') {
      if (frame.type === 'event' && frame.event === 'connect.challenge')
        void answerChallenge(frame.payload as Challenge);
    } else if (phase === 'handshaking') {
      if (frame.type === 'res' && frame.id === connectId) greeted(frame);
    } else if (frame.type === 'event') {
      noticeEvent(frame, text.length);
    } else if (frame.type === 'res' && frame.id === probeId) {
      cancelTimer?.();
      move('answer', 'answered');
    } else if (frame.type === 'res') {
      events.frame(frame, text.length);
    }
  }

  function noticeEvent(frame: EventFrame, units: number): void {
    if (frame.event === 'tick') return;
    if (frame.event === 'shutdown' && frame.stream === undefined) {
      const { restartExpectedMs, spreadMs = 0 } = frame.payload as { restartExpectedMs?: number; spreadMs?: number };
      if (restartExpectedMs !== undefined) restartAtMs = clock.elapsed() + restartExpectedMs + random() * spreadMs;
    }
    events.frame(frame, units);
  }

  async function answerChallenge(challenge: Challenge): Promise<void> {
    if (!move('challenge', 'challenged')) return;
    const socket = generation;
    try {
      const params = await handshake.params(challenge);
      if (socket === generation) request(connectId, 'connect', params);
    } catch (error) {
      if (socket === generation) lose('dial-failed', `no credential: ${asGatewayError(error).message}`);
    }
  }

  function greeted({ ok, payload, error }: ResponseFrame): void {
    const greeting = payload as HelloOk | undefined;
    if (!ok) {
      refused(GatewayError.fromWire(error ?? { code: 'INTERNAL', message: 'refused' }));
    } else if (greeting?.type !== 'hello-ok') {
      lose('bad-frame', 'no hello-ok');
    } else {
      cancelTimer?.();
      refusals = 0;
      restartAtMs = undefined;
      hello = greeting;
      helloAtMs = clock.elapsed();
      heartbeat.start();
      if (move('hello', 'hello')) events.hello(greeting);
    }
  }

  function refused(error: GatewayError): void {
    const leastMs = handshake.refused(error);
    const reason = (error.details?.requestId ? 'waiting for approval: ' : '') + error.message;
    if (leastMs === undefined) end('fail', 'refused', reason, error);
    else lose('refused', reason, leastMs, { error });
  }

  function closed(closeCode: number, text: string): void {
    const reason = `closed with ${closeCode}${text ? `: ${text}` : ''}`;
    const action = closeAction(closeCode);
    if (action === 'refused' && !hello) refusals++;
    if (action === 'fatal' || refusals >= maxRefusals) {
      const message = `The gateway ${reason}; mend that, then connect() again.`;
      end('fail', 'fatal', reason, new GatewayError('FORBIDDEN', message, { details: { closeCode } }), { closeCode });
      return;
    }
    const leastMs = action === 'resume' ? 0 : patientMs;
    lose(phase === 'dialing' ? 'dial-failed' : 'closed-by-peer', reason, leastMs, { closeCode });
  }

  /** The socket is gone or given up: the next attempt gets its time. */
  function lose(code: StateCode, reason: string, leastMs = 0, more: Partial<StateChange> = {}): void {
    if (!hasSocket(phase)) return;
    const dial = phase === 'dialing' ? transport?.failure : undefined;
    if (dial) {
      reason = `${dial.cause}. ${dial.nextStep}`;
      const { code: dialCode, isFinal, retryAfterMs = 0 } = dial;
      const error = new GatewayError('DIAL_FAILED', reason, { details: { ...dial, dialCode }, retryable: !isFinal });
      more = { ...more, dial, error };
      if (isFinal) {
        end('fail', 'fatal', reason, error, more);
        return;
      }
      leastMs = Math.max(leastMs, retryAfterMs);
    }
    // After a sleep the end of the old connection may be heard of before any timer runs; that is a wake, too (S24).
    if ((hello && isStable()) || heartbeat.isOverdue) attempt = 0;
    release(/silent|probe/.test(code) ? silentClose : normalClose, code);
    if (restartAtMs !== undefined) leastMs = Math.max(leastMs, restartAtMs - clock.elapsed());
    restartAtMs = undefined;
    const delayMs = backoffMs(attempt++, random, leastMs);
    after(delayMs, () => {
      if (move('due', 'due')) dialAgain();
    });
    events.lost();
    const retryAtMs = clock.now() + delayMs;
    move(isOffline(page) ? 'offline' : 'lost', code, reason, { retryAtMs, ...more });
  }

  function end(
    input: 'fail' | 'close',
    code: StateCode,
    reason: string,
    error: GatewayError,
    more?: Partial<StateChange>,
  ): void {
    if (!transition(phase, input)) return;
    release(normalClose, code);
    stopWatching?.();
    move(input, code, reason, { error: input === 'fail' ? error : undefined, ...more });
    events.ended(error);
  }

  function release(code: number, reason: string): void {
    generation++;
    heartbeat.stop();
    cancelTimer?.();
    hello = undefined;
    const socket = transport;
    transport = undefined;
    socket?.close(code, reason);
  }

  function move(input: Input, code: StateCode, reason: string = code, more?: Partial<StateChange>): boolean {
    const previous = phase;
    const state = transition(phase, input);
    if (!state) return false;
    phase = state;
    events.state({ state, previous, code, reason, ...more });
    return phase === state;
  }

  /** One timer at a time: each phase waits for one thing. */
  function after(delayMs: number, task: () => void): void {
    cancelTimer?.();
    cancelTimer = clock.schedule(task, delayMs);
  }

  function isStable(): boolean {
    return clock.elapsed() - helloAtMs >= stableMs;
  }

  function silenceLimitMs(): number {
    if (!hello) return maxSilenceMs;
    if (isStable()) silenceFactor = 1;
    const baseMs = hello.policy.tickIntervalMs * (hasStreams(hello) ? 1.5 : 2);
    return Math.max(baseMs, Math.min(maxSilenceMs, baseMs * silenceFactor));
  }

  return {
    get phase() {
      return phase;
    },
    start() {
      if (!move('start', 'started')) return;
      stopWatching = watchPage(page, doubt);
      dialAgain();
    },
    send: (text) => transport?.send(text),
    resumed: () => void move('resumed', 'resumed'),
    drop: (reason, retryAfterMs = 0) => lose('refused', reason, Math.max(retryAfterMs, patientMs)),
    fail: (error) => end('fail', 'fatal', error.message, error),
    close() {
      const error = new GatewayError('CLOSED', 'The client was closed; connect() again.');
      end('close', 'closed', 'close()', error);
    },
  };
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
