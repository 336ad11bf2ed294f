import type { IncomingMessage, RequestListener, Server } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { CloseCode, GatewayError, type Transport } from '@openclaw/protocol';
import { Access } from '../connection/access.ts';
import { Admission } from '../connection/admission.ts';
import { Connection } from '../connection/connection.ts';
import type { ConnectionContext } from '../connection/connection-context.ts';
import type { Credentials } from '../connection/credentials.ts';
import { EventFrames } from '../connection/event-frames.ts';
import { grantLocal } from '../connection/handshake.ts';
import { Heartbeat } from '../connection/heartbeat.ts';
import type { ConnectionHost } from '../connection/host.ts';
import { type ConnectionLimits, decodeLimitsOf, defaultLimits } from '../connection/limits.ts';
import type { Identity, Peer } from '../connection/peer.ts';
import { localTransport } from '../transport/local.ts';
import type { ServerTransport } from '../transport/server-transport.ts';
import { Turn } from '../transport/turn.ts';
import { Arrivals } from './arrivals.ts';
import type { EdgeLiveOptions, EdgeOptions, HttpEdge } from './edge-options.ts';
import { EventLoopMonitor } from './event-loop.ts';
import { type ListenerOptions, requestListener } from './request-listener.ts';
import { refuseUpgrade } from './responses.ts';
import { assertGuarded, assertServable } from './servable.ts';
import { SocketLimit } from './socket-limit.ts';
import { certificatePin, replaceCertificate } from './tls.ts';
import { Upgrades } from './upgrades.ts';
import { applyLimits, createWebServer, hasTooManyHeaders } from './web-server.ts';

/** How long a goodbye may take. */
const closeGraceMs = 1_000;

/** The edge of a gateway. Nothing listens until `listen` or `attach`. Throws `INVALID_REQUEST` for options that can't be served. */
export function createHttpEdge(host: ConnectionHost, options: EdgeOptions): HttpEdge {
  assertServable(options);
  return new Edge(host, options);
}

class Edge implements HttpEdge {
  readonly credentials: Credentials;
  readonly #host: ConnectionHost;
  #options: EdgeOptions;
  readonly #limits: ConnectionLimits;
  readonly #arrivals: Arrivals;
  readonly access: Access;
  readonly #context: ConnectionContext;
  readonly #upgrades: Upgrades;
  readonly #eventLoop = new EventLoopMonitor();
  readonly #answer: ReturnType<typeof requestListener>;
  readonly #connections = new Set<Connection>();
  readonly #handshaking = new Set<Connection>();
  readonly #sockets: SocketLimit;
  #joinedCount = 0;
  #server: Server | undefined;
  #detach: (() => void)[] = [];
  #goneWaiters: (() => void)[] = [];

  constructor(host: ConnectionHost, options: EdgeOptions) {
    const { clock } = host;
    this.#host = host;
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#arrivals = new Arrivals(options, clock);
    this.#sockets = new SocketLimit({ limits: this.#limits, isProxy: (address) => this.#arrivals.isProxy(address) });
    this.access = new Access({
      host,
      options,
      limits: () => this.#limits,
      connections: () => this.#connections,
      isProxy: (address) => this.#arrivals.isProxy(address),
    });
    this.credentials = this.access.credentials;
    this.#upgrades = new Upgrades({
      host,
      limits: this.#limits,
      arrivals: this.#arrivals,
      admission: new Admission({ limits: this.#limits, clock }),
      handshake: this.access.handshake,
      turn: new Turn(options.defer),
      handshakingCount: () => this.#handshaking.size,
      open: (transport, connectionOptions) => this.#open(transport, connectionOptions),
    });
    this.#context = this.#makeContext();
    this.#answer = requestListener(this.#listenerOptions());
  }

  get connectionCount(): number {
    return this.#joinedCount;
  }

  get socketCount(): number {
    return this.#sockets.count;
  }

  get limits(): Readonly<ConnectionLimits> {
    return this.#limits;
  }

  get certificatePin(): string | undefined {
    return this.#options.tls && certificatePin(this.#options.tls);
  }

  get handshakingCount(): number {
    return this.#handshaking.size;
  }

  get address(): AddressInfo | undefined {
    const address = this.#server?.address();
    return typeof address === 'object' && address !== null ? address : undefined;
  }

  async listen({ port, host = '127.0.0.1' }: { port: number; host?: string }): Promise<AddressInfo> {
    assertGuarded(this.#options, host);
    const server = createWebServer({
      limits: this.#limits,
      tls: this.#options.tls,
      maxBodyTimeoutMs: this.#maxBodyTimeoutMs,
    });
    this.#sockets.guard(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
    server.on('error', (error) => this.#failed(error));
    server.on('request', (request, response) => this.#answer(request, response));
    server.on('upgrade', (request, socket, head) => this.#upgrades.take(request, socket, head));
    this.#server = server;
    this.#arrivals.boundHost = host;
    this.#eventLoop.start();
    return this.address!;
  }

  attach(server: Server, { path }: { path?: string } = {}): void {
    const others = server.listeners('request') as RequestListener[];
    const answer: RequestListener = (request, response) => {
      const pass = () => {
        for (const other of others) other.call(server, request, response);
      };
      this.#answer(request, response, others.length > 0 ? pass : undefined);
    };
    const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (path === undefined || pathOf(request) === path) this.#upgrades.take(request, socket, head);
      else if (server.listenerCount('upgrade') === 1)
        refuseUpgrade(socket, 404, { message: 'Nothing is here.', type: 'not_found' });
    };
    server.removeAllListeners('request');
    server.on('request', answer);
    server.on('upgrade', upgrade);
    this.#eventLoop.start();
    this.#detach.push(() => {
      server.off('request', answer);
      server.off('upgrade', upgrade);
      for (const other of others) server.on('request', other);
    });
  }

  acceptTransport(transport: Transport, identity: Identity): Peer {
    return this.#open(localTransport(transport), { authorize: (params) => grantLocal(params, identity) });
  }

  reconfigure(options: EdgeLiveOptions): void {
    // What is left out goes back to its default: a proxy that was struck from the list must not stay trusted.
    const { tokens, publicUrl, tailscale, allowedOrigins, allowedHosts, trustedProxies, limits, ...kept } =
      this.#options;
    const next: EdgeOptions = { ...kept, ...options };
    assertServable(next);
    this.access.assert(next);
    assertGuarded(next, this.#arrivals.boundHost);
    if (options.tls && !this.#options.tls)
      throw new GatewayError(
        'INVALID_REQUEST',
        'The gateway runs without TLS; restart it to listen with a certificate.',
      );
    this.#arrivals.reconfigure(next);
    this.#options = next;
    Object.assign(this.#limits, defaultLimits, next.limits);
    this.#applyLimits();
    if (options.tls && this.#server) replaceCertificate(this.#server as SecureServer, options.tls);
    this.access.reconfigure(next);
  }

  #applyLimits(): void {
    if (this.#server) applyLimits(this.#server, this.#limits, this.#maxBodyTimeoutMs);
    this.#upgrades.applyLimits();
    this.#context.heartbeat.handshakeMs = this.#limits.handshakeMs;
  }

  get #maxBodyTimeoutMs(): number {
    return Math.max(0, ...(this.#options.routes ?? []).map(({ bodyTimeoutMs = 0 }) => bodyTimeoutMs));
  }

  async close(): Promise<void> {
    for (const detach of this.#detach) detach();
    this.#detach = [];
    const server = this.#server;
    this.#server = undefined;
    const isClosed = new Promise<void>((resolve) => {
      if (server) server.close(() => resolve());
      else resolve();
    });
    for (const connection of this.#connections) connection.close(CloseCode.draining, 'service restart');
    await this.#allGone();
    server?.closeAllConnections();
    await isClosed;
    this.#eventLoop.stop();
  }

  #makeContext(): ConnectionContext {
    const host = this.#host;
    const authMode = () => this.#options.auth.mode;
    return {
      host,
      heartbeat: new Heartbeat({
        clock: host.clock,
        handshakeMs: this.#limits.handshakeMs,
        ...(this.#options.defer ? { defer: this.#options.defer } : {}),
      }),
      events: new EventFrames(),
      limits: this.#limits,
      decodeLimits: decodeLimitsOf(this.#limits),
      get authMode() {
        return authMode();
      },
      isFull: () => this.#joinedCount >= this.#limits.maxConnections,
      handshakeEnded: (connection) => this.#handshaking.delete(connection),
      joined: () => {
        this.#joinedCount++;
      },
      gone: (connection) => this.#gone(connection),
    };
  }

  #listenerOptions(): ListenerOptions {
    const { siteDirectory, fetch, failing } = this.#options;
    const startedMs = this.#host.clock.elapsed();
    return {
      failing: () => {
        const phase = this.#host.phase();
        return [...(phase === 'ready' ? [] : [phase]), ...(failing?.() ?? [])];
      },
      uptimeMs: () => Math.round(this.#host.clock.elapsed() - startedMs),
      eventLoop: this.#eventLoop,
      isLocal: (request) => this.#arrivals.remoteOf(request)?.isLoopback ?? false,
      arrivals: this.#arrivals,
      hasTooManyHeaders: (request) => hasTooManyHeaders(request, this.#limits),
      responseStallMs: () => this.#limits.responseStallMs,
      routes: this.#options.routes ?? [],
      routeContext: {
        clock: this.#host.clock,
        gate: this.access.httpGate,
        phase: () => this.#host.phase(),
        requestTimeoutMs: () => this.#limits.requestTimeoutMs,
        failed: (error) => this.#failed(error),
        refused: ({ path, remote }, { type, message }) => {
          const where = path.startsWith('/hooks/') ? 'hook' : 'http';
          this.#host.observer.refused({ where, code: type, reason: message, remoteAddress: remote.address });
        },
      },
      failed: (error) => this.#failed(error),
      refused: ({ socket }, { type: code, message: reason }) => {
        const remoteIp = socket.remoteAddress ?? '';
        this.#host.observer.refused({ where: 'http', code, reason, remoteAddress: remoteIp });
        this.#host.note({ action: 'http.refused', actor: 'unknown', code, reason, remoteIp });
      },
      ...(siteDirectory === undefined ? {} : { siteDirectory }),
      ...(fetch ? { fetch } : {}),
    };
  }

  #open(transport: ServerTransport, options: ConstructorParameters<typeof Connection>[2]): Connection {
    const connection = new Connection(transport, this.#context, options);
    this.#connections.add(connection);
    if (!transport.isLocal) this.#handshaking.add(connection);
    connection.open();
    return connection;
  }

  #gone(connection: Connection): void {
    this.#connections.delete(connection);
    this.#upgrades.left(connection);
    if (connection.hasJoined) this.#joinedCount--;
    if (this.#connections.size > 0) return;
    for (const resolve of this.#goneWaiters.splice(0)) resolve();
  }

  #allGone(): Promise<void> {
    if (this.#connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#host.clock.schedule(() => {
        for (const connection of this.#connections) connection.terminate();
      }, closeGraceMs);
      this.#goneWaiters.push(() => {
        cancel();
        resolve();
      });
    });
  }

  #failed(error: unknown): void {
    this.#options.onError?.(error);
  }
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0] ?? '/';
}
