import { createHash } from 'node:crypto';
import { GatewayError, isGatewayError, type MessageSource, randomId } from '@openclaw/protocol';
import { maxWaitingBytes } from '../../dispatch/dispatcher.ts';
import { hashParams } from '../../dispatch/ledger.ts';
import type { GatewayParts } from '../../methods/context.ts';
import { takeMessage } from '../../methods/take-message.ts';
import { HttpProblem } from '../route.ts';
import type { HookRequest } from './hook-request.ts';

/** What a hook's caller is told. */
export type HookAnswer =
  | { ok: true; runId: string }
  | { ok: true; mode: HookRequest['mode']; eventOutcome: 'queued' | 'coalesced' };

/** Does what a hook asks for, and resolves once it is on the disk. Throws `HttpProblem`: 400, 409, 503. */
export async function callHook(
  parts: GatewayParts,
  request: HookRequest,
  traceparent: string | undefined,
): Promise<HookAnswer> {
  if (parts.committer.waitingBytes > maxWaitingBytes) {
    const told = 'The store is behind with writing; nothing was changed. Send the request again.';
    throw new HttpProblem(503, 'unavailable', told, { 'retry-after': '1' });
  }
  try {
    const answer = await (request.action === 'agent'
      ? startRun(parts, request, traceparent)
      : wake(parts, request, traceparent));
    await new Promise<void>((resolve, reject) => parts.committer.release(resolve, reject));
    return answer;
  } catch (error) {
    throw isGatewayError(error) ? problemOf(error) : error;
  }
}

async function startRun(
  parts: GatewayParts,
  request: HookRequest,
  traceparent: string | undefined,
): Promise<{ ok: true; runId: string }> {
  const { name, text, sessionKey, agentId } = request;
  const principal = `hook:${name}`;
  const runId = runIdOf(request);
  await takeMessage(parts, principal, `hooks.${request.action}`, {
    sessionKey,
    agentId,
    message: text,
    idempotencyKey: runId,
    source: sourceOf(request),
    traceparent,
  });
  return { ok: true, runId };
}

async function wake(parts: GatewayParts, request: HookRequest, traceparent: string | undefined): Promise<HookAnswer> {
  const { mode, text, agentId } = request;
  const { sessions } = parts;
  const sessionKey = sessions.canonicalKey(request.sessionKey, agentId);
  sessions.requireAgent(sessionKey);
  if (mode === 'next-heartbeat') return { ok: true, mode, eventOutcome: leaveNote(parts, request, sessionKey) };
  const stream = sessions.current(await sessions.open(sessionKey));
  const isWaiting = stream.state.inputs.some(
    ({ message: { source, content } }) =>
      source?.kind === 'hook' &&
      source.id === request.name &&
      content.some((block) => block.type === 'text' && block.text === text),
  );
  if (isWaiting && request.key === undefined) return { ok: true, mode, eventOutcome: 'coalesced' };
  await startRun(parts, request, traceparent);
  return { ok: true, mode, eventOutcome: 'queued' };
}

/** A note is executed within its tick: a key is claimed and settled with it. */
function leaveNote(
  { ledger, wakeNotes }: GatewayParts,
  request: HookRequest,
  sessionKey: string,
): 'queued' | 'coalesced' {
  const { name, text } = request;
  const admit = () => wakeNotes.admit(sessionKey, text);
  const add = () => wakeNotes.add(sessionKey, text, sourceOf(request));
  if (request.key === undefined) {
    admit();
    return add();
  }
  const claim = ledger.claim({
    principal: `hook:${name}`,
    method: 'hooks.note',
    key: runIdOf(request),
    paramsHash: hashParams({ sessionKey, text }),
    admit,
  });
  switch (claim.kind) {
    case 'conflict':
      throw keyConflict();
    case 'claimed': {
      const outcome = add();
      ledger.finish(claim.row, JSON.stringify({ payload: { eventOutcome: outcome } }));
      return outcome;
    }
    default: {
      const { payload } = JSON.parse(claim.row.answer ?? '{}') as {
        payload?: { eventOutcome: 'queued' | 'coalesced' };
      };
      return payload?.eventOutcome ?? 'queued';
    }
  }
}

/** The same delivery is the same run; no other principal's key can name it. */
function runIdOf({ name, key }: HookRequest): string {
  if (key === undefined) return `hook-${randomId(16)}`;
  return `hook-${createHash('sha256').update(`${name}\n${key}`).digest('hex').slice(0, 32)}`;
}

function sourceOf({ name }: HookRequest): MessageSource {
  return { kind: 'hook', id: name };
}

function keyConflict(): GatewayError {
  return new GatewayError('INVALID_REQUEST', 'This key came with another request before; send a new one.', {
    details: { code: 'IDEMPOTENCY_CONFLICT' },
  });
}

function problemOf(error: GatewayError): HttpProblem {
  const { code, message, retryable, retryAfterMs = 1_000, details } = error;
  if (details?.code === 'IDEMPOTENCY_CONFLICT') return new HttpProblem(409, 'conflict', message);
  if (code === 'INVALID_REQUEST') return new HttpProblem(400, 'invalid_request_error', message);
  if (!retryable) return new HttpProblem(500, 'api_error', message);
  return new HttpProblem(503, 'unavailable', message, { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) });
}
