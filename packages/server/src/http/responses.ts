import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { STATUS_CODES } from './node-http.ts';
import type { HttpProblem } from './route.ts';

/** What is still read of a body after its request was answered, so that the answer is not lost with a reset. */
const lingerBytes = 1024 * 1024;

/**
 * Headers of every answer. Scripts and styles come from the gateway alone; a page may open sockets to its own origin and
 * to this machine (a panel that talks to a second gateway).
 */
export const commonHeaders: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'self'; connect-src 'self' ws://127.0.0.1:* ws://localhost:*; img-src 'self' data: blob:; " +
    "media-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; " +
    "form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(self), payment=(), usb=()',
};

/** Answers with JSON. Nothing between here and the client keeps it. */
export function sendJson(request: IncomingMessage, response: ServerResponse, status: number, body: unknown): void {
  send(request, response, status, 'application/json; charset=utf-8', JSON.stringify(body));
}

/** Answers with a line of text. */
export function sendText(request: IncomingMessage, response: ServerResponse, status: number, text: string): void {
  send(request, response, status, 'text/plain; charset=utf-8', text);
}

/** Refuses a method. */
export function sendMethodNotAllowed(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('allow', 'GET, HEAD');
  sendText(request, response, 405, 'Method Not Allowed');
}

/** Answers with a problem, in the shape that `bodyOf` gives it. Default `{error: {message, type}}`. */
export function sendProblem(
  request: IncomingMessage,
  response: ServerResponse,
  problem: HttpProblem,
  bodyOf: (problem: HttpProblem) => unknown = ({ message, type }) => ({ error: { message, type } }),
): void {
  for (const [name, value] of Object.entries(problem.headers)) response.setHeader(name, value);
  sendJson(request, response, problem.status, bodyOf(problem));
}

function send(request: IncomingMessage, response: ServerResponse, status: number, type: string, text: string): void {
  const body = Buffer.from(text);
  const isBodyComing = hasBody(request) && !request.complete;
  response.writeHead(status, {
    ...commonHeaders,
    'content-type': type,
    'content-length': body.length,
    'cache-control': 'no-store',
    ...(isBodyComing ? { connection: 'close' } : {}),
  });
  if (request.method !== 'HEAD') response.write(body);
  if (isBodyComing && !request.destroyed) linger(request, response);
  else response.end();
}

/** Cuts an answer whose reader takes nothing of it for so long: it holds a socket and whatever the rest comes from. */
export function cutWhenStalled(response: ServerResponse, stallMs: number): void {
  response.setTimeout(stallMs, () => response.destroy());
}

/** Whether a request says that it has a body. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/**
 * Reads on for a bounded while without keeping anything: closing a socket with unread bytes resets it, and the other side may
 * then never see an answer that it was sent. How long that may take is bounded by the server's time-outs.
 */
function linger(request: IncomingMessage, response: ServerResponse): void {
  let leftBytes = lingerBytes;
  const end = () => {
    request.off('data', count);
    if (!response.writableEnded) response.end();
  };
  const count = (chunk: Buffer) => {
    leftBytes -= chunk.length;
    if (leftBytes < 0) end();
  };
  request.on('data', count);
  request.once('end', end);
  request.once('close', end);
  request.resume();
}

/** Answers an upgrade that is refused, and ends its socket. */
export function refuseUpgrade(
  socket: Duplex,
  status: number,
  error: { message: string; type: string; retryAfterMs?: number },
): void {
  const body = JSON.stringify({ error });
  const headers = {
    ...commonHeaders,
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    connection: 'close',
    ...(error.retryAfterMs === undefined ? {} : { 'retry-after': Math.ceil(error.retryAfterMs / 1_000) }),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('\r\n')}\r\n\r\n${body}`);
}
