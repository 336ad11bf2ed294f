import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { type WebSocket, WebSocketServer } from 'ws';

/** A server of a test, on 127.0.0.1. */
export interface Listening {
  readonly port: number;
  /** Ends it with all of its sockets. */
  close(): Promise<void>;
}

/** What any server of Node becomes when it listens on a free port. */
export async function listening(server: Server | HttpServer): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => {});
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** A server of bare TCP. */
export function tcpServer(onSocket: (socket: Socket) => void): Promise<Listening> {
  return listening(createServer(onSocket));
}

/** A server of bare TLS. */
export function tlsServer(certificate: { key: string; cert: string }, onSocket: (socket: Socket) => void) {
  const server = createTlsServer(certificate, onSocket);
  server.on('tlsClientError', () => {});
  return listening(server);
}

/** Answers every request, upgrades too, with the same text; `requests` gets what was asked. */
export function rawAnswer(text: string | ((request: string) => string), requests: string[] = []): Promise<Listening> {
  return tcpServer((socket) => {
    let request = '';
    socket.on('data', (bytes) => {
      request += bytes.toString('latin1');
      if (!request.includes('\r\n\r\n')) return;
      requests.push(request);
      socket.end(typeof text === 'string' ? text : text(request));
    });
  });
}

/** An HTTP answer as text. */
export function httpAnswer(status: number, headers: Record<string, string> = {}, body = ''): string {
  const lines = Object.entries({ 'content-length': String(body.length), connection: 'close', ...headers });
  return `HTTP/1.1 ${status} Status\r\n${lines.map(([name, value]) => `${name}: ${value}`).join('\r\n')}\r\n\r\n${body}`;
}

/** Upgrades every request, and hands the WebSocket and its TCP socket over. */
export function upgrading(onSocket: (socket: WebSocket, tcp: Socket) => void): Promise<Listening> {
  const http = createHttpServer();
  const sockets = new WebSocketServer({ noServer: true });
  http.on('upgrade', (request: IncomingMessage, tcp: Socket, head: Buffer) => {
    sockets.handleUpgrade(request, tcp, head, (socket) => {
      socket.on('error', () => {});
      onSocket(socket, tcp);
    });
  });
  return listening(http);
}

/** A proxy as nginx is by default: it passes requests on without the headers that ask for an upgrade. */
export function strippingProxy(targetPort: number): Promise<Listening> {
  return tcpServer((inside) => {
    const outside = connect(targetPort, '127.0.0.1');
    outside.on('error', () => inside.destroy());
    let request = '';
    inside.on('data', (bytes) => {
      request += bytes.toString('latin1');
      if (!request.includes('\r\n\r\n')) return;
      outside.write(
        request.replace(/^(upgrade|connection):.*\r\n/gim, '').replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n'),
      );
    });
    outside.pipe(inside);
  });
}

/** What a CONNECT proxy was asked for. */
export interface Connected {
  target: string;
  authorization: string | undefined;
}

/** A CONNECT proxy that takes every host name for 127.0.0.1; with `credentials` it wants those, with a certificate TLS. */
export async function connectProxy(
  credentials?: string,
  certificate?: { key: string; cert: string },
): Promise<Listening & { readonly asked: Connected[] }> {
  const asked: Connected[] = [];
  const server = certificate ? createHttpsServer(certificate) : createHttpServer();
  server.on('connect', (request: IncomingMessage, inside: Socket) => {
    const authorization = request.headers['proxy-authorization'];
    asked.push({ target: request.url ?? '', authorization });
    inside.on('error', () => {});
    if (credentials && authorization !== `Basic ${Buffer.from(credentials).toString('base64')}`) {
      inside.end('HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm="x"\r\n\r\n');
      return;
    }
    const outside = connect(Number(request.url?.split(':').at(-1)), '127.0.0.1');
    outside.on('connect', () => {
      inside.write('HTTP/1.1 200 Connection established\r\n\r\n');
      outside.pipe(inside);
      inside.pipe(outside);
    });
    outside.on('error', () => inside.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'));
    inside.on('close', () => outside.destroy());
    outside.on('close', () => inside.destroy());
  });
  return { ...(await listening(server)), asked };
}
