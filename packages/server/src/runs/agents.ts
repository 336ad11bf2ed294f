import {
  type AgentWorkState,
  agentStream,
  type Clock,
  CloseCode,
  GatewayError,
  type Params,
  type Payload,
  type RunWork,
} from '@openclaw/protocol';
import type { Peer } from '../connection/peer.ts';
import type { Stream, StreamLog } from '../streams/stream-log.ts';

/** An agent of this gateway, as its options name it. */
export interface AgentOptions {
  id: string;
  name?: string;
}

/** Who holds `agent:<id>` (S28). */
interface Holder {
  instance: string;
  /** Absent while the instance is away within its grace. */
  peer: Peer | undefined;
  isLocal: boolean;
  resumable: boolean;
  graceUntilMs: number;
}

interface Slot {
  options: AgentOptions;
  stream: Stream & { state: AgentWorkState };
  holder: Holder | undefined;
  models: NonNullable<Params<'agent.attach'>['models']>;
}

export interface AgentsOptions {
  log: StreamLog;
  clock: Clock;
  agents: readonly AgentOptions[];
  /** How long a run waits for the agent process that began it, in ms (S21). Default 30 s. */
  graceMs?: number;
}

/** The agents of this gateway: their streams of work, and which process holds each. */
export class Agents {
  readonly #log: StreamLog;
  readonly #clock: Clock;
  readonly #options: readonly AgentOptions[];
  readonly #graceMs: number;
  readonly #slots = new Map<string, Slot>();

  constructor({ log, clock, agents, graceMs = 30_000 }: AgentsOptions) {
    this.#log = log;
    this.#clock = clock;
    this.#options = agents;
    this.#graceMs = graceMs;
  }

  /** Brings the streams of work into memory; called once. */
  async start(): Promise<void> {
    const stored = this.#log.names('agent:').map((name) => ({ id: name.slice('agent:'.length) }));
    const known = new Set(this.#options.map(({ id }) => id));
    for (const options of [...this.#options, ...stored.filter(({ id }) => !known.has(id))]) {
      const stream = (await this.#log.open(agentStream(options.id))) as Slot['stream'];
      const slot: Slot = { options, stream, holder: undefined, models: [] };
      this.#slots.set(options.id, slot);
      // A process of its own may still be at work; it gets its grace (S21).
      const claimed = stream.state.runs.find(({ instance, local }) => instance !== undefined && local === false);
      if (claimed?.instance !== undefined) slot.holder = this.#away(claimed.instance);
    }
  }

  #away(instance: string): Holder {
    return {
      instance,
      peer: undefined,
      isLocal: false,
      resumable: false,
      graceUntilMs: this.#clock.elapsed() + this.#graceMs,
    };
  }

  get ids(): string[] {
    return this.#options.map(({ id }) => id);
  }

  /** The agents for `agents.list`. */
  list(): { id: string; name?: string; attached: boolean }[] {
    return this.#options.map(({ id, name }) => ({
      id,
      ...(name === undefined ? {} : { name }),
      attached: this.#slots.get(id)?.holder?.peer !== undefined,
    }));
  }

  /** The models that the attached agents named. */
  get models(): Slot['models'] {
    return [...this.#slots.values()].flatMap(({ models }) => models);
  }

  /** Every run that its agent has not settled. */
  work(): RunWork[] {
    return [...this.#slots.values()].flatMap(({ stream }) => stream.state.runs);
  }

  find(agentId: string, runId: string): RunWork | undefined {
    return this.#slots.get(agentId)?.stream.state.runs.find((run) => run.runId === runId);
  }

  /** Appends to an agent's work. */
  append<E extends 'run.requested' | 'run.started' | 'run.steer' | 'run.abort' | 'run.approval' | 'run.finished'>(
    agentId: string,
    event: E,
    payload: Payload<E>,
  ): void {
    const slot = this.#slots.get(agentId);
    if (slot) this.#log.append(slot.stream, event, payload);
  }

  /**
   * Gives the agent to an instance. Returns the runs that it takes over from an instance that is gone. Refuses with
   * UNAVAILABLE while another instance holds it or has its grace.
   */
  attach(
    peer: Peer,
    { instance, resumable, models = [] }: Params<'agent.attach'>,
  ): { stream: string; held: string[]; orphans: RunWork[] } {
    const { id, isLocal } = { id: peer.identity.id, isLocal: peer.identity.isLocal };
    const slot = this.#slots.get(id);
    if (!slot)
      throw new GatewayError('INVALID_REQUEST', `unknown agent id: ${id}. This gateway has ${this.ids.join(', ')}.`, {
        details: { code: 'UNKNOWN_AGENT_ID' },
      });
    const { holder } = slot;
    if (holder && holder.instance !== instance) {
      const waitMs = holder.peer ? 5_000 : holder.graceUntilMs - this.#clock.elapsed();
      if (waitMs > 0) {
        throw new GatewayError(
          'UNAVAILABLE',
          `agent ${id} is held by another instance; it is free when that one has gone.`,
          {
            retryable: true,
            retryAfterMs: Math.ceil(waitMs),
          },
        );
      }
    }
    const replaced = holder?.peer;
    slot.holder = { instance, peer, isLocal, resumable, graceUntilMs: 0 };
    slot.models = models;
    if (replaced && replaced !== peer)
      replaced.close(CloseCode.replaced, 'the same instance attached on another connection');
    const { runs } = slot.stream.state;
    return {
      stream: slot.stream.name,
      held: runs.filter((run) => run.instance === instance).map(({ runId }) => runId),
      orphans: runs.filter((run) => run.instance !== undefined && run.instance !== instance),
    };
  }

  /** The instance that a peer holds its agent with; undefined when it holds none. */
  holding(peer: Peer): { instance: string; isLocal: boolean; resumable: boolean } | undefined {
    const holder = this.#slots.get(peer.identity.id)?.holder;
    return holder?.peer === peer ? holder : undefined;
  }

  /** A connection is gone. Returns the claimed runs of a local instance, whose agent died with it. */
  left(peer: Peer): RunWork[] {
    const slot = this.#slots.get(peer.identity.id);
    if (!slot?.holder || slot.holder.peer !== peer) return [];
    const { instance, isLocal } = slot.holder;
    const claimed = slot.stream.state.runs.filter((run) => run.instance === instance);
    // Without a run to come back for there is nothing to wait for: an agent that was idle is replaced at once.
    slot.holder = isLocal || claimed.length === 0 ? undefined : this.#away(instance);
    return isLocal ? claimed : [];
  }

  /** Ends graces that are over. Returns the claimed runs of the instances that did not come back. */
  expire(): RunWork[] {
    const orphans: RunWork[] = [];
    for (const slot of this.#slots.values()) {
      const { holder } = slot;
      if (!holder || holder.peer || holder.graceUntilMs > this.#clock.elapsed()) continue;
      slot.holder = undefined;
      orphans.push(...slot.stream.state.runs.filter((run) => run.instance === holder.instance));
    }
    return orphans;
  }

  /** Whether a run is worked on, or about to be, by an instance that lives and dies with this process. */
  isLocal(agentId: string, runId: string): boolean {
    const work = this.find(agentId, runId);
    return work?.instance === undefined ? this.#slots.get(agentId)?.holder?.isLocal === true : work.local === true;
  }

  /** Whether an instance is connected for the agent. */
  isHeld(agentId: string): boolean {
    return this.#slots.get(agentId)?.holder?.peer !== undefined;
  }
}
