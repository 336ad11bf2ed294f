/** UTF-16 units of a name that are kept. */
const maxNameUnits = 200;

/** A name as it may be kept: its last part only, without what steers a terminal or a file system. Undefined when nothing is left. */
export function safeFileName(name: string | null | undefined): string | undefined {
  if (!name) return undefined;
  const last = name.toWellFormed().split(/[/\\]/).at(-1) ?? '';
  // Formatting characters turn the reading around: `exe.png` from `gnp.exe`.
  const plain = last.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '').trim();
  if (plain === '' || plain === '.' || plain === '..') return undefined;
  if (plain.length <= maxNameUnits) return plain;
  const ending = /\.\w{1,10}$/.exec(plain)?.[0] ?? '';
  return `${plain.slice(0, maxNameUnits - ending.length)}${ending}`.toWellFormed();
}

/** The name in a `content-disposition` header; the extended form counts before the plain one (RFC 6266). */
export function fileNameOf(disposition: string | undefined): string | undefined {
  if (!disposition) return undefined;
  const extended = /;\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]+)/i.exec(disposition)?.[1];
  if (extended !== undefined) {
    try {
      return safeFileName(decodeURIComponent(extended));
    } catch {
      // Not encoded as it says: the plain form may do.
    }
  }
  const quoted = /;\s*filename\s*=\s*"((?:[^"\\]|\\.)*)"/i.exec(disposition)?.[1]?.replace(/\\(.)/g, '$1');
  return safeFileName(quoted ?? /;\s*filename\s*=\s*([^;"\s]+)/i.exec(disposition)?.[1]);
}

/** A `content-disposition` header with a name that any browser can read. */
export function dispositionOf(kind: 'inline' | 'attachment', fileName: string | undefined): string {
  if (fileName === undefined) return kind;
  const plain = fileName.replace(/[^\x20-\x7e]|["\\%]/g, '_');
  const extended = encodeURIComponent(fileName.toWellFormed()).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `${kind}; filename="${plain}"; filename*=UTF-8''${extended}`;
}
