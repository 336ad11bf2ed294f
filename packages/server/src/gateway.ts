import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  allowsScope,
  type Clock,
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
import { networkHosts } from './connection/network-hosts.ts';
import type { Identity } from './connection/peer.ts';
import { PresenceList } from './connection/presence-list.ts';
import { Dispatcher } from './dispatch/dispatcher.ts';
import type { Gateway, GatewayOptions, LiveOptions, LocalIdentity } from './gateway-options.ts';
import { loadParts, makeParts } from './gateway-parts.ts';
import { createHttpEdge } from './http/edge.ts';
import { gatewayRoutes } from './http/gateway-routes.ts';
import { assertHooks } from './http/hooks/hooks-options.ts';
import { accessMethods } from './methods/access.ts';
import { agentMethods } from './methods/agent.ts';
import { auditMethods } from './methods/audit.ts';
import { chatMethods } from './methods/chat.ts';
import { type ConfigChange, changeReason, configMethods } from './methods/config.ts';
import type { GatewayParts } from './methods/context.ts';
import { runMethods } from './methods/runs.ts';
import { sessionMethods } from './methods/sessions.ts';
import { streamMethods } from './methods/streams.ts';
import { systemMethods } from './methods/system.ts';
import { type GatewayFigures, type SafeObserver, safeObserver } from './observer.ts';
import { memoryStore } from './streams/memory-store.ts';
import type { Upkeep } from './streams/upkeep.ts';

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
  readonly #dispatcher: Dispatcher;
  readonly #parts: GatewayParts;
  readonly #edge: ReturnType<typeof createHttpEdge>;
  readonly #credentials: Credentials;
  readonly #bootId = randomId(8);
  readonly #startedAtMs: number;
  readonly #presence: PresenceList;
  readonly #upkeep: Upkeep;
  readonly #observer: SafeObserver;
  #phase: 'starting' | 'ready' | 'draining' = 'starting';
  #cancelSweep: () => void = () => {};

  constructor(options: GatewayOptions) {
    const { clock = systemClock({ unref: true }), store = memoryStore() } = options;
    const observer = safeObserver(options.observer);
    const onWarning = (message: string, cause?: unknown) => {
      observer.warning(message, cause);
      options.onWarning?.(message, cause);
    };
    this.#observer = observer;
    assertHooks(options);
    this.#options = options;
    this.#live = options;
    this.#clock = clock;
    this.#startedAtMs = clock.elapsed();
    const presence = new PresenceList({ clock });
    this.#presence = presence;
    const live = () => this.#live;
    const phase = () => this.#phase;
    const { parts, upkeep } = makeParts({ options, live, clock, store, observer, onWarning, presence, phase });
    this.#parts = parts;
    this.#upkeep = upkeep;
    this.#dispatcher = new Dispatcher({
      committer: parts.committer,
      observer,
      elapsed: () => clock.elapsed(),
      limits: () => this.#edge.limits,
      onFault: (method, error) => onWarning(`${method} failed inside the gateway`, error),
    });
    this.#edge = createHttpEdge(this.#host(), {
      ...options,
      failing: () => (parts.committer.failure ? [`store: ${parts.committer.failure.message}`] : []),
      routes: [...gatewayRoutes(parts, { live, limits: () => this.#edge.limits }), ...(options.routes ?? [])],
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
      }),
      ...configMethods(options.config, { version: options.version ?? '0.1.0', now: () => clock.now() }),
      ...streamMethods(this.#parts),
      ...auditMethods(this.#parts),
      ...accessMethods(this.#parts, {
        access: this.#edge.access,
        pin: () => this.#edge.certificatePin,
        port: () => this.#edge.address?.port,
        localHosts: () => networkHosts(this.#edge.address),
      }),
      ...chatMethods(this.#parts),
      ...agentMethods(this.#parts),
      ...sessionMethods(this.#parts),
      ...runMethods(this.#parts),
      ...(options.methods ?? []),
    ]);
  }

  async start(): Promise<void> {
    await loadParts(this.#parts);
    this.#phase = 'ready';
    this.#observer.started(() => this.#figures());
    this.#upkeep.start();
    this.#sweep();
  }

  #sweep(): void {
    this.#cancelSweep = this.#clock.schedule(() => {
      this.#sweep();
      this.#parts.recovery.orphaned(this.#parts.agents.expire());
      this.#parts.recovery.sweep();
      this.#parts.pairing.sweep();
    }, sweepMs);
  }

  listen(address: { port: number; host?: string }): Promise<AddressInfo> {
    return this.#edge.listen(address);
  }

  attach(server: Server, options?: { path?: string }): void {
    this.#edge.attach(server, options);
  }

  accept(transport: Transport, { role, id = '', scopes = [], isLocal = true }: LocalIdentity): void {
    if (role === 'agent') this.#assertAgent(id);
    const identity: Identity = { role, id, scopes: new Set(scopes), principal: `local:${role}:${id}`, isLocal };
    this.#edge.acceptTransport(transport, identity);
  }

  async createToken(grant: {
    role: 'agent' | 'channel' | 'operator';
    id: string;
    scopes?: readonly string[];
  }): Promise<string> {
    if (grant.role === 'agent') this.#assertAgent(grant.id);
    const { token } = this.#credentials.createToken(grant);
    return this.#committed(token);
  }

  #assertAgent(id: string): void {
    const { ids } = this.#parts.agents;
    if (ids.includes(id)) return;
    throw new GatewayError(
      'INVALID_REQUEST',
      `unknown agent id: '${id}'. This gateway has ${ids.join(', ')}; name it in the options.`,
    );
  }

  certificatePin(): string | undefined {
    return this.#edge.certificatePin;
  }

  reconfigure(options: LiveOptions): void {
    assertHooks(options);
    this.#edge.reconfigure(options);
    this.#live = options;
  }

  async configChanged({ by, ...change }: ConfigChange): Promise<void> {
    const { problem } = change;
    const system = await this.#parts.log.open('system');
    if (problem === undefined || by === undefined)
      this.#parts.log.append(system, 'config.changed', { ...change, ts: this.#clock.now() });
    this.#parts.audit.note({
      action: problem === undefined ? 'config.changed' : 'config.refused',
      actor: by ?? 'config',
      reason: (problem ?? changeReason(change)).slice(0, 512),
    });
    await this.#committed(undefined);
  }

  get localRunCount(): number {
    return this.#parts.openRuns.localCount;
  }

  createBootstrapCode(grant: { scopes?: readonly string[] } = {}): Promise<string> {
    return this.#committed(this.#credentials.createBootstrapCode(grant));
  }

  #committed<T>(value: T): Promise<T> {
    return new Promise((resolve, reject) => this.#parts.committer.release(() => resolve(value), reject));
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
    this.#observer.draining(reason);
    const expected = restartExpectedMs === undefined ? {} : { restartExpectedMs };
    const forV4 = JSON.stringify({ reason, ...expected });
    const forStreams = JSON.stringify({ reason, ...expected, spreadMs });
    for (const peer of this.#presence.peers) peer.sendEvent('shutdown', peer.hasStreams ? forStreams : forV4);
    const untilMs = this.#clock.elapsed() + timeoutMs;
    while (this.#parts.openRuns.localCount > 0 && this.#clock.elapsed() < untilMs) {
      await new Promise<void>((resolve) => this.#clock.schedule(resolve, 50));
    }
    await this.#parts.committer.idle();
  }

  async close(): Promise<void> {
    this.#phase = 'draining';
    this.#cancelSweep();
    // A server that is the caller's goes on, and so would the answers that are under way on it.
    this.#parts.runReader.close();
    await this.#edge.close();
    this.#parts.audit.flush();
    await this.#parts.committer.idle();
    await this.#upkeep.stop();
    await this.#parts.committer.idle();
    await this.#parts.uploads.close();
    await this.#parts.store.close();
    this.#observer.closed();
  }

  #figures(): GatewayFigures {
    const connections: GatewayFigures['connections'] = {};
    let queuedBytes = 0;
    for (const { identity, queuedBytes: bytes } of this.#presence.peers) {
      connections[identity.role] = (connections[identity.role] ?? 0) + 1;
      queuedBytes += bytes;
    }
    return {
      connections,
      handshaking: this.#edge.handshakingCount,
      queuedBytes,
      openRuns: this.#parts.openRuns.count,
      uncommittedBytes: this.#parts.committer.waitingBytes,
    };
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
      documents: this.#parts.documents,
      pairing: this.#parts.pairing,
      observer: this.#observer,
      note: this.#parts.audit.note,
      afterCommit: (task, failed) => this.#parts.committer.release(task, failed),
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
          authMode: this.#live.auth.mode,
        },
      }),
      joined: (peer) => {
        this.#presence.join(peer);
        if (!peer.hasStreams && peer.identity.role === 'operator') this.#parts.projection.join(peer);
      },
      received: (peer, frame) => this.#dispatcher.dispatch(peer, frame),
      narrowed: (peer) => {
        this.#parts.subscriptions.revoke(peer);
        if (!allowsScope(peer.identity.scopes, 'operator.read')) this.#parts.projection.leave(peer);
        this.#presence.refresh(peer);
      },
      drained: (peer) => {
        this.#parts.subscriptions.drained(peer);
        this.#parts.projection.drained(peer);
      },
      left: (peer) => {
        this.#dispatcher.forget(peer);
        this.#parts.subscriptions.leave(peer);
        this.#parts.projection.leave(peer);
        if (peer.identity.role === 'agent') this.#parts.recovery.orphaned(this.#parts.agents.left(peer));
        this.#presence.leave(peer);
      },
    };
  }
}
