import type { WireError } from './errors.ts';

/** The wire protocol's number. Additions do not move it. */
export const protocolVersion = 4;

/** The capability that negotiates S5–S12, range frames and the 4xxx close codes (S4). */
export const streamsCapability = 'streams';

/** Frames to a connection with `streams` stay within this many bytes (S22). */
export const maxStreamFrameBytes = 256 * 1024;

/** A request from a client. */
export interface RequestFrame {
  type: 'req';
  id: string;
  method: string;
  params?: unknown;
  traceparent?: string;
}

/** The answer to the request with the same `id`; `agent` alone answers twice. */
export interface ResponseFrame {
  type: 'res';
  id: string;
  ok: boolean;
  payload?: unknown;
  error?: WireError;
}

/**
 * An event. With `stream` and `offset` it is one record of a stream, or, with `from`, all of `from..offset` merged (S5).
 * Without them it is ephemeral or a projection for v4; then `seq` counts per connection.
 */
export interface EventFrame<P = unknown> {
  type: 'event';
  event: string;
  payload: P;
  seq?: number;
  stateVersion?: { presence: number; health: number };
  stream?: string;
  offset?: number;
  from?: number;
}

/** An event frame that belongs to a stream. */
export interface StreamEventFrame<P = unknown> extends EventFrame<P> {
  stream: string;
  offset: number;
}

export type Frame = RequestFrame | ResponseFrame | EventFrame;

/** What {@link decodeFrame} found. `id` is the request's id when one could be read, so that the refusal can name it. */
export type Decoded =
  | { ok: true; frame: Frame }
  | { ok: false; problem: 'not-json' | 'not-a-frame' | 'unsafe'; reason: string; id?: unknown };

/** How deep and how wide a received document may be. */
export interface DecodeLimits {
  /** Nesting of objects and arrays. Default 64. */
  maxDepth: number;
  /** Object keys in the whole document. Default 10,000. */
  maxKeys: number;
}

const defaultLimits: DecodeLimits = { maxDepth: 64, maxKeys: 10_000 };
const requestFields: ReadonlySet<string> = new Set([
  'type',
  'id',
  'method',
  'params',
  'traceparent',
  'expectedProfileId',
]);

/**
 * Parses one message and checks its envelope by hand (no schema library on this path). Never throws: what is wrong comes
 * back as `problem` with a reason in words. Refuses documents that are too deep, too wide, or that carry keys which could
 * reach a prototype.
 */
export function decodeFrame(text: string, limits: DecodeLimits = defaultLimits): Decoded {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, problem: 'not-json', reason: 'the message is not JSON' };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { ok: false, problem: 'not-a-frame', reason: 'at root: must be object' };
  }
  const frame = value as Record<string, unknown>;
  const unsafe = findUnsafe(frame, limits);
  if (unsafe !== undefined) return { ok: false, problem: 'unsafe', reason: unsafe, id: frame.id };
  const reason = envelopeProblem(frame);
  if (reason !== undefined) return { ok: false, problem: 'not-a-frame', reason, id: frame.id };
  return { ok: true, frame: frame as unknown as Frame };
}

function envelopeProblem(frame: Record<string, unknown>): string | undefined {
  switch (frame.type) {
    case 'req': {
      if (typeof frame.id !== 'string' || frame.id === '') return 'at /id: must be a non-empty string';
      if (frame.id.length > 256) return 'at /id: must not have more than 256 characters';
      if (typeof frame.method !== 'string' || frame.method === '') return 'at /method: must be a non-empty string';
      const traceparent = frame.traceparent;
      if (traceparent !== undefined && (typeof traceparent !== 'string' || traceparent.length > 128)) {
        return 'at /traceparent: must be a string of at most 128 characters';
      }
      for (const key in frame) {
        if (!requestFields.has(key)) return `at root: unexpected property '${key.slice(0, 64)}'`;
      }
      return undefined;
    }
    case 'res':
      if (typeof frame.id !== 'string' || frame.id === '') return 'at /id: must be a non-empty string';
      return typeof frame.ok === 'boolean' ? undefined : 'at /ok: must be boolean';
    case 'event':
      return typeof frame.event === 'string' && frame.event !== ''
        ? undefined
        : 'at /event: must be a non-empty string';
    default:
      return 'at /type: must be one of req, res, event';
  }
}

/**
 * What makes a parsed document unsafe to work with: too deep, too wide, or a key that could reach a prototype; undefined when
 * nothing does. Walks without recursion, so that a hostile document can't exhaust the stack.
 */
export function findUnsafe(root: object, limits: DecodeLimits = defaultLimits): string | undefined {
  let level: object[] = [root];
  let keyCount = 0;
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > limits.maxDepth) return `at root: nested deeper than ${limits.maxDepth}`;
    const next: object[] = [];
    for (const node of level) {
      if (Array.isArray(node)) {
        for (const child of node) if (typeof child === 'object' && child !== null) next.push(child);
        continue;
      }
      for (const key in node) {
        if (++keyCount > limits.maxKeys) return `at root: more than ${limits.maxKeys} keys`;
        if (key === '__proto__' || key === 'constructor' || key === 'prototype') {
          return `at root: the key '${key}' is not allowed`;
        }
        const child = (node as Record<string, unknown>)[key];
        if (typeof child === 'object' && child !== null) next.push(child);
      }
      // `__proto__` in JSON becomes an own key that `for in` shows; an inherited one never comes from JSON.parse.
    }
    level = next;
  }
  return undefined;
}
