import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { contractSchema } from '@openclaw/protocol';
import type { EventLoopMonitor } from './event-loop.ts';
import { commonHeaders, sendJson, sendMethodNotAllowed } from './responses.ts';

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
  let schema: { body: Buffer; etag: string } | undefined;

  const live: Route = (request, response) => sendJson(request, response, 200, { ok: true, status: 'live' });

  const ready: Route = (request, response) => {
    const reasons = failing();
    const details = isLocal(request)
      ? { failing: reasons, uptimeMs: uptimeMs(), eventLoop: eventLoop.facts() }
      : { failing: [] };
    sendJson(request, response, reasons.length === 0 ? 200 : 503, { ready: reasons.length === 0, ...details });
  };

  const protocolSchema: Route = (request, response) => {
    if (!schema) {
      const body = Buffer.from(JSON.stringify(contractSchema()));
      schema = { body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` };
    }
    const headers = { ...commonHeaders, etag: schema.etag, 'cache-control': 'no-cache' };
    if (request.headers['if-none-match'] === schema.etag) {
      response.writeHead(304, headers);
      response.end();
      return;
    }
    response.writeHead(200, {
      ...headers,
      'content-type': 'application/schema+json; charset=utf-8',
      'content-length': schema.body.length,
    });
    response.end(request.method === 'HEAD' ? undefined : schema.body);
  };

  const routes: [string, Route][] = [
    ['/health', live],
    ['/healthz', live],
    ['/ready', ready],
    ['/readyz', ready],
    ['/protocol.schema.json', protocolSchema],
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
