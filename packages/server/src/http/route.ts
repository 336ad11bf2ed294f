import type { IncomingMessage, ServerResponse } from 'node:http';
import type { OperatorScope } from '@openclaw/protocol';
import type { Remote } from '../connection/origin.ts';

/** Who sent an HTTP request, after its credentials were judged. */
export interface HttpCaller {
  /** Who the ledger keeps its requests for (S18). */
  principal: string;
  scopes: ReadonlySet<string>;
}

/** Judges the credentials of HTTP requests. */
export interface HttpGate {
  /** See {@link HttpExchange.authorize}. `response` is cut when what was shown is taken back. */
  authorize(
    request: IncomingMessage,
    response: ServerResponse,
    remote: Remote,
    scope: OperatorScope,
  ): Promise<HttpCaller>;
}

/** One HTTP request on its way to a route. */
export interface HttpExchange {
  request: IncomingMessage;
  response: ServerResponse;
  /** Without query. */
  path: string;
  query: URLSearchParams;
  remote: Remote;
  /** The valid `traceparent` of the request, if it has one. */
  traceparent?: string;
  /**
   * Who it is: by `Authorization: Bearer <token>` (a token, the shared secret, or a device's token), or what a trusted proxy
   * says; on a gateway without auth, any local request. Throws an {@link HttpProblem}: 401 without a valid credential, 403
   * for a scope that it lacks, 429 after too many failures from its address.
   */
  authorize(scope: OperatorScope): Promise<HttpCaller>;
}

/**
 * A route of the gateway. `handle` answers, or throws an {@link HttpProblem}, which becomes the answer in the route's own
 * shape; any other error becomes 500 without its text.
 */
export interface HttpRoute {
  /** `/hooks/wake`, or all that begins with a path that ends in `/`. */
  path: string;
  /** Others get 405 with `allow`. HEAD goes where GET does. */
  methods: readonly ('GET' | 'POST' | 'PUT' | 'DELETE')[];
  /** How long the body may take to arrive, in ms; then 408, and the socket is cut. Default `limits.requestTimeoutMs`. */
  bodyTimeoutMs?: number;
  /** The body of an answer that tells of a problem. Default `{error: {message, type}}`. */
  problemBody?: (problem: HttpProblem) => unknown;
  handle(exchange: HttpExchange): void | Promise<void>;
}

/** Why an HTTP request is refused. The message says what happened and what to do; it never holds a secret. */
export class HttpProblem extends Error {
  readonly status: number;
  /** Stable, for programs: `unauthorized`, `invalid_request_error`, `payload_too_large`, … */
  readonly type: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, type: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = 'HttpProblem';
    this.status = status;
    this.type = type;
    this.headers = headers;
  }
}

/** The whole body; throws 413 as soon as more than `maxBytes` came, whatever `content-length` says, and 400 when it breaks off. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const tooLarge = () =>
    new HttpProblem(413, 'payload_too_large', `The body has more than the ${maxBytes} bytes that are allowed here.`);
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    // Leaving the loop must not destroy the socket: the answer still has to go out on it.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof HttpProblem) throw error;
    throw new HttpProblem(400, 'invalid_request_error', 'The body broke off; send the request again.');
  }
  return Buffer.concat(chunks);
}

const traceparentPattern = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The header when it is a valid W3C traceparent; anything else is dropped, as that standard says. */
export function validTraceparent(header: unknown): string | undefined {
  return typeof header === 'string' && traceparentPattern.test(header) ? header : undefined;
}
