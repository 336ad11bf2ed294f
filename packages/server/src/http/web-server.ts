import type { IncomingMessage, Server } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import type { ConnectionLimits } from '../connection/limits.ts';
import { createServer } from './node-http.ts';
import { contextOf, type TlsOptions } from './tls.ts';

export interface WebServerOptions {
  limits: ConnectionLimits;
  tls?: TlsOptions | undefined;
  /** How long the slowest route waits for a body. */
  maxBodyTimeoutMs: number;
}

/** A body is waited for by its route; Node's own clock stands behind that one. */
const backstopMs = 5_000;

/** The server of HTTP and WebSocket on one port, with everything bounded that a stranger can hold of it. */
export function createWebServer({ limits, tls, maxBodyTimeoutMs }: WebServerOptions): Server {
  const options = {
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: bodyTimeoutMs(limits, maxBodyTimeoutMs),
    connectionsCheckingInterval: Math.min(1_000, Math.ceil(limits.headersTimeoutMs / 4)),
    keepAliveTimeout: 5_000,
    maxHeaderSize: limits.maxHeaderBytes,
  };
  const server = tls ? createSecureServer(options, tls) : createServer(options);
  // Node would drop what is beyond its count, and the last headers are those that a proxy adds. They are counted instead.
  server.maxHeadersCount = 0;
  applyLimits(server, limits, maxBodyTimeoutMs);
  return server;
}

/** Takes changed limits into use. */
export function applyLimits(server: Server, limits: ConnectionLimits, maxBodyTimeoutMs: number): void {
  server.headersTimeout = limits.headersTimeoutMs;
  server.requestTimeout = bodyTimeoutMs(limits, maxBodyTimeoutMs);
}

/** Whether a request has more headers than are allowed, or so many that some may have been dropped on the way here. */
export function hasTooManyHeaders({ rawHeaders, socket }: IncomingMessage, { maxHeaders }: ConnectionLimits): boolean {
  const count = rawHeaders.length / 2;
  const server = 'server' in socket ? (socket.server as Partial<Server> | undefined) : undefined;
  const keptCount = server?.maxHeadersCount ?? 0;
  return count > maxHeaders || (keptCount > 0 && count >= keptCount);
}

function bodyTimeoutMs({ headersTimeoutMs, requestTimeoutMs }: ConnectionLimits, maxBodyTimeoutMs: number): number {
  return headersTimeoutMs + Math.max(requestTimeoutMs, maxBodyTimeoutMs) + backstopMs;
}

function createSecureServer(options: Parameters<typeof createServer>[0] & object, tls: TlsOptions): Server {
  const { createServer: createHttps } = process.getBuiltinModule('node:https');
  const handshakeTimeout = options.headersTimeout ?? 0;
  const server: SecureServer = createHttps({ ...options, ...contextOf(tls), handshakeTimeout });
  // Whoever fails at TLS is gone already.
  server.on('tlsClientError', () => undefined);
  return server;
}
