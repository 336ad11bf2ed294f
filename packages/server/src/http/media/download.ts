import type { ServerResponse } from 'node:http';
import type { Clock } from '@openclaw/protocol';
import { type HttpExchange, HttpProblem } from '../route.ts';
import { byteRange } from './byte-range.ts';
import { dispositionOf, safeFileName } from './file-name.ts';
import { freeBytes } from './free-bytes.ts';
import { isShown, plainType } from './media-type.ts';
import type { ReadableMedium, Uploads } from './uploads.ts';

const pageBytes = 256 * 1024;

/** Nothing of it runs, and it loads nothing but itself. */
const mediaPolicy =
  "default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox";

/** Answers with the bytes of a medium, in pages, so that no file lies in memory. */
export async function serveMedium(
  exchange: HttpExchange,
  uploads: Uploads,
  clock: Clock,
  idleMs: number,
): Promise<void> {
  const { request, response, path } = exchange;
  const { principal } = await exchange.authorize('operator.read');
  const id = path.slice('/media/'.length);
  const medium = /^[0-9a-f]{64}$/.test(id) ? await uploads.find(principal, id) : undefined;
  if (!medium) {
    const told = 'No such medium: its session was deleted, nobody has used the upload in time, or the id is wrong.';
    throw new HttpProblem(404, 'not_found', told);
  }
  const { fileName, sizeBytes } = medium;
  // What came in a message may be called anything, also what no header can hold.
  const mimeType = plainType(medium.mimeType);
  const etag = `"${id}"`;
  response.setHeader('etag', etag);
  // Kept by the one who read it, and asked about each time: it may have been erased.
  response.setHeader('cache-control', 'private, no-cache');
  response.setHeader('accept-ranges', 'bytes');
  if (isNamed(request.headers['if-none-match'], etag)) {
    response.writeHead(304).end();
    return;
  }
  const { range: asked, 'if-range': condition } = request.headers;
  const range = condition === undefined || condition === etag ? byteRange(asked, sizeBytes) : 'whole';
  if (range === 'outside') {
    const told = `The medium has ${sizeBytes} bytes; ask for a range within them.`;
    throw new HttpProblem(416, 'range_not_satisfiable', told, { 'content-range': `bytes */${sizeBytes}` });
  }
  const { first, last } = range === 'whole' ? { first: 0, last: sizeBytes - 1 } : range;
  if (range !== 'whole') response.setHeader('content-range', `bytes ${first}-${last}/${sizeBytes}`);
  response.writeHead(range === 'whole' ? 200 : 206, {
    'content-type': mimeType,
    'content-length': last - first + 1,
    'content-disposition': dispositionOf(isShown(mimeType) ? 'inline' : 'attachment', safeFileName(fileName)),
    'content-security-policy': mediaPolicy,
    'cross-origin-resource-policy': 'same-origin',
  });
  if (request.method === 'HEAD') response.end();
  else await sendBytes(response, medium, { first, last }, clock, idleMs);
}

async function sendBytes(
  response: ServerResponse,
  medium: ReadableMedium,
  { first, last }: { first: number; last: number },
  clock: Clock,
  idleMs: number,
): Promise<void> {
  for (let at = first; at <= last; ) {
    const bytes = await medium.read(at, Math.min(pageBytes, last - at + 1));
    if (response.destroyed) return;
    // Erased meanwhile: an answer that is too short says so.
    if (!bytes || bytes.length === 0) {
      response.destroy();
      return;
    }
    at += bytes.length;
    if (!(await taken(response, bytes, clock, idleMs))) return;
    freeBytes(bytes);
  }
  response.end();
}

/** Resolves when the reader has taken the bytes; false when it is gone, or took nothing for too long. */
function taken(response: ServerResponse, bytes: Uint8Array, clock: Clock, idleMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (isTaken: boolean) => {
      cancel();
      response.off('close', onClose);
      resolve(isTaken);
    };
    const onClose = () => settle(false);
    const cancel = clock.schedule(() => {
      response.destroy();
      settle(false);
    }, idleMs);
    response.on('close', onClose);
    response.write(bytes, (error) => settle(!error));
  });
}

function isNamed(header: string | undefined, etag: string): boolean {
  return header?.split(',').some((each) => each.trim().replace(/^W\//, '') === etag || each.trim() === '*') ?? false;
}
