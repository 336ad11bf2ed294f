import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type Clock,
  defaultAgentId,
  events,
  GatewayError,
  type HelloOk,
  mainSessionKey,
  randomId,
  streamsCapability,
  systemClock,
  type Transport,
} from '@openclaw/protocol';
import type { Credentials } from './connection/credentials.ts';
import type { ConnectionHost } from './connection/host.ts';
import type { Identity } from './connection/peer.ts';
import { PresenceList } from './connection/presence-list.ts';
import { Dispatcher } from './dispatch/dispatcher.ts';
import { Ledger } from './dispatch/ledger.ts';
import type { Gateway, GatewayOptions, LiveOptions, LocalIdentity } from './gateway-options.ts';
import { createHttpEdge } from './http/edge.ts';
import { agentMethods } from './methods/agent.ts';
import { chatMethods } from './methods/chat.ts';
import type { GatewayParts } from './methods/context.ts';
import { runMethods } from './methods/runs.ts';
import { sessionMethods } from './methods/sessions.ts';
import { streamMethods } from './methods/streams.ts';
import { systemMethods } from './methods/system.ts';
import { V4Projection } from './projection/v4-projection.ts';
import { AgentCalls } from './runs/agent-calls.ts';
import { Agents } from './runs/agents.ts';
import { Approvals } from './runs/approvals.ts';
import { Intake } from './runs/intake.ts';
import { OpenRuns } from './runs/open-runs.ts';
import { QueuedMessages } from './runs/queued-messages.ts';
import { Recovery } from './runs/recovery.ts';
import { Sessions } from './sessions/sessions.ts';
import { agingNow } from './streams/aging.ts';
import { Committer } from './streams/committer.ts';
import { Documents } from './streams/documents.ts';
import { Erasure } from './streams/erasure.ts';
import type { EventStore } from './streams/event-store.ts';
import { memoryStore } from './streams/memory-store.ts';
import { Retention } from './streams/retention.ts';
import { StreamLog } from './streams/stream-log.ts';
import { Subscriptions } from './streams/subscriptions.ts';
import { Upkeep } from './streams/upkeep.ts';

/** How often runs, graces and approvals are looked at, in ms. */
const sweepMs = 5_000;
const spreadMs = 3_000;

/**
 * Makes a gateway and brings it to where the last one stopped: the store is open, and runs that were active are recovering,
 * before the first connection is taken. Rejects when the store can't be opened.
 */
export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const gateway = new RunningGateway(options);
  try {
    await gateway.start();
  } catch (error) {
    await gateway.close().catch(() => undefined);
    throw error;
  }
  return gateway;
}

class RunningGateway implements Gateway {
  readonly #options: GatewayOptions;
  #live: LiveOptions;
  readonly #clock: Clock;
  readonly #store: EventStore;
  readonly #committer: Committer;
  readonly #documents: Documents;
  readonly #log: StreamLog;
  readonly #subscriptions: Subscriptions;
  readonly #ledger: Ledger;
  readonly #dispatcher: Dispatcher;
  readonly #parts: GatewayParts;
  readonly #edge: ReturnType<typeof createHttpEdge>;
  readonly #credentials: Credentials;
  readonly #bootId = randomId(8);
  readonly #startedAtMs: number;
  readonly #presence: PresenceList;
  readonly #upkeep: Upkeep;
  #phase: 'starting' | 'ready' | 'draining' = 'starting';
  #cancelSweep: () => void = () => {};

  constructor(options: GatewayOptions) {
    const {
      agents: agentOptions = [{ id: defaultAgentId }],
      clock = systemClock({ unref: true }),
      store = memoryStore(),
      onWarning = () => {},
    } = options;
    this.#options = options;
    this.#live = options;
    this.#clock = clock;
    this.#store = store;
    this.#startedAtMs = clock.elapsed();
    const now = () => clock.now();
    const aging = agingNow(clock);
    const mainAgentId = agentOptions[0]?.id ?? defaultAgentId;
    const committer = new Committer({
      store,
      onFault: (error) => onWarning('a task after a commit failed inside the gateway', error),
      ...(options.defer ? { defer: options.defer } : {}),
    });
    const documents = new Documents(committer);
    const log = new StreamLog({ store, committer, elapsed: () => clock.elapsed() });
    const ledger = new Ledger({ committer, now });
    const erasure = new Erasure({ log, store, documents });
    const sessions = new Sessions({
      log,
      documents,
      erasure,
      now,
      agentIds: agentOptions.map(({ id }) => id),
      defaultAgentId: mainAgentId,
    });
    const grace = options.agentGraceMs === undefined ? {} : { graceMs: options.agentGraceMs };
    const agents = new Agents({ log, clock, agents: agentOptions, ...grace });
    const approvals = new Approvals({ log, now, elapsed: () => clock.elapsed() });
    const openRuns = new OpenRuns({ log, committer, ledger, sessions, agents, approvals, clock });
    const queued = new QueuedMessages({ log, committer });
    const intake = new Intake({
      log,
      committer,
      sessions,
      agents,
      openRuns,
      clock,
      queued,
      effects: () => this.#live.effects ?? {},
    });
    const agentCalls = new AgentCalls({ log, committer, sessions, agents, approvals, openRuns, clock, queued });
    const silence = options.runSilenceMs === undefined ? {} : { silenceMs: options.runSilenceMs };
    const recovery = new Recovery({
      log,
      ledger,
      sessions,
      agents,
      approvals,
      agentCalls,
      openRuns,
      clock,
      queued,
      ...silence,
    });
    const subscriptions = new Subscriptions({ log, defaultAgentId: mainAgentId });
    const projection = new V4Projection({ clock, journalOf: (runId) => openRuns.journalOf(runId) });
    this.#committer = committer;
    this.#documents = documents;
    this.#log = log;
    this.#subscriptions = subscriptions;
    this.#ledger = ledger;
    this.#presence = new PresenceList({ clock });
    const retention = new Retention({ log, store, documents, clock, options: options.retention, onWarning });
    const pinned = new Set(['system', 'approvals', ...agents.ids.map((id) => `agent:${id}`)]);
    this.#upkeep = new Upkeep({
      clock,
      store,
      log,
      ledger,
      retention,
      erasure,
      agingNow: aging,
      busyStreams: () => {
        const busy = agents.work().flatMap(({ sessionKey, agentId }) => [`session:${sessionKey}`, `agent:${agentId}`]);
        return new Set(approvals.open.length > 0 ? [...busy, 'approvals'] : busy);
      },
      isPinned: (stream) => pinned.has(stream.name) || subscriptions.hasReaders(stream),
      onWarning,
    });
    this.#parts = {
      clock,
      store,
      committer,
      log,
      subscriptions,
      ledger,
      sessions,
      agents,
      approvals,
      openRuns,
      intake,
      agentCalls,
      recovery,
      projection,
      defaultAgentId: mainAgentId,
      phase: () => this.#phase,
    };
    this.#dispatcher = new Dispatcher({
      committer,
      onFault: (method, error) => onWarning(`${method} failed inside the gateway`, error),
    });
    log.listen({
      committed: (stream, committedEvents) => {
        let bytes = 0;
        for (const { frame } of committedEvents) bytes += frame.bytes.length;
        retention.committed(stream, bytes);
        subscriptions.committed(stream, committedEvents);
        projection.publish(committedEvents);
      },
      deleted: (stream) => {
        subscriptions.deleted(stream);
        retention.forget(stream.name);
        // The rest of the commit first: what it appended elsewhere is to go too.
        queueMicrotask(() => this.#upkeep.erase());
      },
    });
    this.#edge = createHttpEdge(this.#host(), {
      ...options,
      failing: () => (committer.failure ? [`store: ${committer.failure.message}`] : []),
      ...(options.defer ? { defer: options.defer } : {}),
    });
    this.#credentials = this.#edge.credentials;
    this.#dispatcher.add([
      ...systemMethods(this.#parts, {
        version: options.version ?? '0.1.0',
        bootId: this.#bootId,
        uptimeMs: () => this.#uptimeMs,
        connectionCount: () => this.#presence.peerCount,
        presence: () => this.#presence.entries,
        health: () => this.#health(),
        credentials: this.#credentials,
        config: options.config ?? (() => ({ path: '', exists: false, values: {} })),
      }),
      ...streamMethods(this.#parts),
      ...chatMethods(this.#parts),
      ...agentMethods(this.#parts),
      ...sessionMethods(this.#parts),
      ...runMethods(this.#parts),
      ...(options.methods ?? []),
    ]);
  }

  async start(): Promise<void> {
    const contents = await this.#store.open();
    this.#log.load(contents.heads);
    this.#ledger.load(contents.ledger);
    this.#documents.load(contents.documents);
    await this.#parts.sessions.start();
    await this.#parts.agents.start();
    await this.#parts.approvals.start();
    await this.#parts.recovery.recover();
    await this.#committer.idle();
    if (this.#committer.failure) throw this.#committer.failure;
    this.#phase = 'ready';
    this.#upkeep.start();
    this.#sweep();
  }

  #sweep(): void {
    this.#cancelSweep = this.#clock.schedule(() => {
      this.#sweep();
      this.#parts.recovery.orphaned(this.#parts.agents.expire());
      this.#parts.recovery.sweep();
    }, sweepMs);
  }

  listen(address: { port: number; host?: string }): Promise<AddressInfo> {
    return this.#edge.listen(address);
  }

  attach(server: Server, options?: { path?: string }): void {
    this.#edge.attach(server, options);
  }

  accept(transport: Transport, { role, id = '', scopes = [], isLocal = true }: LocalIdentity): void {
    if (role === 'agent' && !this.#parts.agents.ids.includes(id)) {
      throw new GatewayError(
        'INVALID_REQUEST',
        `unknown agent id: '${id}'. This gateway has ${this.#parts.agents.ids.join(', ')}; name it in the options.`,
      );
    }
    const identity: Identity = { role, id, scopes: new Set(scopes), principal: `local:${role}:${id}`, isLocal };
    this.#edge.acceptTransport(transport, identity);
  }

  createToken(grant: {
    role: 'agent' | 'channel' | 'operator';
    id: string;
    scopes?: readonly string[];
  }): Promise<string> {
    const { token } = this.#credentials.createToken(grant);
    return this.#committed(token);
  }

  reconfigure(options: LiveOptions): void {
    this.#edge.reconfigure(options);
    this.#live = options;
  }

  createBootstrapCode(): Promise<string> {
    return this.#committed(this.#credentials.createBootstrapCode());
  }

  #committed<T>(value: T): Promise<T> {
    return new Promise((resolve, reject) => this.#committer.release(() => resolve(value), reject));
  }

  async drain({
    reason = 'gateway stopping',
    restartExpectedMs,
    timeoutMs = 30_000,
  }: {
    reason?: string;
    restartExpectedMs?: number;
    timeoutMs?: number;
  } = {}): Promise<void> {
    if (this.#phase === 'draining') return;
    this.#phase = 'draining';
    const expected = restartExpectedMs === undefined ? {} : { restartExpectedMs };
    const forV4 = JSON.stringify({ reason, ...expected });
    const forStreams = JSON.stringify({ reason, ...expected, spreadMs });
    for (const peer of this.#presence.peers) peer.sendEvent('shutdown', peer.hasStreams ? forStreams : forV4);
    const untilMs = this.#clock.elapsed() + timeoutMs;
    while (this.#parts.openRuns.localCount > 0 && this.#clock.elapsed() < untilMs) {
      await new Promise<void>((resolve) => this.#clock.schedule(resolve, 50));
    }
    await this.#committer.idle();
  }

  async close(): Promise<void> {
    this.#phase = 'draining';
    this.#cancelSweep();
    await this.#edge.close();
    await this.#committer.idle();
    await this.#upkeep.stop();
    await this.#committer.idle();
    await this.#store.close();
  }

  get #uptimeMs(): number {
    return Math.round(this.#clock.elapsed() - this.#startedAtMs);
  }

  #health(): HelloOk['snapshot']['health'] {
    return {
      ok: true,
      ts: this.#clock.now(),
      durationMs: 0,
      defaultAgentId: this.#parts.defaultAgentId,
      sessions: { path: '', count: this.#parts.sessions.count, recent: [] },
    };
  }

  #host(): ConnectionHost {
    return {
      clock: this.#clock,
      documents: this.#documents,
      afterCommit: (task, failed) => this.#committer.release(task, failed),
      phase: () => this.#phase,
      hello: (identity) => ({
        version: this.#options.version ?? '0.1.0',
        bootId: this.#bootId,
        features: {
          methods: ['connect', ...this.#dispatcher.names],
          events: Object.keys(events),
          capabilities: [streamsCapability],
        },
        snapshot: {
          presence: this.#presence.entriesFor(identity),
          health: this.#health(),
          stateVersion: { presence: this.#presence.version, health: 1 },
          uptimeMs: this.#uptimeMs,
          sessionDefaults: {
            defaultAgentId: this.#parts.defaultAgentId,
            mainKey: mainSessionKey,
            mainSessionKey: this.#parts.sessions.canonicalKey(mainSessionKey, this.#parts.defaultAgentId),
            scope: 'per-sender',
          },
          authMode: this.#options.auth.mode,
        },
      }),
      joined: (peer) => {
        this.#presence.join(peer);
        if (!peer.hasStreams && peer.identity.role === 'operator') this.#parts.projection.join(peer);
      },
      received: (peer, frame) => this.#dispatcher.dispatch(peer, frame),
      drained: (peer) => {
        this.#subscriptions.drained(peer);
        this.#parts.projection.drained(peer);
      },
      left: (peer) => {
        this.#dispatcher.forget(peer);
        this.#subscriptions.leave(peer);
        this.#parts.projection.leave(peer);
        if (peer.identity.role === 'agent') this.#parts.recovery.orphaned(this.#parts.agents.left(peer));
        this.#presence.leave(peer);
      },
    };
  }
}
