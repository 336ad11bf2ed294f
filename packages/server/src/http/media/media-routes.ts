import type { IncomingMessage } from 'node:http';
import type { Clock } from '@openclaw/protocol';
import { isGatewayError } from '@openclaw/protocol';
import { sendJson } from '../responses.ts';
import { type HttpExchange, HttpProblem, type HttpRoute } from '../route.ts';
import { serveMedium } from './download.ts';
import { fileNameOf, safeFileName } from './file-name.ts';
import { freeBytes } from './free-bytes.ts';
import { fittingType, plainType, sniffBytes } from './media-type.ts';
import type { Uploads } from './uploads.ts';

/** What the routes of media are made of. */
export interface MediaRouteParts {
  uploads: Uploads;
  clock: Clock;
}

/** How media are served; all times in ms. */
export interface MediaRouteOptions {
  /** How long a file may take to arrive. Default 30 min. */
  bodyTimeoutMs?: number;
  /** How long a sender or a reader may be silent. Default 30 s. */
  idleMs?: number;
}

/** `POST /media` takes a file for a message to come; `GET /media/<id>` gives the bytes that a message refers to. */
export function mediaRoutes({ uploads, clock }: MediaRouteParts, options: MediaRouteOptions = {}): HttpRoute[] {
  const { bodyTimeoutMs = 30 * 60_000, idleMs = 30_000 } = options;
  return [
    {
      path: '/media',
      methods: ['POST'],
      bodyTimeoutMs,
      handle: (exchange) => takeUpload(exchange, uploads, clock, idleMs),
    },
    { path: '/media/', methods: ['GET'], handle: (exchange) => serveMedium(exchange, uploads, clock, idleMs) },
  ];
}

async function takeUpload(exchange: HttpExchange, uploads: Uploads, clock: Clock, idleMs: number): Promise<void> {
  const { request, response, query } = exchange;
  const { principal } = await exchange.authorize('operator.write');
  const { 'content-type': contentType, 'content-disposition': disposition, 'content-length': length } = request.headers;
  if (/^\s*multipart\//i.test(contentType ?? '')) {
    const told =
      'Send the file itself as the body, with its content-type, and its name as "?fileName=": no form is read here.';
    throw new HttpProblem(415, 'unsupported_media_type', told);
  }
  const declared = plainType(contentType);
  uploads.assertAllowed(declared);
  const upload = await uploads.begin(principal, {
    maxBytes: uploads.maxBytesOf(declared),
    ...(length === undefined ? {} : { sizeBytes: Number(length) }),
  });
  try {
    let head = Buffer.alloc(0);
    for await (const piece of piecesOf(request, clock, idleMs)) {
      if (head.length < sniffBytes) head = Buffer.concat([head, piece.subarray(0, sniffBytes - head.length)]);
      await upload.write(piece);
      freeBytes(piece);
    }
    const mimeType = fittingType(declared, head);
    if (mimeType !== declared) uploads.assertAllowed(mimeType);
    const fileName = safeFileName(query.get('fileName')) ?? fileNameOf(disposition);
    const kept = await upload.finish({ mimeType, ...(fileName === undefined ? {} : { fileName }) });
    response.setHeader('location', `/media/${kept.id}`);
    sendJson(request, response, 201, kept);
  } catch (error) {
    await upload.discard().catch(() => undefined);
    throw isGatewayError(error) ? new HttpProblem(503, 'unavailable', error.message, { 'retry-after': '2' }) : error;
  }
}

/** The body piece by piece; the sender is not read faster than the pieces are taken. Throws 400 when it breaks off, 408 when it stalls. */
async function* piecesOf(request: IncomingMessage, clock: Clock, idleMs: number): AsyncGenerator<Buffer> {
  const pieces = (request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const piece = await nextPiece(pieces, clock, idleMs);
      if (!piece) return;
      yield piece;
    }
  } finally {
    // What is left of the body is read by whoever answers.
    pieces.return?.().catch(() => undefined);
  }
}

async function nextPiece(pieces: AsyncIterator<Buffer>, clock: Clock, idleMs: number): Promise<Buffer | undefined> {
  let cancel = () => {};
  const stalled = new Promise<never>((_resolve, reject) => {
    cancel = clock.schedule(() => {
      reject(new HttpProblem(408, 'request_timeout', `Nothing came for ${idleMs} ms; send the file again.`));
    }, idleMs);
  });
  const next = pieces.next().catch(() => {
    throw new HttpProblem(400, 'invalid_request_error', 'The body broke off; send the file again.');
  });
  try {
    const { done, value } = await Promise.race([next, stalled]);
    return done ? undefined : value;
  } finally {
    cancel();
  }
}
