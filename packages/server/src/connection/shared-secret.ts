import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { AuthOptions } from './access-options.ts';
import { isPasswordHash, PasswordVerifier, type PasswordVerifierOptions, parsePasswordHash } from './password-hash.ts';

/** The token and the password that every operator shares. Either may be given in either field of `connect`. */
export class SharedSecret {
  readonly #passwords: PasswordVerifier;
  readonly #key = randomBytes(32);
  #plain: readonly string[] = [];
  #hashed: readonly string[] = [];
  #marks: ReadonlySet<string> = new Set();

  constructor(auth: AuthOptions, options: PasswordVerifierOptions = {}) {
    this.#passwords = new PasswordVerifier(options);
    this.use(auth);
  }

  /** Refuses a password that is a broken hash: throws `INVALID_REQUEST`. */
  static assert(auth: AuthOptions): void {
    for (const secret of secretsOf(auth)) if (isPasswordHash(secret)) parsePasswordHash(secret);
  }

  /** Takes other secrets into use. */
  use(auth: AuthOptions): void {
    const secrets = secretsOf(auth);
    this.#plain = secrets.filter((secret) => !isPasswordHash(secret));
    this.#hashed = secrets.filter(isPasswordHash);
    this.#marks = new Set(secrets.map((secret) => this.#markOf(secret)));
    this.#passwords.retain(new Set(this.#hashed));
  }

  /** The mark of the plain secret that one of the texts is. Takes the same time whatever is given. */
  matchPlain(given: readonly string[]): string | undefined {
    let found: string | undefined;
    for (const text of given) {
      const hash = createHash('sha256').update(text).digest();
      for (const secret of this.#plain) {
        if (timingSafeEqual(createHash('sha256').update(secret).digest(), hash)) found ??= this.#markOf(secret);
      }
    }
    return found;
  }

  /** The mark of the hashed password that one of the texts is; at once when that is known. Rejects with `UNAVAILABLE`. */
  matchHashed(given: readonly string[]): string | undefined | Promise<string | undefined> {
    const slow: { secret: string; result: Promise<boolean> }[] = [];
    for (const secret of this.#hashed)
      for (const text of given) {
        const result = this.#passwords.verify(secret, text);
        if (result === true) return this.#markOf(secret);
        if (result !== false) slow.push({ secret, result });
      }
    return slow.length === 0 ? undefined : this.#firstOf(slow);
  }

  /** Whether the secret that gave a mark is still in use. */
  isInUse(mark: string): boolean {
    return this.#marks.has(mark);
  }

  async #firstOf(slow: { secret: string; result: Promise<boolean> }[]): Promise<string | undefined> {
    const results = await Promise.all(slow.map(({ result }) => result));
    const index = results.indexOf(true);
    return index === -1 ? undefined : this.#markOf(slow[index]!.secret);
  }

  #markOf(secret: string): string {
    return createHmac('sha256', this.#key).update(secret).digest('base64url').slice(0, 22);
  }
}

function secretsOf(auth: AuthOptions): string[] {
  if (auth.mode === 'password') return [auth.password];
  if (auth.mode !== 'token') return [];
  return auth.password ? [auth.token, auth.password] : [auth.token];
}
