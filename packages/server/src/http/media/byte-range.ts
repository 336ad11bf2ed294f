/** A stretch of bytes, both ends included. */
export interface ByteRange {
  first: number;
  last: number;
}

/**
 * What a `Range` header asks for of `sizeBytes`: one stretch, `whole` when there is none that could be served (several, other
 * units, nonsense: RFC 9110 lets a server ignore them), or `outside`.
 */
export function byteRange(header: string | undefined, sizeBytes: number): ByteRange | 'whole' | 'outside' {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.replaceAll(' ', '') ?? '');
  if (!match) return 'whole';
  const [, from = '', to = ''] = match;
  if (from === '' && to === '') return 'whole';
  if (from === '') {
    const count = Math.min(Number(to), sizeBytes);
    return count === 0 ? 'outside' : { first: sizeBytes - count, last: sizeBytes - 1 };
  }
  if (to !== '' && Number(to) < Number(from)) return 'whole';
  if (Number(from) >= sizeBytes) return 'outside';
  return { first: Number(from), last: to === '' ? sizeBytes - 1 : Math.min(Number(to), sizeBytes - 1) };
}
