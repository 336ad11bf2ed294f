import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '@openclaw/protocol';
import type { OriginVerdict, Remote } from '../connection/origin.ts';
import { commonHeaders, hasBody, sendProblem } from './responses.ts';
import { type HttpExchange, type HttpGate, HttpProblem, type HttpRoute, validTraceparent } from './route.ts';

/** What serving a route needs to know of the gateway. */
export interface RouteContext {
  clock: Clock;
  gate: HttpGate;
  phase: () => 'starting' | 'ready' | 'draining';
  /** How long a body may take, where the route says nothing else. */
  requestTimeoutMs: () => number;
  /** Told of errors that are no {@link HttpProblem}: faults of this program. */
  failed: (error: unknown) => void;
  /** Told of who was not let in: answers with 401, 403 and 429. */
  refused: (judged: JudgedRequest, problem: HttpProblem) => void;
}

/** A request whose sender's place in the world was judged. */
export interface JudgedRequest {
  path: string;
  /** What follows the `?`. */
  query: string;
  remote: Remote;
  origin: OriginVerdict;
}

/** Statuses of answers to somebody who may not do what was asked. */
const refusals: ReadonlySet<number> = new Set([401, 403, 429]);
/** How long a browser may keep the answer to a preflight, in seconds. */
const preflightSeconds = 600;
/** Names of query fields in which somebody may try to bring a credential: addresses end up in logs and histories. */
const credentialFields = ['token', 'access_token', 'password'];

/** The first route whose path fits: the same, or the beginning if it ends in `/`. */
export function findRoute(routes: readonly HttpRoute[], path: string): HttpRoute | undefined {
  return routes.find((route) => (route.path.endsWith('/') ? path.startsWith(route.path) : path === route.path));
}

/** Answers a request by its route; everything that goes wrong is answered in the route's shape. Never rejects. */
export async function serveRoute(
  route: HttpRoute,
  request: IncomingMessage,
  response: ServerResponse,
  judged: JudgedRequest,
  context: RouteContext,
): Promise<void> {
  for (const [name, value] of Object.entries(commonHeaders)) response.setHeader(name, value);
  response.setHeader('cache-control', 'no-store');
  response.setHeader('vary', 'origin');
  limitBody(route, request, response, context);
  try {
    assertOrigin(request, judged.origin);
    if (request.headers.origin !== undefined) allowReading(response, request.headers.origin);
    if (isPreflight(request)) {
      answerPreflight(route, request, response);
      return;
    }
    assertMethod(route, request);
    const query = new URLSearchParams(judged.query);
    assertNoCredential(query);
    if (request.method === 'POST' && context.phase() === 'draining') throw stopping();
    await route.handle(exchangeOf(request, response, judged, query, context.gate));
  } catch (error) {
    const problem =
      error instanceof HttpProblem ? error : new HttpProblem(500, 'api_error', 'The gateway failed here.');
    if (problem !== error) context.failed(error);
    else if (refusals.has(problem.status)) context.refused(judged, problem);
    if (response.headersSent) response.destroy();
    else sendProblem(request, response, problem, route.problemBody);
  }
}

function exchangeOf(
  request: IncomingMessage,
  response: ServerResponse,
  { path, remote }: JudgedRequest,
  query: URLSearchParams,
  gate: HttpGate,
): HttpExchange {
  const traceparent = validTraceparent(request.headers.traceparent);
  return {
    request,
    response,
    path,
    query,
    remote,
    ...(traceparent === undefined ? {} : { traceparent }),
    authorize: (scope) => gate.authorize(request, response, remote, scope),
  };
}

/** Cuts a body that takes too long. The answer's own length in time is the route's business. */
function limitBody(
  route: HttpRoute,
  request: IncomingMessage,
  response: ServerResponse,
  { clock, requestTimeoutMs }: RouteContext,
): void {
  if (!hasBody(request)) return;
  const timeoutMs = route.bodyTimeoutMs ?? requestTimeoutMs();
  const cancel = clock.schedule(() => {
    if (request.complete) return;
    if (!response.headersSent) {
      const told = `The body did not come within ${timeoutMs} ms; send it again.`;
      sendProblem(request, response, new HttpProblem(408, 'request_timeout', told), route.problemBody);
    }
    request.socket.destroySoon();
  }, timeoutMs);
  request.once('end', cancel);
  request.once('close', cancel);
}

/**
 * Pages of origins that are not allowed may call nothing here. A request without `Origin` is a program's, or a browser's that
 * fetches a picture or follows a link: that one says so in `Sec-Fetch-Site`, and only following a link is harmless.
 */
function assertOrigin({ method, headers }: IncomingMessage, origin: OriginVerdict): void {
  if (origin.is === 'refused') throw foreignOrigin(origin.reason);
  const site = headers['sec-fetch-site'];
  const isForeign = site === 'cross-site' || site === 'same-site';
  const isLink = headers['sec-fetch-mode'] === 'navigate' && (method === 'GET' || method === 'HEAD');
  if (origin.is === 'absent' && isForeign && !isLink) throw foreignOrigin('the page that asks is of another origin');
}

function foreignOrigin(reason: string): HttpProblem {
  const told = `A page may not call this: ${reason}. Add the page's origin to allowedOrigins, or call from a program.`;
  return new HttpProblem(403, 'origin_not_allowed', told);
}

function allowReading(response: ServerResponse, origin: string): void {
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-expose-headers', 'retry-after, location, x-request-id, traceparent');
}

function isPreflight({ method, headers }: IncomingMessage): boolean {
  return method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined;
}

function answerPreflight(route: HttpRoute, { headers }: IncomingMessage, response: ServerResponse): void {
  const asked = headers['access-control-request-headers'];
  response.setHeader('access-control-allow-methods', allowedMethods(route));
  // Credentials are never cookies, so whatever an allowed page wants to say it may say.
  if (asked !== undefined && /^[\w!#$%&'*+.^`|~, -]{1,1024}$/.test(asked))
    response.setHeader('access-control-allow-headers', asked);
  response.setHeader('access-control-max-age', preflightSeconds);
  if (headers['access-control-request-private-network'] === 'true')
    response.setHeader('access-control-allow-private-network', 'true');
  response.writeHead(204).end();
}

function assertMethod(route: HttpRoute, { method }: IncomingMessage): void {
  const asked = method === 'HEAD' ? 'GET' : method;
  if (route.methods.some((each) => each === asked)) return;
  const told = `${method} is not a method of this address; use ${route.methods.join(' or ')}.`;
  throw new HttpProblem(405, 'method_not_allowed', told, { allow: allowedMethods(route) });
}

function allowedMethods({ methods }: HttpRoute): string {
  return methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ');
}

function assertNoCredential(query: URLSearchParams): void {
  const field = credentialFields.find((name) => query.has(name));
  if (field === undefined) return;
  const told = `A credential in the address ("?${field}=") ends up in logs and histories; send it as "Authorization: Bearer <token>".`;
  throw new HttpProblem(400, 'invalid_request_error', told);
}

function stopping(): HttpProblem {
  return new HttpProblem(503, 'unavailable', 'The gateway is stopping; send the request again in a second.', {
    'retry-after': '1',
  });
}
