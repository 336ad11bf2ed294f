import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { HttpProblem } from '../route.ts';
import type { HookProof } from './hook-credentials.ts';
import { fillTemplate, isTemplate, type TemplateValues } from './hook-template.ts';
import { type HookMapping, type HooksOptions, mappingOf, type WakeMode } from './hooks-options.ts';

/** What a hook asks for, whichever door it came through. */
export interface HookRequest {
  action: 'agent' | 'wake';
  /** The hook: the id of its messages' source, whatever a request calls itself. */
  name: string;
  text: string;
  sessionKey: string;
  agentId?: string;
  mode: WakeMode;
  /** What tells this delivery from others; absent: every request is one of its own. */
  key?: string;
}

/** A request that was let in. */
export interface ReadHook extends TemplateValues {
  name: string;
  hooks: HooksOptions;
  proof: HookProof;
  bytes: Uint8Array;
}

/** UTF-16 units of what a template adds to a session key. */
const maxKeyUnits = 200;

/** Refuses bodies that are no JSON by what they say of themselves. */
export function assertJsonType(header: string | undefined): void {
  const essence = header?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (essence === '' || essence === 'application/json' || /^application\/[\w.-]+\+json$/.test(essence)) return;
  const told =
    essence === 'application/x-www-form-urlencoded'
      ? 'A form is not read here; let the sender send application/json (in GitHub: "Content type" of the webhook).'
      : `${essence.slice(0, 64)} is not read here; send application/json.`;
  throw new HttpProblem(415, 'unsupported_media_type', told);
}

/** The body as JSON; throws 400 for what is none. */
export function parseBody(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw invalid('invalid json');
  }
}

/** What the request asks for. Throws 400 for what is missing and 404 for a hook that there is not. */
export function readHook(read: ReadHook, mainSessionKey: string): HookRequest {
  const { name, hooks } = read;
  if (name === 'wake') return wakeRequest(read, mainSessionKey);
  if (name === 'agent') return agentRequest(read);
  const mapping = mappingOf(hooks, name);
  if (!mapping) throw new HttpProblem(404, 'not_found', 'There is no such hook; add it to hooks.mappings.');
  return mappedRequest(read, mapping, mainSessionKey);
}

function wakeRequest(read: ReadHook, mainSessionKey: string): HookRequest {
  const { text, mode = 'now' } = fieldsOf(read.body);
  if (typeof text !== 'string' || text.trim() === '') throw invalid('text required');
  if (mode !== 'now' && mode !== 'next-heartbeat') throw invalid('mode must be now or next-heartbeat');
  return { action: 'wake', name: 'wake', text, sessionKey: mainSessionKey, mode, ...keyOf(read) };
}

function agentRequest(read: ReadHook): HookRequest {
  const { message, name, agentId, sessionKey } = fieldsOf(read.body);
  const { allowRequestSessionKey = false, defaultSessionKey } = read.hooks;
  if (typeof message !== 'string' || message.trim() === '') throw invalid('message required');
  if (agentId !== undefined && typeof agentId !== 'string') throw invalid('agentId must be a string');
  if (name !== undefined && typeof name !== 'string') throw invalid('name must be a string');
  if (sessionKey !== undefined && typeof sessionKey !== 'string') throw invalid('sessionKey must be a string');
  if (sessionKey !== undefined && !allowRequestSessionKey)
    throw invalid('sessionKey is not allowed in a request; set hooks.allowRequestSessionKey to allow it');
  const ofName = name === undefined ? 'hook:agent' : keyBelow('hook:agent', name);
  return {
    action: 'agent',
    name: 'agent',
    text: message,
    sessionKey: sessionKey ?? defaultSessionKey ?? ofName,
    ...(agentId === undefined ? {} : { agentId }),
    mode: 'now',
    ...keyOf(read),
  };
}

function mappedRequest(read: ReadHook, mapping: HookMapping, mainSessionKey: string): HookRequest {
  const { name } = read;
  const { action = 'agent', agentId, mode = 'now' } = mapping;
  const text = fillTemplate(mapping.message, read);
  if (text.trim() === '') throw invalid(`nothing of this event fits the message of the hook ${name}`);
  return {
    action,
    name,
    text,
    sessionKey: mappedKey(read, mapping, action === 'wake' ? mainSessionKey : `hook:${name}`),
    ...(agentId === undefined ? {} : { agentId }),
    mode,
    ...keyOf(read, mapping),
  };
}

function mappedKey(read: ReadHook, { sessionKey }: HookMapping, fallback: string): string {
  if (sessionKey === undefined) return fallback;
  return isTemplate(sessionKey) ? keyBelow(`hook:${read.name}`, fillTemplate(sessionKey, read)) : sessionKey;
}

/** A session key made of what somebody sent: it can't leave the sessions of its hook. */
function keyBelow(prefix: string, given: string): string {
  const plain = given.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '').trim();
  return plain === '' ? prefix : `${prefix}:${plain.slice(0, maxKeyUnits).toWellFormed()}`;
}

/** What tells a delivery from others: what the mapping says, the sender's header, else what was signed. */
function keyOf(read: ReadHook, mapping: HookMapping = { message: '' }): { key?: string } {
  const { headers, proof, bytes } = read;
  const made = mapping.idempotencyKey === undefined ? '' : fillTemplate(mapping.idempotencyKey, read).trim();
  const ofSender = mapping.idempotencyHeader ?? (mapping.signature === 'github' ? 'x-github-delivery' : undefined);
  const given = made || headerOf(headers, 'idempotency-key') || (ofSender && headerOf(headers, ofSender));
  if (given) return { key: `given ${given}` };
  if (proof.by === 'token') return {};
  if (proof.untilMs !== undefined) return { key: `signature ${proof.digest}` };
  return { key: `body ${createHash('sha256').update(bytes).digest('base64url')}` };
}

function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name.toLowerCase()];
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined;
}

function fieldsOf(body: unknown): Record<string, unknown> {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>;
  throw invalid('the body must be a JSON object');
}

function invalid(message: string): HttpProblem {
  return new HttpProblem(400, 'invalid_request_error', message);
}
