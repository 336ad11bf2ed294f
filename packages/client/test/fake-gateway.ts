import { type ConnectOptions, connect, type Gateway, type StateChange } from '@openclaw/client';
import {
  type AgentPayload,
  canonicalSessionKey,
  type EventFrame,
  emptyState,
  type Message,
  memoryTransportPair,
  type RequestFrame,
  type RunPart,
  reduce,
  type StreamState,
  sessionStream,
  type Transport,
  type WireError,
} from '@openclaw/protocol';
import { VirtualClock } from '@openclaw/protocol/testing';

type Answer = { payload: unknown } | { error: WireError } | undefined;
type Handle = (params: Record<string, never>, frame: RequestFrame, connection: FakeConnection) => Answer;

/** One stream of the fake: its whole log; `low` is the first offset that can still be read. */
export interface FakeStream {
  epoch: string;
  low: number;
  events: EventFrame[];
}

/** The gateway's end of one connection. */
export class FakeConnection {
  readonly sent: RequestFrame[] = [];
  readonly subscribed = new Set<string>();
  closed: { code: number; reason: string } | undefined;
  isMute = false;
  #transport: Transport;

  constructor(transport: Transport, receive: (frame: RequestFrame, connection: FakeConnection) => void) {
    this.#transport = transport;
    transport.open({
      message: (text) => {
        const frame = JSON.parse(text) as RequestFrame;
        this.sent.push(frame);
        if (!this.isMute) receive(frame, this);
      },
      drained() {},
      closed: (code, reason) => {
        this.closed = { code, reason };
      },
    });
  }

  send(frame: unknown): void {
    if (!this.isMute) this.#transport.send(JSON.stringify(frame));
  }

  sendText(text: string): void {
    this.#transport.send(text);
  }

  /** Ends the connection; the client gets `code`. */
  drop(code = 1006, reason = ''): void {
    this.#transport.close(code, reason);
  }

  /** The methods asked for, `connect` left out. */
  get methods(): string[] {
    return this.sent.map(({ method }) => method).filter((method) => method !== 'connect');
  }
}

const keyedAnswers = new Set(['chat.send', 'chat.abort', 'sessions.patch', 'sessions.reset', 'approvals.resolve']);

/** A scripted peer that keeps logs and a ledger as a gateway does, small enough to be read at once. */
export class FakeGateway {
  readonly clock = new VirtualClock();
  readonly connections: FakeConnection[] = [];
  readonly streams = new Map<string, FakeStream>();
  /** What each keyed request was answered with, by key: how often it was executed. */
  readonly ledger = new Map<string, { answer: Answer; count: number }>();
  hasStreams = true;
  isDown = false;
  /** Closes every new connection with this code, before the challenge. */
  closesAtOnce: number | undefined;
  capabilities: string[] = [];
  methods = ['ping', 'health', 'chat.send', 'chat.history', 'agent.wait', 'streams.subscribe'];
  tickIntervalMs = 5_000;
  maxPayload = 1_000_000;
  auth: Record<string, unknown> = {};
  /** Refuses the next `connect`s, in order. */
  readonly refusals: WireError[] = [];
  /** Frames wait here instead of being answered, when set. */
  readonly handlers = new Map<string, Handle>();
  readonly seqs = new Map<string, number>();

  dial = (): Transport => {
    if (this.isDown) throw new Error('connection refused');
    const [client, server] = memoryTransportPair();
    const connection = new FakeConnection(server, (frame, from) => this.#receive(frame, from));
    this.connections.push(connection);
    if (this.closesAtOnce !== undefined) {
      connection.drop(this.closesAtOnce, 'no');
      return client;
    }
    connection.send({ type: 'event', event: 'connect.challenge', payload: { nonce: 'n-1', ts: this.clock.now() } });
    return client;
  };

  get last(): FakeConnection {
    return this.connections.at(-1) as FakeConnection;
  }

  connect(options: Partial<ConnectOptions> = {}): { gateway: Gateway; states: StateChange[] } {
    const gateway = connect({ dialer: this.dial, clock: this.clock, random: () => 0.5, page: {}, ...options });
    const states: StateChange[] = [];
    gateway.on('state', (change) => states.push(change));
    return { gateway, states };
  }

  /** Time passes, with a tick every 5 s, so that the connection counts as alive. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 5_000) {
      await this.clock.advance(Math.min(left, 5_000));
      this.last.send({ type: 'event', event: 'tick', payload: { ts: this.clock.now() } });
      await this.clock.advance(0);
    }
  }

  stream(name: string): FakeStream {
    let stream = this.streams.get(name);
    if (!stream) {
      stream = { epoch: 'e1', low: 1, events: [] };
      this.streams.set(name, stream);
    }
    return stream;
  }

  /** Appends one event to a stream and tells every subscriber. */
  append(name: string, event: string, payload: unknown): EventFrame {
    const stream = this.stream(name);
    const frame: EventFrame = { type: 'event', event, payload, stream: name, offset: stream.events.length + 1 };
    stream.events.push(frame);
    for (const connection of this.connections) {
      if (!connection.closed && connection.subscribed.has(name)) connection.send(frame);
    }
    return frame;
  }

  /** Appends one part of a run to the main session. */
  emit(runId: string, part: RunPart, sessionKey = 'agent:main:main'): void {
    const seq = (this.seqs.get(runId) ?? 0) + 1;
    this.seqs.set(runId, seq);
    const payload = { runId, seq, ts: 1, sessionKey, sessionId: 's1', agentId: 'main', ...part } as AgentPayload;
    this.append(sessionStream(sessionKey), 'agent', payload);
  }

  start(runId: string): void {
    this.emit(runId, { stream: 'lifecycle', data: { phase: 'start', attempt: 1 } });
  }

  text(runId: string, at: number, delta: string, itemId = 't1'): void {
    this.emit(runId, { stream: 'assistant', data: { itemId, at, delta } });
  }

  finish(runId: string, text: string): void {
    const message: Message = {
      id: `m-${runId}`,
      role: 'assistant',
      content: [{ type: 'text', text }],
      timestamp: 1,
      runId,
    };
    const name = sessionStream('agent:main:main');
    const messageSeq = this.stream(name).events.length + 1;
    this.append(name, 'session.message', {
      sessionKey: 'agent:main:main',
      sessionId: 's1',
      agentId: 'main',
      messageSeq,
      message,
    });
    this.emit(runId, { stream: 'lifecycle', data: { phase: 'end' } });
  }

  stateAt(name: string, offset: number): StreamState {
    let state = emptyState(name);
    for (const event of this.stream(name).events) if ((event.offset ?? 0) <= offset) state = reduce(state, event);
    return state;
  }

  reset(connection: FakeConnection, name: string, reason: string): void {
    const { epoch, events } = this.stream(name);
    const offset = events.length;
    connection.send({
      type: 'event',
      event: 'stream.reset',
      payload: { stream: name, epoch, offset, reason, state: this.stateAt(name, offset) },
    });
  }

  #receive(frame: RequestFrame, connection: FakeConnection): void {
    const params = (frame.params ?? {}) as Record<string, never>;
    const answer = (result: Answer) => {
      if (!result) return;
      const ok = 'payload' in result;
      connection.send({ type: 'res', id: frame.id, ok, ...result });
    };
    const custom = this.handlers.get(frame.method);
    if (frame.method === 'connect') answer(this.#hello());
    else if (custom) answer(custom(params, frame, connection));
    else if (frame.method === 'streams.subscribe') this.#subscribe(params, frame, connection);
    else if (keyedAnswers.has(frame.method)) answer(this.#keyed(frame));
    else answer({ payload: { method: frame.method } });
  }

  #hello(): Answer {
    const refusal = this.refusals.shift();
    if (refusal) return { error: refusal };
    const capabilities = [...(this.hasStreams ? ['streams'] : []), ...this.capabilities];
    return {
      payload: {
        type: 'hello-ok',
        protocol: 4,
        server: { version: 'fake', connId: `c${this.connections.length}` },
        features: { methods: this.methods, events: [], capabilities },
        snapshot: { presence: [], health: {}, stateVersion: { presence: 0, health: 0 }, uptimeMs: 1 },
        auth: { role: 'operator', scopes: [], ...this.auth },
        policy: { maxPayload: this.maxPayload, maxBufferedBytes: 1, tickIntervalMs: this.tickIntervalMs },
      },
    };
  }

  #keyed({ method, params }: RequestFrame): Answer {
    const { idempotencyKey: key = '' } = params as { idempotencyKey?: string };
    const known = this.ledger.get(key);
    if (known) return known.answer;
    const payloads: Record<string, unknown> = {
      'chat.send': { runId: key, status: 'started' },
      'chat.abort': { ok: true, aborted: true, runIds: [] },
      'approvals.resolve': { ok: true, ...(params as object) },
    };
    const answer = { payload: payloads[method] ?? { ok: true, key: 'k' } };
    this.ledger.set(key, { answer, count: 1 });
    return answer;
  }

  #subscribe(params: Record<string, never>, frame: RequestFrame, connection: FakeConnection): void {
    const asked = params.streams as unknown as { stream: string; after?: { epoch: string; offset: number } }[];
    const follow: (() => void)[] = [];
    const streams = asked.map(({ stream: raw, after }) => {
      const name = raw.startsWith('session:') ? sessionStream(canonicalSessionKey(raw.slice(8)) ?? '') : raw;
      const { epoch, low, events } = this.stream(name);
      const head = events.length;
      connection.subscribed.add(name);
      const reason = !after
        ? 'no_position'
        : after.epoch !== epoch
          ? 'epoch_changed'
          : after.offset < low - 1
            ? 'offset_expired'
            : after.offset > head
              ? 'offset_ahead'
              : undefined;
      follow.push(() => {
        if (reason) this.reset(connection, name, reason);
        else for (const event of events.slice(after?.offset)) connection.send(event);
        connection.send({ type: 'event', event: 'stream.live', payload: { stream: name, epoch, offset: head } });
      });
      return { stream: name, epoch, head, result: reason ? 'snapshot' : 'resumed', ...(reason ? { reason } : {}) };
    });
    connection.send({ type: 'res', id: frame.id, ok: true, payload: { streams } });
    for (const step of follow) step();
  }
}

/** Collects what an iteration gives, without waiting for its end. */
export function collect<T>(iterable: AsyncIterable<T>): {
  items: T[];
  done: Promise<unknown>;
  error?: unknown;
  isDone: boolean;
} {
  const seen: { items: T[]; done: Promise<unknown>; error?: unknown; isDone: boolean } = {
    items: [],
    done: Promise.resolve(),
    isDone: false,
  };
  seen.done = (async () => {
    try {
      for await (const item of iterable) seen.items.push(item);
    } catch (error) {
      seen.error = error;
    }
    seen.isDone = true;
  })();
  return seen;
}
