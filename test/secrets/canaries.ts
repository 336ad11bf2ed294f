import { randomBytes } from 'node:crypto';

/** Something that was seen, and where. */
export interface Sight {
  where: string;
  text: string;
}

/** Secrets that were put where secrets are put, each like no other text. */
export class Canaries {
  readonly #secrets = new Map<string, string>();

  /** Makes a secret. It holds characters that addresses and JSON write in another way. */
  make(name: string): string {
    return this.know(name, `${randomBytes(18).toString('base64url')}/${randomBytes(9).toString('hex')}+é`);
  }

  /** The same of letters, digits, - and _ alone, for what is sent in headers. */
  makePlain(name: string): string {
    return this.know(name, randomBytes(33).toString('base64url'));
  }

  /** Takes a secret that the gateway made. */
  know(name: string, secret: string): string {
    if (secret.length < 24) throw new Error(`The secret ${name} has only ${secret.length} characters.`);
    this.#secrets.set(name, secret);
    return secret;
  }

  get names(): string[] {
    return [...this.#secrets.keys()];
  }

  /** Where any of the named secrets can be read, whole, its beginning, or in another writing. */
  found(names: readonly string[], sights: readonly Sight[]): string[] {
    return names.flatMap((name) => {
      const secret = this.#secrets.get(name);
      if (secret === undefined) throw new Error(`There is no secret ${name}.`);
      return sights.flatMap(({ where, text }) =>
        Object.entries(writingsOf(secret)).flatMap(([writing, written]) =>
          text.includes(written) ? [`${name} (${writing}) in ${where}: …${around(text, written)}…`] : [],
        ),
      );
    });
  }

  /** {@link found} for bytes. */
  foundInBytes(names: readonly string[], where: string, bytes: Buffer): string[] {
    return this.found(names, [
      { where, text: bytes.toString('latin1') },
      { where, text: bytes.toString() },
    ]);
  }
}

function writingsOf(secret: string): Record<string, string> {
  const bytes = Buffer.from(secret);
  // Base64 without the end, which depends on what follows; hex in both cases is one text after lower-casing nothing.
  const base64 = bytes.toString('base64').replace(/=+$/, '').slice(0, -4);
  return {
    plain: secret,
    beginning: secret.slice(0, 16),
    base64,
    base64url: base64.replaceAll('+', '-').replaceAll('/', '_'),
    hex: bytes.toString('hex'),
    'upper-case hex': bytes.toString('hex').toUpperCase(),
    'URL-encoded': encodeURIComponent(secret),
  };
}

function around(text: string, part: string): string {
  const at = text.indexOf(part);
  return text.slice(Math.max(0, at - 80), at + 20);
}
