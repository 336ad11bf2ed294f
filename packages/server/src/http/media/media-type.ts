/** The first bytes of a file that are needed to tell what it is. */
export const sniffBytes = 32;

export const unknownType = 'application/octet-stream';

const typePattern = /^([a-z0-9!#$&^_.+-]{1,100}\/[a-z0-9!#$&^_.+-]{1,100})\s*(?:;|$)/i;
const charsetPattern = /;\s*charset="?([\w.:-]{1,40})"?/i;

/**
 * A `content-type` header in its plain form: lower case, with the character set of a text and no other parameter. What
 * is no type, and what programs send when nobody told them the type, is unknown.
 */
export function plainType(header: string | undefined): string {
  const essence = typePattern.exec(header ?? '')?.[1]?.toLowerCase();
  if (essence === undefined || essence === 'application/x-www-form-urlencoded') return unknownType;
  const charset = essence.startsWith('text/') ? charsetPattern.exec(header ?? '')?.[1]?.toLowerCase() : undefined;
  return charset === undefined ? essence : `${essence}; charset=${charset}`;
}

/** How files begin: bytes in Latin-1, `?` for any. A second mark is looked for at the given place. */
const marks: readonly (readonly [type: string, mark: string, at?: number])[] = [
  ['image/png', '\x89PNG\r\n\x1a\n'],
  ['image/jpeg', '\xff\xd8\xff'],
  ['image/gif', 'GIF87a'],
  ['image/gif', 'GIF89a'],
  ['image/webp', 'RIFF????WEBP'],
  ['image/bmp', 'BM'],
  ['image/tiff', 'II*\0'],
  ['image/tiff', 'MM\0*'],
  ['image/x-icon', '\0\0\x01\0'],
  ['image/avif', 'ftypavif', 4],
  ['image/avif', 'ftypavis', 4],
  ['image/heic', 'ftypheic', 4],
  ['image/heic', 'ftypheix', 4],
  ['image/heif', 'ftypmif1', 4],
  ['application/pdf', '%PDF-'],
  ['application/zip', 'PK\x03\x04'],
  ['application/zip', 'PK\x05\x06'],
];
const sameTypes: Readonly<Record<string, string>> = {
  'image/jpg': 'image/jpeg',
  'image/pjpeg': 'image/jpeg',
  'image/vnd.microsoft.icon': 'image/x-icon',
  'application/x-zip-compressed': 'application/zip',
};
/** A picture in words, which begins as it likes. */
const vectorType = 'image/svg+xml';

/**
 * The type that a file is kept with: as declared where that can be so. Pictures, PDF and ZIP begin in ways of their own; one
 * that does not begin so is of unknown type.
 */
export function fittingType(declared: string, head: Uint8Array): string {
  const type = sameTypes[declared] ?? declared;
  const hasMark = (type.startsWith('image/') && type !== vectorType) || marks.some(([marked]) => marked === type);
  if (!hasMark) return type;
  return marks.some(([marked, mark, at = 0]) => isSame(marked, type) && begins(head, mark, at)) ? type : unknownType;
}

function isSame(marked: string, type: string): boolean {
  return marked === type || (marked === 'image/heif' && type === 'image/heic');
}

function begins(head: Uint8Array, mark: string, at: number): boolean {
  if (head.length < at + mark.length) return false;
  for (let index = 0; index < mark.length; index++) {
    if (mark[index] !== '?' && head[at + index] !== mark.charCodeAt(index)) return false;
  }
  return true;
}

const shownTypes: ReadonlySet<string> = new Set([
  'image/png',
  'image/jpeg',
  'image/gif',
  'image/webp',
  'image/avif',
  'image/bmp',
  'audio/mpeg',
  'audio/mp4',
  'audio/aac',
  'audio/ogg',
  'audio/opus',
  'audio/flac',
  'audio/wav',
  'audio/webm',
  'video/mp4',
  'video/ogg',
  'video/quicktime',
  'video/webm',
  'text/plain',
]);

/** Whether a browser may show the file in its place; anything that could run as a page is saved instead. */
export function isShown(mimeType: string): boolean {
  return shownTypes.has(mimeType.split(';', 1)[0] ?? '');
}
