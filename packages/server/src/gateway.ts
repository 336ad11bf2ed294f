import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type Clock,
  defaultAgentId,
  events,
  GatewayError,
  type HelloOk,
  mainSessionKey,
  type PresenceEntry,
  type Role,
  randomId,
  streamsCapability,
  systemClock,
  type Transport,
} from '@openclaw/protocol';
import type { Credentials } from './connection/credentials.ts';
import type { ConnectionHost } from './connection/host.ts';
import type { Identity, Peer } from './connection/peer.ts';
import { presenceEntry } from './connection/presence.ts';
import { Dispatcher } from './dispatch/dispatcher.ts';
import { Ledger } from './dispatch/ledger.ts';
import type { MethodImplementation } from './dispatch/method.ts';
import { createHttpEdge } from './http/edge.ts';
import type { EdgeOptions } from './http/edge-options.ts';
import { chatMethods } from './methods/chat.ts';
import type { GatewayParts } from './methods/context.ts';
import { runMethods } from './methods/runs.ts';
import { sessionMethods } from './methods/sessions.ts';
import { streamMethods } from './methods/streams.ts';
import { systemMethods } from './methods/system.ts';
import { V4Projection } from './projection/v4-projection.ts';
import { AgentCalls } from './runs/agent-calls.ts';
import { type AgentOptions, Agents } from './runs/agents.ts';
import { Approvals } from './runs/approvals.ts';
import { Intake } from './runs/intake.ts';
import { OpenRuns } from './runs/open-runs.ts';
import { Recovery } from './runs/recovery.ts';
import { Sessions } from './sessions/sessions.ts';
import { Committer } from './streams/committer.ts';
import { Documents } from './streams/documents.ts';
import { Erasure } from './streams/erasure.ts';
import type { EventStore } from './streams/event-store.ts';
import { memoryStore } from './streams/memory-store.ts';
import { Retention, type RetentionOptions } from './streams/retention.ts';
import { StreamLog } from './streams/stream-log.ts';
import { Subscriptions } from './streams/subscriptions.ts';

/** What a gateway is made of. Only `auth` has no default. */
export interface GatewayOptions extends Omit<EdgeOptions, 'failing' | 'defer'> {
  /** Where the log, the ledger and the sessions are kept. Default: in memory, gone with the process. */
  store?: EventStore;
  /** The agents that may attach; the first one answers where none is named. Default one, `main`. */
  agents?: readonly AgentOptions[];
  /** Methods beside the contract's; see `implement`. */
  methods?: readonly MethodImplementation[];
  retention?: Partial<RetentionOptions>;
  /** Told in `hello-ok` and `status`. Default `0.1.0`. */
  version?: string;
  /** What `config.get` answers; the caller has left secrets out. */
  config?: () => { path: string; exists: boolean; values: Record<string, unknown> };
  /** Told what an operator should know: faults, failed commits. Never a secret, never a message's text. */
  onWarning?: (warning: string, cause?: unknown) => void;
  /** How long a run may be silent, or without any agent, before it is ended, in ms. Default 10 min. */
  runSilenceMs?: number;
  /** How long a run waits for the agent process that began it, and that is gone, in ms. Default 30 s (S21). */
  agentGraceMs?: number;
  clock?: Clock;
  /** Ends a tick of the group commit. Default `setImmediate`. */
  defer?: (task: () => void) => void;
}

/** Who a local peer is; fixed by the process that accepts it. */
export interface LocalIdentity {
  role: Role;
  id?: string;
  scopes?: readonly string[];
  /** False for a peer that lives on when this process ends: an agent then keeps its runs over a restart (S21). Default true. */
  isLocal?: boolean;
}

/** A running gateway. */
export interface Gateway {
  /** Listens for WebSocket and HTTP. Default host 127.0.0.1; port 0 picks a free one. Rejects with Node's error, e.g. EADDRINUSE. */
  listen(address: { port: number; host?: string }): Promise<AddressInfo>;
  /** Serves through an HTTP server of the caller's, which stays the caller's to close. */
  attach(server: Server, options?: { path?: string }): void;
  /** Takes a local peer over a transport: a `MessagePort` or an in-memory pair. Its identity is what is given here. */
  accept(transport: Transport, identity: LocalIdentity): void;
  /** Makes a token for an agent process or an operator; resolves when it is on the disk. Shown once, stored hashed. */
  createToken(grant: { role: 'agent' | 'operator'; id: string; scopes?: readonly string[] }): Promise<string>;
  /** Makes a one-use code that a page may send as `auth.bootstrapToken`, good for ten minutes. */
  createBootstrapCode(): Promise<string>;
  /** Refuses new runs, tells everyone, and resolves when the runs of local agents have ended, or after `timeoutMs` (S25). */
  drain(options?: { reason?: string; restartExpectedMs?: number; timeoutMs?: number }): Promise<void>;
  /** Closes every connection and the store. What was accepted is kept. */
  close(): Promise<void>;
}

/** How often runs, graces and approvals are looked at, in ms. */
const sweepMs = 5_000;
/** How often states are checkpointed and retention is applied, in ms. */
const upkeepMs = 30_000;
const evictAfterMs = 600_000;
const ledgerKeptMs = 48 * 3_600_000;
const receiveKeptMs = 30 * 24 * 3_600_000;
const spreadMs = 3_000;

/**
 * Makes a gateway and brings it to where the last one stopped: the store is open, and runs that were active are recovering,
 * before the first connection is taken. Rejects when the store can't be opened.
 */
export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const gateway = new RunningGateway(options);
  await gateway.start();
  return gateway;
}

class RunningGateway implements Gateway {
  readonly #options: GatewayOptions;
  readonly #clock: Clock;
  readonly #store: EventStore;
  readonly #committer: Committer;
  readonly #documents: Documents;
  readonly #log: StreamLog;
  readonly #erasure: Erasure;
  readonly #subscriptions: Subscriptions;
  readonly #ledger: Ledger;
  readonly #retention: Retention;
  readonly #dispatcher: Dispatcher;
  readonly #parts: GatewayParts;
  readonly #edge: ReturnType<typeof createHttpEdge>;
  readonly #credentials: Credentials;
  readonly #bootId = randomId(8);
  readonly #startedAtMs: number;
  readonly #peers = new Map<Peer, PresenceEntry | undefined>();
  #phase: 'starting' | 'ready' | 'draining' = 'starting';
  #presenceVersion = 1;
  #cancelTimers: (() => void)[] = [];
  #upkeep: Promise<void> = Promise.resolve();

  constructor(options: GatewayOptions) {
    const {
      agents: agentOptions = [{ id: defaultAgentId }],
      clock = systemClock(),
      store = memoryStore(),
      onWarning = () => {},
    } = options;
    this.#options = options;
    this.#clock = clock;
    this.#store = store;
    this.#startedAtMs = clock.elapsed();
    const now = () => clock.now();
    const committer = new Committer({
      store,
      onFault: (error) => onWarning('a task after a commit failed inside the gateway', error),
      ...(options.defer ? { defer: options.defer } : {}),
    });
    const documents = new Documents(committer);
    const log = new StreamLog({ store, committer, elapsed: () => clock.elapsed() });
    const ledger = new Ledger({ committer, now });
    const erasure = new Erasure({ log, store, documents });
    const sessions = new Sessions({ log, documents, erasure, now, agentIds: agentOptions.map(({ id }) => id) });
    const grace = options.agentGraceMs === undefined ? {} : { graceMs: options.agentGraceMs };
    const agents = new Agents({ log, clock, agents: agentOptions, ...grace });
    const approvals = new Approvals({ log, now });
    const openRuns = new OpenRuns({ log, committer, ledger, sessions, agents, approvals, clock });
    const intake = new Intake({ log, committer, sessions, agents, openRuns, clock });
    const agentCalls = new AgentCalls({ log, committer, sessions, agents, approvals, openRuns, clock });
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
      ...silence,
    });
    const subscriptions = new Subscriptions({ log });
    const projection = new V4Projection({ clock, journalOf: (runId) => openRuns.journalOf(runId) });
    this.#committer = committer;
    this.#documents = documents;
    this.#log = log;
    this.#erasure = erasure;
    this.#subscriptions = subscriptions;
    this.#ledger = ledger;
    this.#retention = new Retention({ log, store, documents, clock, options: options.retention });
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
      defaultAgentId: agentOptions[0]?.id ?? defaultAgentId,
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
        this.#retention.committed(stream, bytes);
        subscriptions.committed(stream, committedEvents);
        projection.publish(committedEvents);
      },
      deleted: (stream) => {
        subscriptions.deleted(stream);
        this.#retention.forget(stream.name);
        // The rest of the commit first: what it appended elsewhere is to go too.
        queueMicrotask(() => this.#erase());
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
        connectionCount: () => this.#peers.size,
        presence: () => this.#presence,
        health: () => this.#health(),
        credentials: this.#credentials,
        config: options.config ?? (() => ({ path: '', exists: false, values: {} })),
      }),
      ...streamMethods(this.#parts),
      ...chatMethods(this.#parts),
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
    if (this.#erasure.isDue) void this.#erase();
    this.#repeat(sweepMs, () => {
      this.#parts.recovery.orphaned(this.#parts.agents.expire());
      this.#parts.recovery.sweep();
    });
    this.#repeat(upkeepMs, () => {
      this.#upkeep = this.#keepUp().catch((error: unknown) =>
        this.#options.onWarning?.('upkeep of the log failed; it is tried again', error),
      );
    });
  }

  #erase(): Promise<void> {
    return this.#erasure
      .run()
      .catch((error: unknown) =>
        this.#options.onWarning?.('erasing a deleted session failed; it is tried again', error),
      );
  }

  #repeat(everyMs: number, task: () => void): void {
    let cancel = () => {};
    const arm = () => {
      cancel = this.#clock.schedule(() => {
        arm();
        task();
      }, everyMs);
    };
    arm();
    this.#cancelTimers.push(() => cancel());
  }

  async #keepUp(): Promise<void> {
    await this.#upkeep;
    if (this.#erasure.isDue) void this.#erase();
    const states = this.#log.takeCheckpoint();
    if (states.length > 0) await this.#store.checkpoint(states);
    const busy = new Set(
      this.#parts.agents.work().flatMap(({ sessionKey, agentId }) => [`session:${sessionKey}`, `agent:${agentId}`]),
    );
    if (this.#parts.approvals.open.length > 0) busy.add('approvals');
    await this.#retention.sweep((name) => busy.has(name));
    const now = this.#clock.now();
    this.#ledger.prune(now - ledgerKeptMs, now - receiveKeptMs);
    await this.#store.pruneLedger(now - ledgerKeptMs, now - receiveKeptMs);
    const pinned = new Set([...busy, 'system', 'approvals', ...this.#parts.agents.ids.map((id) => `agent:${id}`)]);
    this.#log.evict(evictAfterMs, (stream) => pinned.has(stream.name) || this.#subscriptions.hasReaders(stream));
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

  createToken(grant: { role: 'agent' | 'operator'; id: string; scopes?: readonly string[] }): Promise<string> {
    const { token } = this.#credentials.createToken(grant);
    return this.#committed(token);
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
    for (const peer of this.#peers.keys()) peer.sendEvent('shutdown', peer.hasStreams ? forStreams : forV4);
    const untilMs = this.#clock.elapsed() + timeoutMs;
    while (this.#parts.openRuns.localCount > 0 && this.#clock.elapsed() < untilMs) {
      await new Promise<void>((resolve) => this.#clock.schedule(resolve, 50));
    }
    await this.#committer.idle();
  }

  async close(): Promise<void> {
    this.#phase = 'draining';
    for (const cancel of this.#cancelTimers) cancel();
    this.#cancelTimers = [];
    await this.#edge.close();
    await this.#upkeep;
    if (this.#erasure.isDue) await this.#erase();
    await this.#committer.idle();
    const states = this.#log.takeCheckpoint();
    if (states.length > 0) await this.#store.checkpoint(states);
    await this.#store.close();
  }

  get #uptimeMs(): number {
    return Math.round(this.#clock.elapsed() - this.#startedAtMs);
  }

  get #presence(): PresenceEntry[] {
    return [...this.#peers.values()].filter((entry) => entry !== undefined);
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
      hello: () => ({
        version: this.#options.version ?? '0.1.0',
        bootId: this.#bootId,
        features: {
          methods: ['connect', ...this.#dispatcher.names],
          events: Object.keys(events),
          capabilities: [streamsCapability],
        },
        snapshot: {
          presence: this.#presence,
          health: this.#health(),
          stateVersion: { presence: this.#presenceVersion, health: 1 },
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
        this.#peers.set(peer, presenceEntry(peer, { ts: this.#clock.now() }));
        if (!peer.hasStreams && peer.identity.role === 'operator') this.#parts.projection.join(peer);
        this.#presenceChanged(peer);
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
        const wasListed = this.#peers.get(peer) !== undefined;
        this.#peers.delete(peer);
        if (wasListed) this.#presenceChanged(undefined);
      },
    };
  }

  /** Tells who may read it; a peer that just joined has it from its hello-ok. */
  #presenceChanged(joined: Peer | undefined): void {
    if (joined && this.#peers.get(joined) === undefined) return;
    this.#presenceVersion++;
    const json = JSON.stringify({ presence: this.#presence });
    const stateVersion = { presence: this.#presenceVersion, health: 1 };
    for (const peer of this.#peers.keys()) {
      if (peer === joined || peer.identity.role !== 'operator' || !peer.identity.scopes.has('operator.read')) continue;
      peer.sendEvent('presence', json, stateVersion);
    }
  }
}
