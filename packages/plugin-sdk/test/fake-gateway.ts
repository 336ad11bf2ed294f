import {
  type AgentWorkState,
  type Clock,
  CloseCode,
  decodeFrame,
  emptyState,
  GatewayError,
  type Message,
  memoryTransportPair,
  methods,
  type RequestFrame,
  type Result,
  type RunPart,
  reduce,
  type Transport,
} from '@openclaw/protocol';
import type { ConformanceOperator } from '../src/testing.ts';

interface Peer {
  transport: Transport;
  instance: string | undefined;
  isReading: boolean;
}

interface FakeRun {
  runId: string;
  attempt: number;
  instance: string | undefined;
  n: number;
  parts: RunPart[];
  isOver: boolean;
  steers: { inputId: string; text: string; isTaken: boolean }[];
  approvals: { approvalId: string; decision: 'allow' | 'deny' }[];
  ended: (() => void)[];
}

const agentId = 'main';
const stream = `agent:${agentId}`;

/**
 * The agent's side of a gateway, as small as it can be: hello, attach, the stream of work, claims, numbered emits. It keeps
 * its state over `crash()`, as a gateway with a store does. Params are checked by the contract's own schemas.
 */
export class FakeGateway implements ConformanceOperator {
  /** Called for every request before it is answered; throwing refuses it. */
  onRequest: (frame: RequestFrame) => void = () => undefined;
  readonly clock: Clock;
  readonly requests: RequestFrame[] = [];
  #runs = new Map<string, FakeRun>();
  #state = emptyState(stream) as AgentWorkState;
  #offset = 0;
  #peers = new Set<Peer>();
  #holder: string | undefined;
  #files = new Map<string, Uint8Array>();
  #count = 0;
  #watchers: (() => void)[] = [];

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Opens a connection, for a client's dialer. */
  dial = (): Transport => {
    const [far, near] = memoryTransportPair();
    this.accept(near);
    return far;
  };

  /** Takes a peer over any transport. */
  accept(transport: Transport): void {
    const peer: Peer = { transport, instance: undefined, isReading: false };
    this.#peers.add(peer);
    transport.open({
      message: (text) => this.#receive(peer, text),
      drained: () => undefined,
      closed: () => this.#peers.delete(peer),
    });
    this.#send(peer, { type: 'event', event: 'connect.challenge', payload: { nonce: 'n', ts: this.clock.now() } });
  }

  /** Cuts every connection without a word; what is on its way is lost. */
  crash(): void {
    for (const peer of this.#peers) peer.transport.close(1006, 'killed');
    this.#peers.clear();
  }

  /** The instance is given up: what it held is offered again, to whoever attaches. */
  giveUp(): void {
    this.#holder = undefined;
    for (const run of this.#runs.values()) {
      if (run.isOver || run.instance === undefined) continue;
      run.instance = undefined;
      this.#request(run, run.attempt + 1);
    }
  }

  tick(): void {
    for (const peer of this.#peers)
      this.#send(peer, { type: 'event', event: 'tick', payload: { ts: this.clock.now() } });
  }

  async send(text: string): Promise<string> {
    const runId = `run-${++this.#count}`;
    const run: FakeRun = {
      runId,
      attempt: 1,
      instance: undefined,
      n: 0,
      parts: [],
      isOver: false,
      steers: [],
      approvals: [],
      ended: [],
    };
    this.#runs.set(runId, run);
    this.#files.set(runId, new TextEncoder().encode(text));
    this.#request(run, 1);
    return runId;
  }

  async ended(runId: string): Promise<readonly RunPart[]> {
    const run = this.#run(runId);
    if (!run.isOver) await new Promise<void>((resolve) => run.ended.push(resolve));
    return run.parts;
  }

  async until(runId: string, is: (parts: readonly RunPart[]) => boolean): Promise<void> {
    while (!is(this.#run(runId).parts)) await new Promise<void>((resolve) => this.#watchers.push(resolve));
  }

  async parts(runId: string): Promise<readonly RunPart[]> {
    return this.#run(runId).parts;
  }

  async abort(runId: string): Promise<void> {
    const run = this.#run(runId);
    if (run.isOver) return;
    this.#append('run.abort', { runId, reason: 'user' });
    this.#end(run, { stream: 'lifecycle', data: { phase: 'error', reason: 'aborted', aborted: true } });
  }

  async steer(runId: string, text: string): Promise<void> {
    const inputId = `input-${++this.#count}`;
    this.#run(runId).steers.push({ inputId, text, isTaken: false });
    this.#append('run.steer', { runId, inputId, text });
  }

  async decide(approvalId: string, decision: 'allow' | 'deny'): Promise<void> {
    const run = [...this.#runs.values()].find(({ parts }) =>
      parts.some((part) => part.stream === 'approval' && part.data.approvalId === approvalId),
    );
    if (!run) throw new GatewayError('APPROVAL_NOT_FOUND', `no approval ${approvalId}`);
    run.approvals.push({ approvalId, decision });
    run.parts.push({ stream: 'approval', data: { phase: 'resolved', approvalId, title: 'answered', decision } });
    this.#append('run.approval', { runId: run.runId, approvalId, decision });
  }

  #run(runId: string): FakeRun {
    const run = this.#runs.get(runId);
    if (!run) throw new GatewayError('INVALID_REQUEST', `no run ${runId}`);
    return run;
  }

  #request(run: FakeRun, attempt: number): void {
    run.attempt = attempt;
    const { runId } = run;
    this.#append('run.requested', {
      runId,
      sessionKey: 'agent:main:main',
      sessionId: 's',
      agentId,
      attempt,
      requestedAt: this.clock.now(),
    });
  }

  #end(run: FakeRun, terminal: RunPart): void {
    run.isOver = true;
    run.parts.push(terminal);
    this.#append('run.finished', { runId: run.runId });
    for (const wake of run.ended) wake();
  }

  #append(event: string, payload: unknown): void {
    this.#offset++;
    this.#state = reduce(this.#state, { event, payload });
    const frame = { type: 'event', event, payload, stream, offset: this.#offset };
    for (const peer of this.#peers) if (peer.isReading) this.#send(peer, frame);
  }

  #send(peer: Peer, frame: unknown): void {
    peer.transport.send(JSON.stringify(frame));
  }

  #receive(peer: Peer, text: string): void {
    const decoded = decodeFrame(text);
    if (!decoded.ok || decoded.frame.type !== 'req') throw new Error(`not a request: ${text.slice(0, 200)}`);
    const { frame } = decoded;
    this.requests.push(frame);
    try {
      this.onRequest(frame);
      // A crash within `onRequest` loses the request.
      if (!this.#peers.has(peer)) return;
      const declared = methods[frame.method as keyof typeof methods];
      const params = declared.params.parse(frame.params) as never;
      const payload = this.#answer(peer, frame.method, params);
      declared.result.parse(payload);
      this.#send(peer, { type: 'res', id: frame.id, ok: true, payload });
      if (frame.method === 'streams.subscribe') this.#subscribed(peer);
    } catch (error) {
      const wire = error instanceof GatewayError ? error : new GatewayError('INVALID_REQUEST', String(error));
      this.#send(peer, { type: 'res', id: frame.id, ok: false, error: wire.toWire() });
    }
  }

  #subscribed(peer: Peer): void {
    const at = { stream, epoch: 'e1', offset: this.#offset };
    this.#send(peer, {
      type: 'event',
      event: 'stream.reset',
      payload: { ...at, reason: 'no_position', state: this.#state },
    });
    this.#send(peer, { type: 'event', event: 'stream.live', payload: at });
    peer.isReading = true;
  }

  #answer(peer: Peer, method: string, params: never): unknown {
    switch (method) {
      case 'connect':
        return this.#hello(params);
      case 'agent.attach':
        return this.#attach(peer, params);
      case 'streams.subscribe':
        return { streams: [{ stream, epoch: 'e1', head: this.#offset, result: 'snapshot', reason: 'no_position' }] };
      case 'streams.unsubscribe':
        peer.isReading = false;
        return { streams: [stream] };
      case 'run.start':
        return this.#start(peer, params);
      case 'run.messages':
        return { messages: [], hasMore: false };
      case 'run.emit':
        return this.#emit(peer, params);
      case 'ping':
        return { ts: this.clock.now() };
      default:
        throw new GatewayError('INVALID_REQUEST', `the fake gateway has no ${method}`);
    }
  }

  #hello({ role }: { role: string }): Result<'connect'> {
    return {
      type: 'hello-ok',
      protocol: 4,
      server: { version: 'fake', connId: 'c' },
      features: { methods: Object.keys(methods), events: [], capabilities: ['streams'] },
      snapshot: { presence: [], health: {}, stateVersion: { presence: 0, health: 0 }, uptimeMs: 0 },
      auth: { role, scopes: [] },
      policy: { maxPayload: 26_214_400, maxBufferedBytes: 1_048_576, tickIntervalMs: 60_000 },
    };
  }

  #attach(peer: Peer, { instance, resumable }: { instance: string; resumable: boolean }): Result<'agent.attach'> {
    if (this.#holder !== undefined && this.#holder !== instance) {
      throw new GatewayError('UNAVAILABLE', 'another instance holds the agent', {
        retryable: true,
        retryAfterMs: 1_000,
      });
    }
    this.#holder = instance;
    for (const other of this.#peers)
      if (other !== peer && other.instance === instance) other.transport.close(CloseCode.replaced, 'replaced');
    peer.instance = instance;
    for (const run of this.#runs.values()) {
      if (resumable || run.isOver || run.instance !== undefined || run.attempt === 1) continue;
      this.#end(run, { stream: 'lifecycle', data: { phase: 'error', reason: 'interrupted' } });
    }
    const runs = [...this.#runs.values()].filter((run) => run.instance === instance && !run.isOver);
    return { agentId, stream, runs: runs.map(({ runId }) => runId) };
  }

  #start(peer: Peer, { runId }: { runId: string }): Result<'run.start'> {
    const run = this.#run(runId);
    if (run.isOver || (run.instance !== undefined && run.instance !== peer.instance))
      throw new GatewayError('RUN_ENDED', runId);
    if (run.instance === undefined) {
      run.instance = peer.instance;
      this.#append('run.started', { runId, instance: peer.instance, attempt: run.attempt, local: false });
    }
    const text = new TextDecoder().decode(this.#files.get(runId));
    const asked: Message = { id: runId, role: 'user', runId, timestamp: 0, content: [{ type: 'text', text }] };
    return {
      runId,
      session: { key: 'agent:main:main', sessionId: 's', agentId, createdAt: 0, updatedAt: 0 },
      attempt: run.attempt,
      n: run.n,
      messages: [asked],
      hasMore: false,
      journal: run.parts,
      steers: run.steers
        .filter(({ isTaken }) => !isTaken)
        .map(({ inputId, text: words }) => ({ inputId, text: words })),
      approvals: run.approvals,
    };
  }

  #emit(peer: Peer, { runId, n, parts }: { runId: string; n: number; parts: RunPart[] }): Result<'run.emit'> {
    const run = this.#run(runId);
    if (run.isOver || run.instance !== peer.instance) throw new GatewayError('RUN_ENDED', `run ${runId} has ended`);
    if (n <= run.n) return { n: run.n };
    if (n !== run.n + 1) throw new GatewayError('INVALID_REQUEST', 'a jump', { details: { expected: run.n + 1 } });
    run.n = n;
    for (const part of parts) {
      if (part.stream === 'lifecycle') this.#end(run, part);
      else run.parts.push(part);
      const taken =
        part.stream === 'item' ? run.steers.find(({ inputId }) => inputId === part.data.inputId) : undefined;
      if (taken) taken.isTaken = true;
    }
    for (const wake of this.#watchers.splice(0)) wake();
    return { n };
  }
}
