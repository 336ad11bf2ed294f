import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { type Clock, GatewayError, operatorScopes } from '@openclaw/protocol';
import type { Documents } from '../streams/documents.ts';
import type { AuthOptions, NamedToken } from './access-options.ts';
import type { Identity } from './peer.ts';

/** A token that was made for a role and an id, or is named in the options. */
export interface TokenGrant {
  role: 'operator' | 'agent' | 'channel';
  id: string;
  scopes: readonly string[];
  issuedAtMs: number;
}

/** A token as others may see it. */
export interface ListedToken extends TokenGrant {
  tokenId: string;
  source: 'made' | 'config';
}

/** A token that was given and is valid. */
export interface VerifiedToken {
  grant: TokenGrant;
  hash: string;
}

const tokenKind = 'token';
const codeKind = 'bootstrap-code';
/** A code is for a link or a phone that someone opens now. */
const codeLifeMs = 10 * 60_000;
/** The beginning of a hash names its token: long enough that no two are alike. */
const tokenIdLength = 16;
const maxCodes = 1_000;

/** Tokens and one-use codes: made here, shown once, kept as hashes only; and the tokens that the options name. */
export class Credentials {
  readonly #documents: Documents;
  readonly #clock: Clock;
  #named: { grant: TokenGrant; hash: Buffer }[] = [];
  /** Who made a code, by its hash. A restart forgets it: then the ten minutes alone are its end. */
  readonly #makers = new Map<string, CodeMaker>();

  constructor({ documents, clock }: { documents: Documents; clock: Clock }) {
    this.#documents = documents;
    this.#clock = clock;
  }

  /** Takes the tokens of the options into use, in place of those before; checked by {@link assertNamedTokens}. */
  useNamed(tokens: readonly NamedToken[]): void {
    const before = this.#named;
    this.#named = tokens.map(({ name, token, scopes }) => {
      const hash = Buffer.from(namedHash(token), 'hex');
      const known = before.find((other) => other.hash.equals(hash));
      const issuedAtMs = known?.grant.issuedAtMs ?? this.#clock.now();
      return { hash, grant: { role: 'operator', id: name, scopes: [...scopes], issuedAtMs } };
    });
  }

  /**
   * Makes a token for a role and an id: 43 characters base64url, good until it is revoked. The change is part of this tick's
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
    this.#assertId(role, id);
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

  #assertId(role: TokenGrant['role'], id: string): void {
    const isOther = role === 'operator' && (isReserved(id) || this.#named.some(({ grant }) => grant.id === id));
    if (id === '' || isOther) {
      throw new GatewayError(
        'INVALID_REQUEST',
        `"${id}" can't be the id of an ${role} token; choose another name without "/".`,
      );
    }
    if (role === 'channel' && !isChannelId(id)) {
      throw new GatewayError(
        'INVALID_REQUEST',
        `"${id}" can't be the id of a channel token; it is a channel and an account, such as "telegram/main".`,
      );
    }
  }

  /** An id for the token of a page that came in by a code. */
  pageId(): string {
    return `page-${randomBytes(6).toString('hex')}`;
  }

  /** What a token allows, made or named; undefined for any other text. */
  verifyToken(token: string): TokenGrant | undefined {
    return this.verify(token)?.grant;
  }

  /** The same with what the token is known by. */
  verify(token: string): VerifiedToken | undefined {
    if (token === '') return undefined;
    const hash = hashSecret(token);
    const grant = this.grantOf(hash);
    return grant && { grant, hash };
  }

  /** What the token with this hash allows now; undefined when it is gone. */
  grantOf(hash: string): TokenGrant | undefined {
    const given = Buffer.from(hash, 'hex');
    let found: TokenGrant | undefined;
    for (const { grant, hash: named } of this.#named) if (timingSafeEqual(named, given)) found = grant;
    return found ?? this.#documents.get<TokenGrant>(tokenKind, hash);
  }

  /** Every token that works, oldest first, without its text. */
  list(): ListedToken[] {
    const made = this.#documents
      .entries<TokenGrant>(tokenKind)
      .map(([hash, grant]): ListedToken => ({ ...grant, tokenId: hash.slice(0, tokenIdLength), source: 'made' }));
    const named = this.#named.map(
      ({ grant, hash }): ListedToken => ({
        ...grant,
        tokenId: hash.toString('hex').slice(0, tokenIdLength),
        source: 'config',
      }),
    );
    return [...made, ...named].sort((a, b) => a.issuedAtMs - b.issuedAtMs);
  }

  /**
   * Takes a made token out of use with this tick's commit; what it allowed, or undefined when there is none. Throws
   * `INVALID_REQUEST` for one that the options name.
   */
  revoke(tokenId: string): TokenGrant | undefined {
    if (this.#named.some(({ hash }) => hash.toString('hex').slice(0, tokenIdLength) === tokenId)) {
      throw new GatewayError(
        'INVALID_REQUEST',
        `The token ${tokenId} is named in the configuration; take it out there.`,
      );
    }
    const found = this.#documents
      .entries<TokenGrant>(tokenKind)
      .find(([hash]) => hash.slice(0, tokenIdLength) === tokenId);
    if (!found) return undefined;
    this.#documents.set(tokenKind, found[0], undefined);
    return found[1];
  }

  /** Makes a code that lets one page or device in, once, within ten minutes. Default scopes: all of an operator. */
  createBootstrapCode({ scopes = operatorScopes }: { scopes?: readonly string[] } = {}): string {
    return this.createCode({ scopes }).code;
  }

  /** The same with its name for the audit trail and its end, in ms since 1970; of a client's, it dies with its maker's right. */
  createCode({ scopes, maker }: { scopes: readonly string[]; maker?: CodeMaker }): {
    code: string;
    setupId: string;
    expiresAtMs: number;
  } {
    this.#dropOldCodes();
    const code = randomToken();
    if (maker) this.#makers.set(hashSecret(code), maker);
    const expiresAtMs = this.#clock.now() + codeLifeMs;
    this.#documents.set(codeKind, hashSecret(code), { expiresAtMs, scopes: [...scopes] } satisfies BootstrapCode);
    return { code, setupId: tokenIdOf(code), expiresAtMs };
  }

  #dropOldCodes(): void {
    const codes = this.#documents.entries<BootstrapCode>(codeKind);
    const nowMs = this.#clock.now();
    const surplus = codes.length - maxCodes + 1;
    for (const [index, [id, { expiresAtMs }]] of codes.entries()) {
      if (expiresAtMs <= nowMs || index < surplus) this.#dropCode(id);
    }
  }

  /** The scopes that a code gives, without using it up; undefined when it is unknown, used or too old. */
  codeScopes(code: string): readonly string[] | undefined {
    const known = this.#documents.get<BootstrapCode>(codeKind, hashSecret(code));
    return known && known.expiresAtMs > this.#clock.now() ? known.scopes : undefined;
  }

  /** Who made a code; undefined where that is not known (any more), or no client did. */
  codeMaker(code: string): CodeMaker | undefined {
    return this.#makers.get(hashSecret(code));
  }

  /** Takes a code out of use; false when another was faster, or its time is over. */
  useCode(code: string): boolean {
    if (!this.codeScopes(code)) return false;
    this.#dropCode(hashSecret(code));
    return true;
  }

  #dropCode(hash: string): void {
    this.#makers.delete(hash);
    this.#documents.set(codeKind, hash, undefined);
  }
}

/** Who made a code, as far as it counts for the code: it is worth no more than its maker. */
export type CodeMaker = Pick<Identity, 'credential' | 'deviceId'>;

interface BootstrapCode {
  expiresAtMs: number;
  scopes: readonly string[];
}

/** Refuses tokens of the options that could not be told apart or are too short to be secret. */
export function assertNamedTokens(tokens: readonly NamedToken[], auth: AuthOptions): void {
  const names = new Set<string>();
  const hashes = new Set<string>();
  const shared = auth.mode === 'token' ? [auth.token, auth.password] : auth.mode === 'password' ? [auth.password] : [];
  const sharedHashes = new Set(shared.flatMap((secret) => (secret ? [hashSecret(secret)] : [])));
  for (const { name, token } of tokens) {
    if (isReserved(name) || names.has(name)) {
      throw new GatewayError('INVALID_REQUEST', `"${name}" can't name a token; choose another name without "/".`);
    }
    const isHash = token.startsWith('sha256:');
    if (isHash ? !/^sha256:[0-9a-f]{64}$/i.test(token) : token.length < 16) {
      throw new GatewayError(
        'INVALID_REQUEST',
        `The token named "${name}" has to have 16 characters at least, or be "sha256:" and the 64 hex digits of its hash.`,
      );
    }
    const hash = namedHash(token);
    if (hashes.has(hash)) {
      throw new GatewayError('INVALID_REQUEST', `The token named "${name}" is the same as another; make it another.`);
    }
    if (sharedHashes.has(hash)) {
      throw new GatewayError(
        'INVALID_REQUEST',
        `The token named "${name}" is the shared secret, which may do everything; make it another.`,
      );
    }
    names.add(name);
    hashes.add(hash);
  }
}

/** Names that are other principals'. */
function isReserved(name: string): boolean {
  return name === '' || name === 'shared' || name === 'none' || name.includes('/') || name.length > 256;
}

function isChannelId(id: string): boolean {
  return /^[a-z0-9][\w.-]{0,63}\/[^\s/\p{Cc}\p{Surrogate}]{1,128}$/u.test(id);
}

function namedHash(token: string): string {
  return token.startsWith('sha256:') ? token.slice('sha256:'.length).toLowerCase() : hashSecret(token);
}

/** 32 random bytes as 43 characters base64url. */
export function randomToken(): string {
  return randomBytes(32).toString('base64url');
}

/** The name of a token where its text must not be shown: the beginning of its hash. */
export function tokenIdOf(token: string): string {
  return hashSecret(token).slice(0, tokenIdLength);
}

/** What is kept of a secret with 256 bits of its own: a plain hash can't be turned back. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
