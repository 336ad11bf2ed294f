import type { Dialer } from '@openclaw/client';
import { serve } from '@openclaw/plugin-sdk';
import type { LocalIdentity } from '@openclaw/server';
import { Findings } from './findings.ts';
import { GatewayHost } from './gateway-host.ts';
import { Link } from './link.ts';
import { Operator } from './operator.ts';
import { AgentBook, scriptedAgent } from './scripted-agent.ts';
import { SharedStore } from './shared-store.ts';
import { Process, Simulation } from './simulation.ts';
import { Truth } from './truth.ts';

/** What kind of world a seed makes. */
export interface Plan {
  /** How long faults and people act, in ms. */
  lengthMs: number;
  operatorIds: string[];
  sessionKeys: string[];
  /** The agent lives and dies with the gateway's process, as a worker does. */
  isAgentLocal: boolean;
  agentCount: 1 | 2;
  isResumable: boolean;
  isFickle: boolean;
  /** Events per stream that are kept. */
  maxEvents: number | undefined;
  mergeAfterMs: number;
  /** Probability of a fault after an event. */
  faultRate: number;
  failureRate: number;
  latencyMs: number;
  /** The longest pause between two actions of a person, in ms. */
  paceMs: number;
}

export function planOf(simulation: Simulation): Plan {
  const { chance, integer, pick } = {
    chance: (probability: number) => simulation.chance(probability),
    integer: (least: number, most: number) => simulation.integer(least, most),
    pick: <T>(choices: readonly T[]) => simulation.pick(choices),
  };
  return {
    lengthMs: chance(0.7) ? integer(3_000, 20_000) : integer(35_000, 100_000),
    operatorIds: pick([['ann'], ['ann', 'bob'], ['ann', 'ann'], ['ann', 'ann', 'bob']]),
    sessionKeys: pick([['main'], ['main', 'notes'], ['notes'], ['main', 'notes', 'plans']]),
    isAgentLocal: chance(0.4),
    agentCount: chance(0.35) ? 2 : 1,
    isResumable: chance(0.65),
    isFickle: chance(0.25),
    maxEvents: chance(0.4) ? integer(1, 50) : undefined,
    mergeAfterMs: pick([1_000, 600_000]),
    faultRate: pick([0.002, 0.005, 0.01, 0.02]),
    failureRate: chance(0.3) ? 0.04 : 0,
    latencyMs: pick([1, 20, 200]),
    paceMs: pick([500, 3_000, 10_000]),
  };
}

const scopes = ['operator.read', 'operator.write', 'operator.approvals', 'operator.admin'];

/** A gateway, its agents and its people, all in virtual time, all on one seed. */
export class World {
  readonly seed: number;
  readonly simulation: Simulation;
  readonly plan: Plan;
  readonly truth = new Truth();
  readonly findings = new Findings();
  readonly store: SharedStore;
  readonly host: GatewayHost;
  readonly book = new AgentBook();
  readonly operators: Operator[];
  readonly links = new Set<Link>();
  readonly agents: Process[] = [];
  #agentLifeCount = 0;
  #operatorCount = 0;

  constructor(seed: number) {
    this.seed = seed;
    this.simulation = new Simulation(seed);
    this.plan = planOf(this.simulation);
    const { maxEvents, mergeAfterMs, agentCount, isAgentLocal } = this.plan;
    this.store = new SharedStore(this.simulation, this.truth);
    this.host = new GatewayHost({
      simulation: this.simulation,
      store: this.store,
      findings: this.findings,
      options: {
        agents: [{ id: 'main' }],
        retention: { mergeAfterMs, ...(maxEvents === undefined ? {} : { maxEvents }) },
        runSilenceMs: 150_000,
      },
    });
    if (isAgentLocal) this.host.onStarted(() => this.#startMissingAgents());
    this.host.start();
    if (!isAgentLocal) for (let count = 0; count < agentCount; count++) this.#startAgent();
    this.operators = this.plan.operatorIds.map((id) => this.operator(id));
  }

  operator(id: string): Operator {
    const { simulation, truth, findings } = this;
    const identity: LocalIdentity = { role: 'operator', id, scopes };
    const name = `${id}-${++this.#operatorCount}`;
    return new Operator({
      simulation,
      truth,
      findings,
      id,
      name,
      scopes,
      dial: (owner) => this.dialer(owner, identity),
    });
  }

  #startAgent(): void {
    const { simulation, plan, book } = this;
    const process = new Process(simulation, `agent-process-${++this.#agentLifeCount}`);
    this.agents.push(process);
    process.onKill(() => this.agents.splice(this.agents.indexOf(process), 1));
    if (plan.isAgentLocal) this.host.process?.onKill(() => process.kill());
    const agent = scriptedAgent(process, book, { resumable: plan.isResumable, isFickle: plan.isFickle });
    const dialer = this.dialer(process, { role: 'agent', id: 'main', isLocal: plan.isAgentLocal });
    const serving = serve(
      agent,
      { dialer },
      {
        instance: process.name,
        clock: process,
        random: simulation.random,
        defer: process.defer,
        connection: { page: {} },
      },
    );
    void serving.closed.then((error) => {
      if (!process.isAlive) return;
      this.findings.report('fault', `${process.name} ended for good: ${String(error)}`);
    });
  }

  #startMissingAgents(): void {
    if (this.plan.isAgentLocal && !this.host.gateway) return;
    while (this.agents.length < this.plan.agentCount) this.#startAgent();
  }

  /** Kills one process of the agent; the next one starts a while later. */
  crashAgent(): void {
    const process = this.agents[this.simulation.integer(0, this.agents.length - 1)];
    if (!process) return;
    process.kill();
    this.simulation.schedule(
      () => this.#startMissingAgents(),
      this.simulation.random() * (this.simulation.chance(0.1) ? 60_000 : 3_000),
    );
  }

  /** Kills the gateway; the next one starts a while later. */
  crashGateway(): void {
    if (!this.host.process) return;
    this.host.crash();
    const { simulation } = this;
    const downMs = simulation.chance(0.1) ? simulation.integer(10_000, 50_000) : simulation.random() * 2_000;
    simulation.schedule(() => this.host.start(), downMs);
  }

  stopGateway(): void {
    this.host.stop();
    this.simulation.schedule(() => {
      if (this.host.process && this.host.gateway) return;
      this.host.start();
    }, 8_000);
  }

  /** Opens links for a process: to the gateway if it is up, else to nobody. */
  dialer(owner: Process, identity: LocalIdentity): Dialer {
    return () => {
      const { simulation, plan, host } = this;
      const nobody = new Process(simulation, 'nobody');
      const link = new Link(
        simulation,
        { client: owner, server: host.gateway && host.process ? host.process : nobody },
        { latencyMs: plan.latencyMs, sent: (text) => this.#sent(text) },
      );
      const { gateway, process } = host;
      if (!gateway || !process) {
        if (this.findings.isHealed || simulation.chance(0.9)) link.cut();
        return link.client;
      }
      this.links.add(link);
      if (this.links.size > 16) for (const other of this.links) if (other.isOver) this.links.delete(other);
      process.schedule(() => gateway.accept(link.server, identity), simulation.random() * plan.latencyMs);
      return link.client;
    };
  }

  /** Commit before send (S13): what leaves the gateway is committed. */
  #sent(text: string): void {
    const match = /"stream":"([^"]+)","offset":(\d+)(?:,"from":\d+)?}$/.exec(text.slice(-700));
    if (!match || !text.startsWith('{"type":"event"')) return;
    const [, stream = '', offset = ''] = match;
    const lives = this.truth.lives.filter((life) => life.stream === stream);
    // What the tick of a deletion appended is told before the deletion, and is erased with the rest.
    if (this.truth.deleted.has(stream) || lives.some((life) => Number(offset) <= life.head)) return;
    this.findings.report('S13', `${stream} ${offset} left before it was committed (head ${lives.at(-1)?.head})`);
  }

  /** Everything that can go wrong goes wrong no more. */
  heal(): void {
    this.simulation.note('the world is healed');
    this.findings.isHealed = true;
    this.store.failureRate = 0;
    for (const link of this.links) {
      link.weight = 1;
      link.perMessageMs = 0;
    }
    if (!this.host.process) this.host.start();
    else if (!this.host.gateway) this.simulation.schedule(() => this.host.start(), 1_000);
    this.#startMissingAgents();
  }

  /** Ends every process: nothing of the world goes on. */
  end(): void {
    this.host.crash();
    for (const process of [...this.agents]) process.kill();
    for (const operator of this.operators) operator.process.kill();
  }
}
