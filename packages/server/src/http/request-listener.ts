import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { commonHeaders, sendJson, sendMethodNotAllowed, sendText } from './responses.ts';
import { ownRoutes, type RouteFacts } from './routes.ts';
import { serveFile } from './static-site.ts';

export interface ListenerOptions extends RouteFacts {
  isKnownHost: (request: IncomingMessage) => boolean;
  siteDirectory?: string;
  fetch?: (request: Request) => Response | undefined | Promise<Response | undefined>;
  /** Told of what went wrong while answering. */
  failed: (error: unknown) => void;
}

/** Tells only that the gateway lives: any name will do, so that a container's own check works. */
const nameless: ReadonlySet<string> = new Set(['/health', '/healthz']);

/** What answers HTTP requests. `others` gets those that are not the gateway's own; without it they are the site's, or 404. */
export function requestListener(
  options: ListenerOptions,
): (request: IncomingMessage, response: ServerResponse, others?: () => void) => void {
  const routes = ownRoutes(options);
  return (request, response, others) => {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    const route = routes.get(path);
    if (!route && others) {
      others();
    } else if (!nameless.has(path) && !options.isKnownHost(request)) {
      sendJson(request, response, 403, { error: { message: unknownHostMessage, type: 'host_not_allowed' } });
    } else if (route) {
      route(request, response);
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

async function servePage(
  { fetch, siteDirectory }: ListenerOptions,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (fetch) {
    const answer = await fetch(webRequest(request));
    if (answer) {
      await sendWebResponse(answer, request, response);
      return;
    }
  }
  if (siteDirectory !== undefined && (await serveFile(siteDirectory, path, request, response))) return;
  sendText(request, response, 404, 'Not Found');
}

function webRequest(request: IncomingMessage): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  // The name was checked against those that are known.
  return new Request(new URL(request.url ?? '/', `http://${request.headers.host}`), {
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
