import { createHash } from 'node:crypto';
import { type ContentBlock, GatewayError, type Message } from '@openclaw/protocol';
import type { Committer } from '../streams/committer.ts';

type MediaReference = Extract<ContentBlock, { type: 'media' }>['media'];

/** UTF-8 bytes of one text in an event (S5); beyond it the text is cut and kept whole as media. */
const maxTextBytes = 192 * 1024;
/** Bytes of a cut text that stay in the event. */
const cutTextBytes = 16 * 1024;

/** Keeps bytes with this tick's commit for as long as the stream exists, and returns the reference that events carry. */
export function putMedia(
  committer: Committer,
  stream: string,
  bytes: Uint8Array,
  { mimeType, fileName }: { mimeType: string; fileName?: string | undefined },
): MediaReference {
  const id = createHash('sha256').update(bytes).digest('hex');
  const named = fileName === undefined ? {} : { fileName };
  committer.change(() => {}).media.push({ id, stream, mimeType, bytes, ...named });
  return { id, mimeType, sizeBytes: bytes.length, ...named };
}

interface Attachment {
  mimeType?: string | undefined;
  fileName?: string | undefined;
  type?: string | undefined;
  content?: unknown;
}

/** Limits of attachments, as hello-ok tells them. */
export const attachmentLimits = { maxBytes: 19_464_192, maxImageBytes: 6_291_456 };

/** Decodes the attachments of a request; throws INVALID_REQUEST for what is no base64 or too large. */
export function decodeAttachments(
  attachments: readonly Attachment[],
): { bytes: Buffer; mimeType: string; fileName?: string | undefined }[] {
  return attachments.map(({ mimeType = 'application/octet-stream', fileName, content }, index) => {
    if (typeof content !== 'string') {
      throw new GatewayError(
        'INVALID_REQUEST',
        `invalid chat.send params: at /attachments/${index}/content: must be a base64 string`,
      );
    }
    const base64 = content.startsWith('data:') ? content.slice(content.indexOf(',') + 1) : content;
    if (!/^[A-Za-z0-9+/_-]*={0,2}\s*$/.test(base64)) {
      throw new GatewayError(
        'INVALID_REQUEST',
        `invalid chat.send params: at /attachments/${index}/content: is not base64`,
      );
    }
    const bytes = Buffer.from(base64, 'base64');
    const limit = mimeType.startsWith('image/') ? attachmentLimits.maxImageBytes : attachmentLimits.maxBytes;
    if (bytes.length > limit) {
      throw new GatewayError(
        'INVALID_REQUEST',
        `attachment ${index} has ${bytes.length} bytes; ${limit} are allowed for ${mimeType}. Send a smaller one.`,
      );
    }
    return { bytes, mimeType, fileName };
  });
}

/** The message with every text within the limits of an event; what was cut is kept whole as media (S5). */
export function fitMessage(committer: Committer, stream: string, message: Message): Message {
  let budget = maxTextBytes;
  const content = message.content.map((block): ContentBlock => {
    const size = Buffer.byteLength(JSON.stringify(block));
    if (size <= budget) {
      budget -= size;
      return block;
    }
    const short = cutBlock(committer, stream, block);
    budget = Math.max(cutTextBytes * 2, budget - Buffer.byteLength(JSON.stringify(short)));
    return short;
  });
  return { ...message, content };
}

function cutBlock(committer: Committer, stream: string, block: ContentBlock): ContentBlock {
  switch (block.type) {
    case 'text': {
      const media = putMedia(committer, stream, Buffer.from(block.text), { mimeType: 'text/plain; charset=utf-8' });
      return { ...block, text: cutText(block.text), cut: true, media };
    }
    case 'thinking':
      return { ...block, thinking: cutText(block.thinking), cut: true };
    case 'toolResult':
      return { ...block, content: cutResult(block.content), cut: true };
    case 'toolCall':
      return { ...block, arguments: cutResult(block.arguments) };
    case 'media':
      return block;
  }
}

function cutResult(value: unknown): string {
  return cutText(typeof value === 'string' ? value : JSON.stringify(value));
}

/** A tool's result within the limits of an event: as it is, or cut text with the whole kept as media. */
export function fitToolResult(committer: Committer, stream: string, result: unknown): unknown {
  const text = typeof result === 'string' ? result : (JSON.stringify(result) ?? '');
  if (Buffer.byteLength(text) <= maxTextBytes) return result;
  const mimeType = typeof result === 'string' ? 'text/plain; charset=utf-8' : 'application/json';
  return { cut: true, text: cutText(text), media: putMedia(committer, stream, Buffer.from(text), { mimeType }) };
}

function cutText(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= cutTextBytes) return text;
  let end = cutTextBytes;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return `${bytes.toString('utf8', 0, end)}…`;
}
