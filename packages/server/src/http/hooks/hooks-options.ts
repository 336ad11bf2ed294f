import { createHash } from 'node:crypto';
import { GatewayError } from '@openclaw/protocol';
import type { AccessOptions } from '../../connection/access-options.ts';

/** How a request is signed: `openclaw` over time and body, `github` over the body alone (`x-hub-signature-256`). */
export type HookSignature = 'openclaw' | 'github';

/** What a delivered event of a system outside becomes. Templates are text with `{{path.to.field}}` in it. */
export interface HookMapping {
  /** `agent`: a run of its own. `wake`: a note to a session. Default `agent`. */
  action?: 'agent' | 'wake';
  /** What the agent is told: a template. */
  message: string;
  /**
   * The session: a template. What a template makes stays below `hook:<name>:`; a key without `{{` is taken as it is. Default
   * `hook:<name>`; of a wake, the main session.
   */
  sessionKey?: string;
  /** The agent that answers. Default: the gateway's first. */
  agentId?: string;
  /** Of a wake: whether it starts a run, or goes with the next message. Default `now`. */
  mode?: WakeMode;
  /** Requests must be signed with this one, and nothing else lets them in. At least 16 characters. */
  secret?: string;
  /** How they are signed. Default `openclaw`. */
  signature?: HookSignature;
  /** What tells a delivery from others: a template. Default: the header `Idempotency-Key`, else as below. */
  idempotencyKey?: string;
  /** The header that does so in the sender's own way. Default `x-github-delivery` for the signature `github`. */
  idempotencyHeader?: string;
}

export type WakeMode = 'now' | 'next-heartbeat';

/** Webhooks. Without a token and without a secret there are none: `/hooks/…` answers 404. */
export interface HooksOptions {
  /** Lets requests in, as `Authorization: Bearer` or `x-openclaw-token`. At least 16 characters, and not the gateway's own. */
  token?: string;
  /** Lets requests in that are signed with it. At least 16 characters. */
  secret?: string;
  /** Whether a request to `/hooks/agent` may name its session. Default false. */
  allowRequestSessionKey?: boolean;
  /** The session of a request to `/hooks/agent` that names none. Default `hook:agent`, or `hook:agent:<name>` with a name. */
  defaultSessionKey?: string;
  /** Bytes that a body may have. Default 262,144. */
  maxBodyBytes?: number;
  /** How far the time of a signature may be off, in ms. Default 300,000. */
  toleranceMs?: number;
  /** Hooks by name: `/hooks/<name>`. */
  mappings?: Readonly<Record<string, HookMapping>>;
}

export const hookDefaults = { maxBodyBytes: 262_144, toleranceMs: 300_000 };

const minSecretLength = 16;
const namePattern = /^[a-z0-9][a-z0-9._-]{0,63}$/i;
const reservedNames: ReadonlySet<string> = new Set(['agent', 'wake']);

/** Throws `INVALID_REQUEST` for hooks that can't be served. */
export function assertHooks({ hooks, ...access }: AccessOptions & { hooks?: HooksOptions }): void {
  if (!hooks) return;
  const own = ownSecrets(access);
  const check = (where: string, secret: string | undefined) => {
    if (secret === undefined) return;
    if (secret.length < minSecretLength)
      throw refusal(`${where} has fewer than ${minSecretLength} characters; make one with \`openssl rand -hex 32\`.`);
    if (own.includes(secret) || own.includes(hashedSecret(secret)))
      throw refusal(`${where} is the gateway's own secret; hooks need one of their own.`);
  };
  check('hooks.token', hooks.token);
  check('hooks.secret', hooks.secret);
  for (const [name, mapping] of Object.entries(hooks.mappings ?? {})) {
    const where = `hooks.mappings.${name}`;
    if (!namePattern.test(name) || reservedNames.has(name.toLowerCase()))
      throw refusal(`${where}: a hook is named by letters, digits, '.', '_' and '-', and neither 'agent' nor 'wake'.`);
    if (mapping.message.trim() === '') throw refusal(`${where}.message is empty; write what the agent is told.`);
    check(`${where}.secret`, mapping.secret);
    if (mapping.signature !== undefined && mapping.secret === undefined && hooks.secret === undefined)
      throw refusal(`${where}.signature needs a secret; set ${where}.secret.`);
  }
}

/** Whether any credential lets somebody in. */
export function areHooksOn(hooks: HooksOptions | undefined): hooks is HooksOptions {
  if (!hooks) return false;
  const hasOwn = Object.values(hooks.mappings ?? {}).some(({ secret }) => secret !== undefined);
  return hooks.token !== undefined || hooks.secret !== undefined || hasOwn;
}

/** The mapping of a name that a request gave. */
export function mappingOf({ mappings = {} }: HooksOptions, name: string): HookMapping | undefined {
  return Object.hasOwn(mappings, name) ? mappings[name] : undefined;
}

/** What the settings let operators in with, some of it hashed; never good for a hook. */
export function ownSecrets({ auth, tokens = [] }: AccessOptions): string[] {
  const named = tokens.map(({ token }) => token);
  if (auth.mode === 'token') return [auth.token, ...(auth.password === undefined ? [] : [auth.password]), ...named];
  return auth.mode === 'password' ? [auth.password, ...named] : named;
}

/** A token as settings may name it, hashed. */
export function hashedSecret(secret: string): string {
  return `sha256:${createHash('sha256').update(secret).digest('hex')}`;
}

function refusal(message: string): GatewayError {
  return new GatewayError('INVALID_REQUEST', message);
}
