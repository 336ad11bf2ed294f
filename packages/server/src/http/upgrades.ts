import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Admission, Seat, Sitter } from '../connection/admission.ts';
import { asksForStreams, type Connection } from '../connection/connection.ts';
import type { Authorize } from '../connection/connection-context.ts';
import type { Grant, Handshake } from '../connection/handshake.ts';
import type { ConnectionHost } from '../connection/host.ts';
import { type ConnectionLimits, maxFrameBytes } from '../connection/limits.ts';
import type { Remote } from '../connection/origin.ts';
import type { ServerTransport } from '../transport/server-transport.ts';
import type { Turn } from '../transport/turn.ts';
import { WebSocketTransport } from '../transport/websocket.ts';
import type { Arrivals } from './arrivals.ts';
import { tooManyHeaders, unknownHostMessage, untrustedProxy } from './request-listener.ts';
import { refuseUpgrade } from './responses.ts';
import { hasTooManyHeaders } from './web-server.ts';

export interface UpgradesOptions {
  host: ConnectionHost;
  /** Read at each upgrade, so that a change counts for the next. */
  limits: ConnectionLimits;
  arrivals: Arrivals;
  admission: Admission;
  handshake: Handshake;
  turn: Turn;
  /** Sockets that have not shown who they are. */
  handshakingCount: () => number;
  /** Makes a connection of a socket that was taken. */
  open: (transport: ServerTransport, options: ConstructorParameters<typeof Connection>[2]) => Connection;
}

const startingRetryMs = 1_000;

/** Where sockets become connections: takes upgrades, or refuses them with an HTTP answer that says why. */
export class Upgrades {
  readonly #options: UpgradesOptions;
  readonly #webSockets: WebSocketServer;
  readonly #seats = new Map<Connection, Seat>();

  constructor(options: UpgradesOptions) {
    this.#options = options;
    const webSocketOptions = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: maxFrameBytes(options.limits),
      // Not in the published types yet: how long a peer may keep a socket, and what is queued on it, after our close frame.
      closeTimeout: 5_000,
    };
    this.#webSockets = new WebSocketServer(webSocketOptions);
  }

  /** Takes an upgrade or refuses it. */
  take(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { host, limits, arrivals, admission, handshakingCount } = this.#options;
    socket.on('error', () => socket.destroy());
    const remote = arrivals.remoteOf(request);
    if (hasTooManyHeaders(request, limits)) {
      this.#refuse(request, socket, 431, tooManyHeaders);
    } else if (host.phase() === 'draining') {
      const message = 'The gateway is stopping.';
      this.#refuse(request, socket, 503, { message, type: 'unavailable', retryAfterMs: startingRetryMs });
    } else if (!remote) {
      this.#refuse(request, socket, 403, untrustedProxy);
    } else if (!arrivals.isKnownHost(request, remote)) {
      this.#refuse(request, socket, 403, { message: unknownHostMessage, type: 'host_not_allowed' });
    } else if (handshakingCount() >= limits.maxHandshaking) {
      const message = 'Too many connections wait for their handshake.';
      this.#refuse(request, socket, 503, { message, type: 'unavailable', retryAfterMs: startingRetryMs });
    } else {
      const waitMs = admission.knock(remote);
      if (waitMs === undefined) {
        this.#webSockets.handleUpgrade(request, socket, head, (webSocket) =>
          this.#taken(webSocket, request, socket, remote),
        );
        return;
      }
      const message = 'Too many connections from this address in a short time; wait before the next.';
      this.#refuse(request, socket, 429, { message, type: 'rate_limited', retryAfterMs: waitMs });
    }
  }

  /** Takes changed limits into use for the sockets to come. */
  applyLimits(): void {
    this.#webSockets.options.maxPayload = maxFrameBytes(this.#options.limits);
  }

  /** A connection is gone: its seat is free. */
  left(connection: Connection): void {
    this.#seats.get(connection)?.();
    this.#seats.delete(connection);
  }

  #taken(webSocket: WebSocket, request: IncomingMessage, socket: Duplex, remote: Remote): void {
    const { limits, arrivals, admission, handshake, turn, open } = this.#options;
    const transport = new WebSocketTransport(webSocket, socket, { maxFrameBytes: limits.handshakeFrameBytes, turn });
    const origin = arrivals.originOf(request, remote);
    const authorize: Authorize = (params, nonce, isOpen) => {
      admission.assertRoom(remote, asksForStreams(params));
      const assertSeat = (who: Sitter) => admission.assertSeat(who, asksForStreams(params));
      const outcome = handshake.authorize(params, { nonce, remote, origin, isOpen, assertSeat });
      const seated = (grant: Grant) => {
        if (isOpen()) this.#seats.set(connection, admission.seat(grant.identity, remote, grant.hasStreams));
        return grant;
      };
      return outcome instanceof Promise ? outcome.then(seated) : seated(outcome);
    };
    const { address: remoteAddress, isEncrypted, host } = remote;
    const gatewayUrl = host === undefined ? {} : { gatewayUrl: `${isEncrypted ? 'wss' : 'ws'}://${host}` };
    const connection = open(transport, { authorize, remoteAddress, ...gatewayUrl });
  }

  #refuse(request: IncomingMessage, socket: Duplex, status: number, error: Parameters<typeof refuseUpgrade>[2]): void {
    const { host, arrivals } = this.#options;
    const { message: reason, type: code } = error;
    // Who is behind a proxy that is not trusted is not known: the proxy's own address has to do.
    const remoteIp = arrivals.remoteOf(request)?.address ?? request.socket.remoteAddress;
    host.observer.refused({ where: 'upgrade', code, reason, ...(remoteIp ? { remoteAddress: remoteIp } : {}) });
    // That the gateway is full or stopping says nothing about who asked.
    if (status < 500) {
      host.note({ action: 'connect.refused', actor: 'unknown', code, reason, ...(remoteIp ? { remoteIp } : {}) });
    }
    refuseUpgrade(socket, status, error);
  }
}
