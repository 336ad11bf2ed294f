import { createHash } from 'node:crypto';
import { mainSessionKey } from '@openclaw/protocol';
import type { AccessOptions } from '../../connection/access-options.ts';
import { addressKey } from '../../connection/failed-attempts.ts';
import type { GatewayParts } from '../../methods/context.ts';
import type { AuditNote } from '../../streams/audit-trail.ts';
import { sendJson } from '../responses.ts';
import { type HttpExchange, HttpProblem, type HttpRoute, readBody } from '../route.ts';
import { callHook } from './hook-calls.ts';
import { type HookAsked, type HookProof, isSigned, proveSignature, proveToken } from './hook-credentials.ts';
import { assertJsonType, type HookRequest, parseBody, readHook } from './hook-request.ts';
import { areHooksOn, type HooksOptions, hookDefaults, mappingOf, ownSecrets } from './hooks-options.ts';
import type { UsedSignatures } from './used-signatures.ts';

/** Counts wrong credentials by key, and says how long a key has to wait. */
export interface FailureCount {
  waitMs(keys: readonly string[]): number | undefined;
  note(keys: readonly string[]): void;
  clear(keys: readonly string[]): void;
}

export interface HookRouteOptions {
  /** The settings in use now. */
  settings: () => AccessOptions & { hooks?: HooksOptions };
  failures: FailureCount;
  usedSignatures: UsedSignatures;
  /** Told of everyone who is not let in. */
  note: (entry: AuditNote) => void;
}

/** A request that may come in, with its body where that had to be read for it. */
interface LetIn {
  proof: HookProof;
  bytes?: Buffer;
}

/** `/hooks/wake`, `/hooks/agent` and `/hooks/<name>`: where systems outside tell the agents something. */
export function hookRoutes(parts: GatewayParts, options: HookRouteOptions): HttpRoute[] {
  return [
    {
      path: '/hooks/',
      methods: ['GET', 'POST', 'PUT', 'DELETE'],
      problemBody: ({ message }) => ({ ok: false, error: message }),
      handle: (exchange) => serve(exchange, parts, options),
    },
  ];
}

async function serve(exchange: HttpExchange, parts: GatewayParts, options: HookRouteOptions): Promise<void> {
  const { request, response, path, query, remote, traceparent } = exchange;
  const { hooks, ...access } = options.settings();
  if (!areHooksOn(hooks)) throw new HttpProblem(404, 'not_found', 'Not Found');
  if (request.method !== 'POST')
    throw new HttpProblem(405, 'method_not_allowed', 'Send it by POST.', { allow: 'POST' });
  const name = path.slice('/hooks/'.length);
  const mapping = mappingOf(hooks, name);
  const { headers } = request;
  const asked: HookAsked = { headers, hooks, mapping, ownSecrets: ownSecrets(access), nowMs: parts.clock.now() };
  const isKnown = mapping !== undefined || name === 'wake' || name === 'agent';
  const letIn = await judge(exchange, asked, options, isKnown ? name : 'unknown');
  assertJsonType(headers['content-type']);
  const bytes = letIn.bytes ?? (await readBody(request, maxBodyOf(hooks)));
  const { proof } = letIn;
  const hook = readHook({ name, hooks, proof, bytes, body: parseBody(bytes), headers, query }, mainSessionKey);
  if (!isFirstUse(proof, hook, options.usedSignatures)) {
    const told = 'This signature came with another hook or Idempotency-Key before; sign the request anew.';
    const code = 'SIGNATURE_REUSED';
    options.note({ action: 'hook.refused', actor: `hook:${hook.name}`, remoteIp: remote.address, target: name, code });
    throw new HttpProblem(409, 'conflict', told);
  }
  const answer = await callHook(parts, hook, traceparent);
  sendJson(request, response, 200, answer);
}

/** Binds a signature to the hook and the key that it comes with, before anything is waited for; false when it came with others. */
function isFirstUse(proof: HookProof, { name, key = '' }: HookRequest, usedSignatures: UsedSignatures): boolean {
  if (proof.by !== 'signature' || proof.untilMs === undefined) return true;
  const use = createHash('sha256').update(`${name}\n${key}`).digest('base64url');
  return usedSignatures.claim(proof.digest, { use, untilMs: proof.untilMs });
}

/** Lets a request in, or refuses it without telling whether the hook exists. */
async function judge(
  { request, remote }: HttpExchange,
  asked: HookAsked,
  { failures, note }: HookRouteOptions,
  target: string,
): Promise<LetIn> {
  // The machine's own programs can't be told apart by address; one that is set up wrongly must not lock out the others.
  const keys = remote.isLoopback ? [] : [addressKey(remote.address)];
  const refused = (code: string, problem: HttpProblem): HttpProblem => {
    note({ action: 'hook.refused', actor: 'unknown', remoteIp: remote.address, target, code, reason: problem.message });
    return problem;
  };
  const waitMs = failures.waitMs(keys);
  if (waitMs !== undefined) {
    const told = 'Too many wrong credentials came from this address; wait.';
    const headers = { 'retry-after': String(Math.ceil(waitMs / 1_000)) };
    throw refused('AUTH_RATE_LIMITED', new HttpProblem(429, 'rate_limited', told, headers));
  }
  const byToken = proveToken(asked);
  if (byToken) {
    failures.clear(keys);
    return { proof: byToken };
  }
  if (isSigned(asked)) {
    const bytes = await readBody(request, maxBodyOf(asked.hooks));
    const proof = proveSignature(asked, bytes);
    if (proof) {
      failures.clear(keys);
      return { proof, bytes };
    }
  }
  failures.note(keys);
  throw refused(
    'AUTH_UNAUTHORIZED',
    new HttpProblem(401, 'unauthorized', 'Unauthorized', { 'www-authenticate': 'Bearer' }),
  );
}

function maxBodyOf({ maxBodyBytes = hookDefaults.maxBodyBytes }: HooksOptions): number {
  return maxBodyBytes;
}
