import { createHash } from 'node:crypto';
import { type ContentBlock, GatewayError, type Message } from '@openclaw/protocol';
import { attachmentLimits } from '../connection/limits.ts';
import type { Committer } from '../streams/committer.ts';

type MediaReference = Extract<ContentBlock, { type: 'media' }>['media'];

/** UTF-8 bytes of JSON that one message, or the fields of one part, take in an event (S5); what is beyond is cut. */
const maxEventBytes = 192 * 1024;
/** UTF-16 units of a cut text that stay in the event. */
const cutUnits = 8_000;
/** Blocks of one message: its newest. */
const maxBlocks = 500;

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
  committer.grew(bytes.length);
  return { id, mimeType, sizeBytes: bytes.length, ...named };
}

/** A file of a request: its bytes as base64, or the id of an upload. */
export interface Attachment {
  mimeType?: string | undefined;
  fileName?: string | undefined;
  type?: string | undefined;
  content?: unknown;
  mediaId?: string | undefined;
}

/** A file of a request that names bytes which the gateway has. */
export interface NamedFile {
  mediaId: string;
  fileName?: string | undefined;
}

/** The attachments of a request, decoded where they bring bytes; throws INVALID_REQUEST as {@link decodeAttachments} does. */
export function attachedFiles(
  attachments: readonly Attachment[],
): (ReturnType<typeof decodeAttachments>[number] | NamedFile)[] {
  return attachments.map((attachment, index) => {
    const { mediaId, fileName, content } = attachment;
    if (mediaId === undefined) return decodeAttachment(attachment, index);
    const refuse = (what: string) =>
      new GatewayError('INVALID_REQUEST', `invalid chat.send params: at /attachments/${index}/${what}`);
    if (content !== undefined) throw refuse('content: name an upload by mediaId or send content, not both');
    if (!/^[0-9a-f]{64}$/.test(mediaId)) throw refuse('mediaId: must be the id that POST /media answered with');
    return { mediaId, fileName };
  });
}

/** Decodes the attachments of a request; throws INVALID_REQUEST for what is no base64 or too large. */
export function decodeAttachments(
  attachments: readonly Attachment[],
): { bytes: Buffer; mimeType: string; fileName?: string | undefined }[] {
  return attachments.map(decodeAttachment);
}

function decodeAttachment(
  { mimeType = 'application/octet-stream', fileName, content }: Attachment,
  index: number,
): { bytes: Buffer; mimeType: string; fileName?: string | undefined } {
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
}

/** The message within the limits of an event (S5): what is too long is cut, texts are kept whole as media. */
export function fitMessage(committer: Committer, stream: string, message: Message): Message {
  const blocks = message.content.slice(-maxBlocks);
  let budget = maxEventBytes;
  const content = blocks.map((block, index): ContentBlock => {
    // Every later block has its mark at least.
    const reserved = (blocks.length - index - 1) * 256;
    const size = jsonBytes(block);
    const fitted = size <= budget - reserved ? block : cutBlock(committer, stream, block, budget - reserved);
    budget -= fitted === block ? size : jsonBytes(fitted);
    return fitted;
  });
  return { ...message, content };
}

function cutBlock(committer: Committer, stream: string, block: ContentBlock, bytes: number): ContentBlock {
  switch (block.type) {
    case 'text': {
      const media = putMedia(committer, stream, Buffer.from(block.text), { mimeType: textType });
      return { ...block, text: cutText(block.text, bytes - 512), cut: true, media };
    }
    case 'thinking':
      return { ...block, thinking: cutText(block.thinking, bytes - 256), cut: true };
    case 'toolResult':
      return { ...block, content: cutText(asText(block.content), bytes - 256), cut: true };
    case 'toolCall':
      return { ...block, arguments: cutText(asText(block.arguments), bytes - 256) };
    case 'media':
      return block;
  }
}

/**
 * What a tool or a question says, within the limits of an event: as it is, or its long fields cut with the whole kept as
 * media.
 */
export function fitFields<T extends object>(
  committer: Committer,
  stream: string,
  fields: T,
  names: readonly (keyof T)[],
): T {
  if (jsonBytes(fields) <= maxEventBytes) return fields;
  const fitted = { ...fields };
  for (const name of names) {
    const value = fields[name];
    if (value === undefined || jsonBytes(value) <= 4 * cutUnits) continue;
    const isText = typeof value === 'string';
    const media = putMedia(committer, stream, Buffer.from(asText(value)), {
      mimeType: isText ? textType : 'application/json',
    });
    fitted[name] = { cut: true, text: cutText(asText(value), 4 * cutUnits), media } as T[keyof T];
  }
  return fitted;
}

const textType = 'text/plain; charset=utf-8';

function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value) ?? '');
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

/** The beginning of a text, with a mark, in at most `maxBytes` of JSON: control characters take six bytes each. */
function cutText(text: string, maxBytes: number): string {
  let end = Math.max(0, Math.min(cutUnits, maxBytes, text.length));
  while (end > 0 && jsonBytes(text.slice(0, end)) > maxBytes) end = Math.floor(end / 2);
  return end === 0 ? '' : `${text.slice(0, end).toWellFormed()}…`;
}
