import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Arrivals } from './arrivals.ts';
import { commonHeaders, cutWhenStalled, sendJson, sendMethodNotAllowed, sendText } from './responses.ts';
import type { HttpRoute } from './route.ts';
import { ownRoutes, type RouteFacts } from './routes.ts';
import { findRoute, type RouteContext, serveRoute } from './serve-route.ts';
import { serveFile } from './static-site.ts';

export interface ListenerOptions extends RouteFacts {
  arrivals: Arrivals;
  hasTooManyHeaders: (request: IncomingMessage) => boolean;
  /** How long the reader of an answer may take nothing of it. */
  responseStallMs: () => number;
  /** Routes beside those of {@link ownRoutes}. */
  routes: readonly HttpRoute[];
  routeContext: RouteContext;
  siteDirectory?: string;
  fetch?: (request: Request) => Response | undefined | Promise<Response | undefined>;
  /** Told of what went wrong while answering. */
  failed: (error: unknown) => void;
  /** Told of requests that came by a name or through a proxy that is not allowed. */
  refused: (request: IncomingMessage, error: { message: string; type: string }) => void;
}

/** Tells only that the gateway lives: any name will do, so that a container's own check works. */
const nameless: ReadonlySet<string> = new Set(['/health', '/healthz']);

/** What answers HTTP requests. `others` gets those that are not the gateway's own; without it they are the site's, or 404. */
export function requestListener(
  options: ListenerOptions,
): (request: IncomingMessage, response: ServerResponse, others?: () => void) => void {
  const routes = ownRoutes(options);
  return (request, response, others) => {
    const [path = '/', query = ''] = splitTarget(request.url);
    const remote = options.arrivals.remoteOf(request);
    const route = routes.get(path);
    const added = route ? undefined : findRoute(options.routes, path);
    if (!route && !added && others) {
      others();
    } else if (options.hasTooManyHeaders(request)) {
      sendJson(request, response, 431, { error: tooManyHeaders });
    } else if (!path.startsWith('/')) {
      sendText(request, response, 400, 'Bad Request');
    } else if (!nameless.has(path) && !options.arrivals.isKnownHost(request, remote)) {
      const error = { message: unknownHostMessage, type: 'host_not_allowed' };
      options.refused(request, error);
      sendJson(request, response, 403, { error });
    } else if (route) {
      route(request, response);
    } else if (added) {
      if (!remote) {
        options.refused(request, untrustedProxy);
        sendJson(request, response, 403, { error: untrustedProxy });
        return;
      }
      const judged = { path, query, remote, origin: options.arrivals.originOf(request, remote) };
      void serveRoute(added, request, response, judged, options.routeContext);
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      sendMethodNotAllowed(request, response);
    } else {
      servePage(options, path, request, response).catch((error: unknown) => {
        options.failed(error);
        if (response.headersSent) response.destroy();
        else sendText(request, response, 500, 'Internal Server Error');
      });
    }
  };
}

export const unknownHostMessage = 'This name is not known to the gateway; add it to allowedHosts.';

/** What is told to whom brings more headers than are read. */
export const tooManyHeaders = {
  message: 'The request has too many headers; send fewer, or raise limits.maxHeaders.',
  type: 'headers_too_many',
};

/** What is told to whom an untrusted proxy speaks for. */
export const untrustedProxy = {
  message: 'Forwarded headers from a proxy that is not trusted; add its address to trustedProxies.',
  type: 'proxy_attribution_required',
};

/** Path and query of a request target. */
function splitTarget(target = '/'): [path: string, query: string] {
  const at = target.indexOf('?');
  return at === -1 ? [target, ''] : [target.slice(0, at), target.slice(at + 1)];
}

async function servePage(
  { fetch, siteDirectory, responseStallMs }: ListenerOptions,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (fetch) {
    const answer = await fetch(webRequest(request));
    cutWhenStalled(response, responseStallMs());
    if (answer) {
      await sendWebResponse(answer, request, response);
      return;
    }
  }
  if (siteDirectory !== undefined && (await serveFile(siteDirectory, path, request, response, responseStallMs())))
    return;
  sendText(request, response, 404, 'Not Found');
}

function webRequest(request: IncomingMessage): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  // The name was checked against those that are known, and the target begins with a slash: it can't name another.
  return new Request(new URL(`http://${request.headers.host}${request.url}`), {
    method: request.method ?? 'GET',
    headers,
  });
}

async function sendWebResponse(answer: Response, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.writeHead(answer.status, { ...commonHeaders, ...Object.fromEntries(answer.headers) });
  if (request.method === 'HEAD' || !answer.body) response.end();
  else await pipeline(chunksOf(answer.body), response);
}

async function* chunksOf(body: NonNullable<Response['body']>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel();
  }
}
