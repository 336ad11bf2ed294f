import type { IncomingMessage } from 'node:http';
import { checkValue, findUnsafe } from '@openclaw/protocol';
import type { z } from 'zod';
import { HttpProblem, readBody } from '../route.ts';
import type { Turn } from './content-parts.ts';
import { badRequest } from './problem.ts';

/** Messages of one request. */
export const maxMessages = 1_000;
/** UTF-16 units of an `Idempotency-Key`. */
const maxKeyUnits = 256;

/** A request of either API, checked: whom it asks, in which conversation, and what. */
export interface Asked {
  /** As the caller wrote it. */
  model: string;
  /** The session that it names, if any. */
  user?: string | undefined;
  /** What was said before. */
  earlier: Turn[];
  /** What is to be answered. */
  message: Turn;
  isStreaming: boolean;
}

/** The JSON body of a request, checked by a schema. Throws 413, 415 or 400. */
export async function readRequest<T extends z.ZodType>(
  request: IncomingMessage,
  schema: T,
  maxBytes: number,
): Promise<z.output<T>> {
  // A page may send any other type across origins without asking first.
  if (!/^application\/(.+\+)?json\s*(;|$)/i.test(request.headers['content-type'] ?? ''))
    throw new HttpProblem(415, 'invalid_request_error', 'Send the body as "content-type: application/json".');
  const body = await readBody(request, maxBytes);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw badRequest('The body is no JSON.');
  }
  if (typeof value !== 'object' || value === null) throw badRequest('The body has to be a JSON object.');
  const unsafe = findUnsafe(value);
  if (unsafe !== undefined) throw badRequest(`invalid request: ${unsafe}`);
  const result = checkValue(schema, value);
  if (!result.success) throw badRequest(`invalid request: ${result.problem}`);
  return result.data;
}

/** The `Idempotency-Key` of a request, if it has one. */
export function idempotencyKey({ headers }: IncomingMessage): string | undefined {
  const key = headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key !== 'string' || key.trim() === '' || key.length > maxKeyUnits)
    throw badRequest(`An Idempotency-Key has 1 to ${maxKeyUnits} characters.`);
  return key;
}

/** The session that a request names by header (`x-openclaw-session-key`). */
export function namedSession({ headers }: IncomingMessage): string | undefined {
  const key = headers['x-openclaw-session-key'];
  return typeof key === 'string' && key.trim() !== '' ? key : undefined;
}

/** Throws a 400 for tools of the caller's: there is no way to run them. */
export function refuseTools(...lists: unknown[]): void {
  if (lists.every((list) => !Array.isArray(list) || list.length === 0)) return;
  throw badRequest('`tools` are not supported: the agent uses its own. Leave the field out, or send an empty list.');
}

/** The turns of a request taken apart; the last one has to be the user's. */
export function splitTurns(turns: Turn[]): { earlier: Turn[]; message: Turn } {
  const message = turns.at(-1);
  if (message?.role !== 'user')
    throw badRequest('The last message has to be one of the role `user`: it is what is answered.');
  return { earlier: turns.slice(0, -1), message };
}
