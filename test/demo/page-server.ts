import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import type { DemoSettings, Fault } from './page/settings.ts';

/** What the page may ask for once the gateway runs. */
export interface PageApi {
  settings: DemoSettings;
  strike: (fault: Fault) => Promise<void>;
}

export interface PageServer {
  /** Its origin. */
  url: string;
  /** Lets the page ask; until then it gets 503. */
  open(api: PageApi): void;
  close(): Promise<void>;
}

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Bundles the page: our client from its source, the published one from its package's browser entry. */
export async function buildPage(outDirectory: string): Promise<void> {
  await build({
    configFile: false,
    root: fileURLToPath(new URL('page', import.meta.url)),
    logLevel: 'error',
    resolve: { conditions: ['@openclaw/source', 'browser', 'module', 'import', 'default'] },
    build: {
      outDir: outDirectory,
      emptyOutDir: true,
      target: 'es2022',
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
    },
  });
}

/** Serves the page and its two questions, on loopback and to pages of its own origin only. */
export async function servePage({ site, port }: { site: string; port: number }): Promise<PageServer> {
  let api: PageApi | undefined;
  let url = '';
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = (request.url ?? '/').split('?', 1)[0] as string;
    // The name keeps out pages whose domain points here; the header, those of other origins, which would have to ask first.
    if (request.headers.host !== new URL(url).host) return end(response, 403, 'text/plain', 'unknown host');
    if (!path.startsWith('/api/')) return serveFile(site, path, response);
    if (request.headers['x-demo'] !== 'page') return end(response, 403, 'text/plain', 'for the page of the demo only');
    if (!api) return end(response, 503, 'text/plain', 'the gateway is starting');
    if (path === '/api/settings') return end(response, 200, 'application/json', JSON.stringify(api.settings));
    const fault = path.slice('/api/strike/'.length);
    if (request.method !== 'POST' || !isFault(fault)) return end(response, 404, 'text/plain', 'not found');
    await api.strike(fault);
    end(response, 200, 'application/json', '{}');
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => end(response, 500, 'text/plain', String(error)));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve());
  });
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    open(given) {
      api = given;
    },
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function isFault(name: string): name is Fault {
  return name === 'cut' || name === 'kill' || name === 'sleep';
}

async function serveFile(site: string, path: string, response: ServerResponse): Promise<void> {
  const name = normalize(path === '/' ? '/index.html' : path);
  try {
    const bytes = await readFile(join(site, name));
    end(response, 200, contentTypes[extname(name)] ?? 'application/octet-stream', bytes);
  } catch {
    end(response, 404, 'text/plain', 'not found');
  }
}

function end(response: ServerResponse, status: number, type: string, body: string | Buffer): void {
  response.writeHead(status, {
    'content-type': type,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(body);
}
