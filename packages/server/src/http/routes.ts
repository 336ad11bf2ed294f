import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { EventLoopMonitor } from './event-loop.ts';
import { commonHeaders, sendJson, sendMethodNotAllowed, sendText } from './responses.ts';

export interface RouteFacts {
  /** What keeps the gateway from being ready; empty when it is. */
  failing: () => string[];
  uptimeMs: () => number;
  eventLoop: EventLoopMonitor;
  /** Whether the asker may see details: a direct connection from this machine. */
  isLocal: (request: IncomingMessage) => boolean;
}

type Route = (request: IncomingMessage, response: ServerResponse) => void;

/** The gateway's own routes by path. */
export function ownRoutes({ failing, uptimeMs, eventLoop, isLocal }: RouteFacts): ReadonlyMap<string, Route> {
  const live: Route = (request, response) => sendJson(request, response, 200, { ok: true, status: 'live' });

  const ready: Route = (request, response) => {
    const reasons = failing();
    const details = isLocal(request)
      ? { failing: reasons, uptimeMs: uptimeMs(), eventLoop: eventLoop.facts() }
      : { failing: [] };
    sendJson(request, response, reasons.length === 0 ? 200 : 503, { ready: reasons.length === 0, ...details });
  };

  const routes: [string, Route][] = [
    ['/health', live],
    ['/healthz', live],
    ['/ready', ready],
    ['/readyz', ready],
    ['/protocol.schema.json', documentRoute('application/schema+json; charset=utf-8', 'protocol.schema.json')],
    ['/asyncapi.json', documentRoute('application/vnd.aai.asyncapi+json; version=3.0.0', 'asyncapi.json')],
  ];
  return new Map(
    routes.map(([path, route]) => [
      path,
      (request, response) => {
        if (request.method === 'GET' || request.method === 'HEAD') route(request, response);
        else sendMethodNotAllowed(request, response);
      },
    ]),
  );
}

/** Serves a file of the protocol package, read when somebody first asks for it: making it here would hold up every connection. */
function documentRoute(type: string, name: string): Route {
  let reading: Promise<{ body: Buffer; etag: string }> | undefined;
  return (request, response) => {
    reading ??= readDocument(name);
    reading.then(
      ({ body, etag }) => {
        const headers = { ...commonHeaders, etag, 'cache-control': 'no-cache' };
        const isKnown = request.headers['if-none-match'] === etag;
        if (isKnown) response.writeHead(304, headers);
        else response.writeHead(200, { ...headers, 'content-type': type, 'content-length': body.length });
        response.end(isKnown || request.method === 'HEAD' ? undefined : body);
      },
      () => {
        reading = undefined;
        sendText(request, response, 500, `${name} could not be read; is @openclaw/protocol installed whole?`);
      },
    );
  };
}

async function readDocument(name: string): Promise<{ body: Buffer; etag: string }> {
  const body = await readFile(createRequire(import.meta.url).resolve(`@openclaw/protocol/${name}`));
  return { body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` };
}
