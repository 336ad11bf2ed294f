import type { IncomingMessage, RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { CloseCode, GatewayError, type Transport } from '@openclaw/protocol';
import { WebSocketServer } from 'ws';
import type { AccessOptions } from '../connection/access-options.ts';
import { Connection, type ConnectionContext } from '../connection/connection.ts';
import { Credentials } from '../connection/credentials.ts';
import { EventFrames } from '../connection/event-frames.ts';
import { grantLocal, Handshake } from '../connection/handshake.ts';
import { Heartbeat } from '../connection/heartbeat.ts';
import type { ConnectionHost } from '../connection/host.ts';
import { type ConnectionLimits, defaultLimits } from '../connection/limits.ts';
import { isKnownHost, isLoopbackAddress, judgeOrigin, type Remote, remoteOf } from '../connection/origin.ts';
import { PairedDevices } from '../connection/paired-devices.ts';
import type { Identity, Peer } from '../connection/peer.ts';
import { localTransport } from '../transport/local.ts';
import type { ServerTransport } from '../transport/server-transport.ts';
import { Turn } from '../transport/turn.ts';
import { WebSocketTransport } from '../transport/websocket.ts';
import type { EdgeOptions, HttpEdge } from './edge-options.ts';
import { EventLoopMonitor } from './event-loop.ts';
import { createServer } from './node-http.ts';
import { type ListenerOptions, requestListener, unknownHostMessage } from './request-listener.ts';
import { refuseUpgrade } from './responses.ts';

/** How long a goodbye may take. */
const closeGraceMs = 1_000;
const startingRetryMs = 1_000;

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
  readonly #handshake: Handshake;
  readonly #context: ConnectionContext;
  readonly #turn: Turn;
  readonly #webSockets: WebSocketServer;
  readonly #eventLoop = new EventLoopMonitor();
  readonly #answer: ReturnType<typeof requestListener>;
  readonly #connections = new Set<Connection>();
  readonly #handshaking = new Set<Connection>();
  #joinedCount = 0;
  #boundHost: string | undefined;
  #server: Server | undefined;
  #detach: (() => void)[] = [];
  #goneWaiters: (() => void)[] = [];

  constructor(host: ConnectionHost, options: EdgeOptions) {
    const { clock, documents } = host;
    this.#host = host;
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#turn = new Turn(options.defer);
    this.credentials = new Credentials({ documents, clock });
    this.#handshake = new Handshake({
      secret: options.auth,
      credentials: this.credentials,
      devices: new PairedDevices({ documents, clock }),
      clock,
      phase: () => host.phase(),
    });
    const webSocketOptions = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: Math.max(this.#limits.operatorFrameBytes, this.#limits.agentFrameBytes),
      // Not in the published types yet: how long a peer may keep a socket, and what is queued on it, after our close frame.
      closeTimeout: 5_000,
    };
    this.#webSockets = new WebSocketServer(webSocketOptions);
    this.#context = this.#makeContext();
    this.#answer = requestListener(this.#listenerOptions());
  }

  get connectionCount(): number {
    return this.#joinedCount;
  }

  get address(): AddressInfo | undefined {
    const address = this.#server?.address();
    return typeof address === 'object' && address !== null ? address : undefined;
  }

  async listen({ port, host = '127.0.0.1' }: { port: number; host?: string }): Promise<AddressInfo> {
    if (this.#options.auth.mode === 'none' && host !== 'localhost' && !isLoopbackAddress(host)) {
      throw new GatewayError(
        'INVALID_REQUEST',
        `Listening on ${host} without auth would let everyone in; set a token or a password.`,
      );
    }
    // A body is never waited for, and a slow head not for long.
    const server = createServer({
      headersTimeout: 10_000,
      requestTimeout: 15_000,
      connectionsCheckingInterval: 5_000,
      keepAliveTimeout: 5_000,
      maxHeaderSize: 16 * 1024,
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
    server.on('error', (error) => this.#failed(error));
    server.on('request', (request, response) => this.#answer(request, response));
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#server = server;
    this.#boundHost = host;
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
      if (path === undefined || pathOf(request) === path) this.#upgrade(request, socket, head);
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

  reconfigure(options: AccessOptions & { limits?: Partial<ConnectionLimits> }): void {
    assertServable({ ...this.#options, ...options });
    this.#options = { ...this.#options, ...options };
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
    return {
      host,
      heartbeat: new Heartbeat({
        clock: host.clock,
        handshakeMs: this.#limits.handshakeMs,
        ...(this.#options.defer ? { defer: this.#options.defer } : {}),
      }),
      events: new EventFrames(),
      limits: this.#limits,
      authMode: this.#options.auth.mode,
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
      isLocal: (request) => this.#remoteOf(request)?.isLoopback ?? false,
      isKnownHost: (request) => this.#isKnownHost(request),
      failed: (error) => this.#failed(error),
      ...(siteDirectory === undefined ? {} : { siteDirectory }),
      ...(fetch ? { fetch } : {}),
    };
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const remote = this.#remoteOf(request);
    if (this.#host.phase() === 'draining') {
      refuseUpgrade(socket, 503, {
        message: 'The gateway is stopping.',
        type: 'unavailable',
        retryAfterMs: startingRetryMs,
      });
    } else if (!remote) {
      const message = 'Forwarded headers from a proxy that is not trusted; add its address to trustedProxies.';
      refuseUpgrade(socket, 403, { message, type: 'proxy_attribution_required' });
    } else if (!this.#isKnownHost(request)) {
      refuseUpgrade(socket, 403, { message: unknownHostMessage, type: 'host_not_allowed' });
    } else if (this.#handshaking.size >= this.#limits.maxHandshaking) {
      const message = 'Too many connections wait for their handshake.';
      refuseUpgrade(socket, 503, { message, type: 'unavailable', retryAfterMs: startingRetryMs });
    } else {
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        const transport = new WebSocketTransport(webSocket, socket, {
          maxFrameBytes: this.#limits.handshakeFrameBytes,
          turn: this.#turn,
        });
        const origin = judgeOrigin(request.headers, remote, this.#options.allowedOrigins ?? []);
        this.#open(transport, {
          authorize: (params, nonce) => this.#handshake.authorize(params, { nonce, remote, origin }),
          remoteAddress: remote.address,
        });
      });
    }
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

  #remoteOf(request: IncomingMessage): Remote | undefined {
    return remoteOf(request.socket.remoteAddress, request.headers, this.#options.trustedProxies ?? []);
  }

  #isKnownHost(request: IncomingMessage): boolean {
    return isKnownHost(request.headers.host, {
      allowedHosts: this.#options.allowedHosts ?? [],
      ...(this.#boundHost === undefined ? {} : { boundHost: this.#boundHost }),
    });
  }

  #failed(error: unknown): void {
    this.#options.onError?.(error);
  }
}

function assertServable({ auth, perMessageDeflate }: EdgeOptions): void {
  if (perMessageDeflate) {
    throw new GatewayError(
      'INVALID_REQUEST',
      'perMessageDeflate can’t be turned on: frames are written pre-framed; leave it out.',
    );
  }
  const secrets = auth.mode === 'token' ? [auth.token] : auth.mode === 'password' ? [auth.password] : [auth.mode];
  if (secrets.some((secret) => !secret)) {
    throw new GatewayError('INVALID_REQUEST', `The ${auth.mode} of the gateway is empty; set one.`);
  }
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0] ?? '/';
}
