import type { Params, Result } from '@openclaw/protocol';
import { type MethodName, memoryTransportPair, type Transport, type WireError } from '@openclaw/protocol';
import type { GatewayOptions, LocalIdentity } from '@openclaw/server';
import { Findings } from './findings.ts';
import { GatewayHost } from './gateway-host.ts';
import { SharedStore } from './shared-store.ts';
import { Simulation } from './simulation.ts';
import { Truth } from './truth.ts';

/** A frame as it arrived. */
export interface Received {
  type: 'res' | 'event';
  id?: string;
  ok?: boolean;
  payload?: unknown;
  error?: WireError;
  event?: string;
  stream?: string;
  offset?: number;
  from?: number;
  seq?: number;
}

/** A peer that speaks frames by hand, so that a test sees exactly what was sent. */
export class RawPeer {
  readonly frames: Received[] = [];
  readonly texts: string[] = [];
  closed: { code: number; reason: string } | undefined;
  #transport: Transport;
  #nextId = 0;

  constructor(transport: Transport) {
    this.#transport = transport;
    transport.open({
      message: (text) => {
        this.texts.push(text);
        this.frames.push(JSON.parse(text) as Received);
      },
      drained() {},
      closed: (code, reason) => {
        this.closed = { code, reason };
      },
    });
  }

  /** Sends a request without waiting; returns its id. */
  send<M extends MethodName>(method: M, params: Params<M>): string {
    const id = `${method}-${++this.#nextId}`;
    this.#transport.send(JSON.stringify({ type: 'req', id, method, params }));
    return id;
  }

  /** The answer to a request, once it came. */
  answer(id: string): Received | undefined {
    return this.frames.find((frame) => frame.type === 'res' && frame.id === id);
  }

  /** The events of one stream, in the order of their arrival. */
  eventsOf(stream: string): Received[] {
    return this.frames.filter((frame) => frame.stream === stream);
  }

  /** The payloads of events outside streams. */
  payloadsOf(event: string): Record<string, unknown>[] {
    return this.frames
      .filter((frame) => frame.event === event && frame.stream === undefined)
      .map(({ payload }) => payload as Record<string, unknown>);
  }

  leave(): void {
    this.#transport.close(1000, '');
  }
}

/** A gateway on a store of its own, in virtual time and without chance: what a test does is all that happens. */
export class Stage {
  readonly simulation = new Simulation(1);
  readonly truth = new Truth();
  readonly findings = new Findings();
  readonly store = new SharedStore(this.simulation, this.truth);
  readonly host: GatewayHost;

  constructor(options: Partial<GatewayOptions> = {}) {
    const { simulation, store, findings } = this;
    this.host = new GatewayHost({ simulation, store, findings, options: { agents: [{ id: 'main' }], ...options } });
  }

  async start(): Promise<this> {
    this.host.start();
    await this.advance(50);
    return this;
  }

  advance(ms: number): Promise<void> {
    return this.simulation.advance(ms);
  }

  /** A peer after its hello. */
  async peer(identity: Partial<LocalIdentity> = {}): Promise<RawPeer> {
    const [client, server] = memoryTransportPair((task) => void this.simulation.schedule(task, 0));
    const whole: LocalIdentity = {
      role: 'operator',
      id: 'ann',
      scopes: ['operator.read', 'operator.write', 'operator.approvals', 'operator.admin'],
      ...identity,
    };
    this.host.gateway?.accept(server, whole);
    const peer = new RawPeer(client);
    await this.advance(0);
    peer.send('connect', {
      minProtocol: 4,
      maxProtocol: 4,
      client: { id: 'raw', mode: 'backend', version: '1', platform: 'test' },
      caps: ['streams'],
      role: whole.role,
    } as Params<'connect'>);
    await this.advance(50);
    return peer;
  }

  /** Asks and waits; the answer's payload, or an exception with the error. */
  async ask<M extends MethodName>(peer: RawPeer, method: M, params: Params<M>): Promise<Result<M>> {
    const { ok, payload, error } = await this.try(peer, method, params);
    if (!ok) throw new Error(`${method}: ${error?.code} ${error?.message}`);
    return payload as Result<M>;
  }

  /** Asks and waits; the answer as it came. */
  async try<M extends MethodName>(peer: RawPeer, method: M, params: Params<M>): Promise<Received> {
    const id = peer.send(method, params);
    await this.advance(50);
    const answer = peer.answer(id);
    if (!answer) throw new Error(`${method} was not answered`);
    return answer;
  }

  /** An agent that attached and reads its work. */
  async agent(instance: string, { isLocal = false, resumable = true } = {}): Promise<RawPeer> {
    const peer = await this.peer({ role: 'agent', id: 'main', isLocal });
    await this.ask(peer, 'agent.attach', { instance, resumable });
    return peer;
  }

  /** A run that an agent has claimed. */
  async runOf(operator: RawPeer, agent: RawPeer, runId: string): Promise<void> {
    await this.ask(operator, 'chat.send', { sessionKey: 'main', message: 'hello', idempotencyKey: runId });
    await this.ask(agent, 'run.start', { runId });
  }
}
