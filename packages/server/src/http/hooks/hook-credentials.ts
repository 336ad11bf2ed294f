import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import {
  type HookMapping,
  type HookSignature,
  type HooksOptions,
  hashedSecret,
  hookDefaults,
} from './hooks-options.ts';

/** How a request shows that it may come in. */
export type HookProof =
  | { by: 'token' }
  /** `digest` names the signature; with `untilMs` it was made for a time, after which it is of no use (on the wall clock). */
  | { by: 'signature'; digest: string; untilMs?: number };

/** What a request is judged with. */
export interface HookAsked {
  headers: IncomingHttpHeaders;
  hooks: HooksOptions;
  mapping: HookMapping | undefined;
  /** Secrets of the gateway itself. */
  ownSecrets: readonly string[];
  nowMs: number;
}

/** The token of a request, if that could let it in. */
export function proveToken({ headers, hooks, mapping, ownSecrets }: HookAsked): HookProof | undefined {
  const given = tokenOf(headers);
  if (given === undefined || hooks.token === undefined) return undefined;
  const hashed = hashedSecret(given);
  const isOwn = ownSecrets.map((secret) => isSame(given, secret) || isSame(hashed, secret)).includes(true);
  const isRight = isSame(given, hooks.token) && !isOwn;
  // Judged at the end, so that time does not tell which hooks there are.
  return isRight && mapping?.secret === undefined ? { by: 'token' } : undefined;
}

/** Whether the request is signed at all: only then is its body waited for before it is let in. */
export function isSigned({ headers }: Pick<HookAsked, 'headers'>): boolean {
  return headers['x-openclaw-signature'] !== undefined || headers['x-hub-signature-256'] !== undefined;
}

/** The signature of a request over the bytes of its body. Looks at nothing inside of them. */
export function proveSignature(asked: HookAsked, body: Uint8Array): HookProof | undefined {
  const { headers, hooks, mapping, nowMs } = asked;
  // Without a secret it is judged all the same, so that time tells nothing.
  const secret = mapping?.secret ?? hooks.secret;
  const kind: HookSignature = mapping?.signature ?? 'openclaw';
  const timestamp = kind === 'openclaw' ? single(headers['x-openclaw-timestamp']) : undefined;
  const given = single(headers[kind === 'openclaw' ? 'x-openclaw-signature' : 'x-hub-signature-256']) ?? '';
  const hmac = createHmac('sha256', secret ?? 'none');
  if (kind === 'openclaw') hmac.update(`${timestamp ?? ''}.`);
  const isRight = isSame(given.toLowerCase(), `sha256=${hmac.update(body).digest('hex')}`) && secret !== undefined;
  const digest = createHash('sha256').update(`${kind} ${given.toLowerCase()}`).digest('base64url');
  if (kind === 'github') return isRight ? { by: 'signature', digest } : undefined;
  const madeMs = timestampMs(timestamp);
  const { toleranceMs = hookDefaults.toleranceMs } = hooks;
  if (!isRight || madeMs === undefined || Math.abs(nowMs - madeMs) > toleranceMs) return undefined;
  return { by: 'signature', digest, untilMs: madeMs + toleranceMs };
}

function tokenOf(headers: IncomingHttpHeaders): string | undefined {
  const { authorization } = headers;
  if (authorization !== undefined) return /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
  return single(headers['x-openclaw-token']);
}

/** Seconds or milliseconds since 1970. */
function timestampMs(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{9,13}$/.test(header)) return undefined;
  const value = Number(header);
  return value < 1e11 ? value * 1_000 : value;
}

function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? undefined : header;
}

/** In a time that does not tell where they differ. */
function isSame(one: string, other: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(one), hash(other));
}
