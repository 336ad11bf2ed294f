import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { commonHeaders, cutWhenStalled } from './responses.ts';

const contentTypes: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.gif': 'image/gif',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.jpeg': 'image/jpeg',
  '.jpg': 'image/jpeg',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.webp': 'image/webp',
  '.woff2': 'font/woff2',
};

/**
 * Serves the file of `directory` that `path` (encoded, as in the URL) names; `/` is `index.html`. Resolves false, with
 * nothing sent, when there is none: unknown, hidden, a directory, or outside of `directory` by whatever way. A reader
 * that takes nothing for `stallMs` is cut.
 */
export async function serveFile(
  directory: string,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
  stallMs: number,
): Promise<boolean> {
  const file = await findFile(directory, path);
  if (!file) return false;
  const headers = {
    ...commonHeaders,
    etag: file.etag,
    // Bundlers put a hash in the names below assets/; everything else is asked for again.
    'cache-control': path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
  };
  if (request.headers['if-none-match'] === file.etag) {
    response.writeHead(304, headers);
    response.end();
    return true;
  }
  response.writeHead(200, {
    ...headers,
    'content-type': contentTypes[extname(file.name).toLowerCase()] ?? 'application/octet-stream',
    'content-length': file.sizeBytes,
  });
  if (request.method === 'HEAD') response.end();
  else await send(file.name, response, stallMs);
  return true;
}

/** Writes the file. That the client went away meanwhile, or was cut since it took nothing, is no failure. */
async function send(name: string, response: ServerResponse, stallMs: number): Promise<void> {
  if (response.destroyed) return;
  cutWhenStalled(response, stallMs);
  try {
    await pipeline(createReadStream(name), response);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ERR_STREAM_PREMATURE_CLOSE' && code !== 'ERR_STREAM_UNABLE_TO_PIPE') throw error;
  }
}

async function findFile(
  directory: string,
  path: string,
): Promise<{ name: string; sizeBytes: number; etag: string } | undefined> {
  const segments = safeSegments(path);
  if (!segments) return undefined;
  try {
    const root = await realpath(directory);
    const name = await realpath(join(root, ...(segments.length === 0 ? ['index.html'] : segments)));
    // A link may lead out of the directory.
    if (!name.startsWith(root.endsWith(sep) ? root : root + sep)) return undefined;
    const facts = await stat(name);
    if (!facts.isFile()) return undefined;
    return {
      name,
      sizeBytes: facts.size,
      etag: `"${facts.size.toString(36)}-${Math.floor(facts.mtimeMs).toString(36)}"`,
    };
  } catch {
    // Not there, or not readable: both are "not found" to a client.
    return undefined;
  }
}

function safeSegments(path: string): string[] | undefined {
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return undefined;
  }
  if (decoded.includes('\0') || decoded.includes('\\')) return undefined;
  const segments = decoded.split('/').filter((segment) => segment !== '');
  return segments.some((segment) => segment.startsWith('.')) ? undefined : segments;
}
