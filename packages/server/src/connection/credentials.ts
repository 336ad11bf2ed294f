import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { type Clock, GatewayError, operatorScopes } from '@openclaw/protocol';
import type { Documents } from '../streams/documents.ts';
import type { AuthOptions } from './access-options.ts';

/** A token that was made for a role and an id. */
export interface TokenGrant {
  role: 'operator' | 'agent' | 'channel';
  id: string;
  scopes: readonly string[];
  issuedAtMs: number;
}

const tokenKind = 'token';
const codeKind = 'bootstrap-code';
/** A code is for a link that someone opens now. */
const codeLifeMs = 10 * 60_000;

/** Tokens and one-use codes: made here, shown once, kept as hashes only. */
export class Credentials {
  readonly #documents: Documents;
  readonly #clock: Clock;

  constructor({ documents, clock }: { documents: Documents; clock: Clock }) {
    this.#documents = documents;
    this.#clock = clock;
  }

  /**
   * Makes a token for a role and an id: 43 characters base64url, good until it is deleted. The change is part of this tick's
   * commit; show the token after it. Scopes are for operators; default `operator.read`. Throws `INVALID_REQUEST` for an id
   * that could be taken for another principal.
   */
  createToken({
    role,
    id,
    scopes,
  }: {
    role: TokenGrant['role'];
    id: string;
    scopes?: readonly string[];
  }): { token: string; tokenId: string } & TokenGrant {
    if (id === '' || (role === 'operator' && (id === 'shared' || id === 'none' || id.includes('/')))) {
      throw new GatewayError(
        'INVALID_REQUEST',
        `"${id}" can't be the id of an ${role} token; choose another name without "/".`,
      );
    }
    const token = randomToken();
    const grant: TokenGrant = {
      role,
      id,
      scopes: role === 'operator' ? [...(scopes ?? ['operator.read'])] : [],
      issuedAtMs: this.#clock.now(),
    };
    this.#documents.set(tokenKind, hashSecret(token), grant);
    return { token, tokenId: tokenIdOf(token), ...grant };
  }

  /** An id for the token of a page that came in by a code. */
  pageId(): string {
    return `page-${randomBytes(6).toString('hex')}`;
  }

  /** What a token made by `createToken` allows; undefined for any other text. */
  verifyToken(token: string): TokenGrant | undefined {
    return token === '' ? undefined : this.#documents.get<TokenGrant>(tokenKind, hashSecret(token));
  }

  /** Makes a code that lets one page in, once, within ten minutes. Default scopes: all of an operator. */
  createBootstrapCode({ scopes = operatorScopes }: { scopes?: readonly string[] } = {}): string {
    const nowMs = this.#clock.now();
    for (const [id, { expiresAtMs }] of this.#documents.entries<BootstrapCode>(codeKind)) {
      if (expiresAtMs <= nowMs) this.#documents.set(codeKind, id, undefined);
    }
    const code = randomToken();
    this.#documents.set(codeKind, hashSecret(code), { expiresAtMs: nowMs + codeLifeMs, scopes: [...scopes] });
    return code;
  }

  /** Takes a code out of use; its scopes, or undefined when it is unknown, used or too old. */
  redeemBootstrapCode(code: string): readonly string[] | undefined {
    const id = hashSecret(code);
    const known = this.#documents.get<BootstrapCode>(codeKind, id);
    if (!known) return undefined;
    this.#documents.set(codeKind, id, undefined);
    return known.expiresAtMs > this.#clock.now() ? known.scopes : undefined;
  }
}

interface BootstrapCode {
  expiresAtMs: number;
  scopes: readonly string[];
}

/** Whether `given` is the shared token or password. Takes the same time whatever is given. */
export function isSharedSecret(secret: AuthOptions, given: string | undefined): boolean {
  if (given === undefined || given === '' || (secret.mode !== 'token' && secret.mode !== 'password')) return false;
  const known = secret.mode === 'token' ? [secret.token, secret.password] : [secret.password];
  const givenHash = createHash('sha256').update(given).digest();
  let isEqual = false;
  for (const each of known) {
    if (!each) continue;
    if (timingSafeEqual(createHash('sha256').update(each).digest(), givenHash)) isEqual = true;
  }
  return isEqual;
}

/** 32 random bytes as 43 characters base64url. */
export function randomToken(): string {
  return randomBytes(32).toString('base64url');
}

/** The name of a token where its text must not be shown: the beginning of its hash. */
export function tokenIdOf(token: string): string {
  return hashSecret(token).slice(0, 16);
}

/** What is kept of a secret with 256 bits of its own: a plain hash can't be turned back. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
