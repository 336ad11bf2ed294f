import type { OperatorScope } from './scopes.ts';

/** The kinds of stream (S1). A stream's kind alone decides who may read it. */
export type StreamKind = 'session' | 'agent' | 'channel' | 'node' | 'system' | 'approvals' | 'pairing' | 'audit';

/** A stream's name taken apart: `id` is empty for the kinds that exist once. */
export interface StreamName {
  kind: StreamKind;
  id: string;
}

const singletons: ReadonlySet<string> = new Set(['system', 'approvals', 'pairing', 'audit']);
const families: ReadonlySet<string> = new Set(['session', 'agent', 'channel', 'node']);

/** Takes `session:agent:main:main` or `system` apart; undefined when it is no stream name. */
export function parseStreamName(name: string): StreamName | undefined {
  if (name.length > 640) return undefined;
  if (singletons.has(name)) return { kind: name as StreamKind, id: '' };
  const colon = name.indexOf(':');
  const kind = name.slice(0, colon);
  if (colon < 1 || colon === name.length - 1 || !families.has(kind)) return undefined;
  return { kind: kind as StreamKind, id: name.slice(colon + 1) };
}

/** The scope that an operator needs to read a stream of `kind`; undefined where operators may not read at all. */
export function streamScope(kind: StreamKind): OperatorScope | undefined {
  switch (kind) {
    case 'session':
    case 'system':
      return 'operator.read';
    case 'approvals':
      return 'operator.approvals';
    case 'pairing':
      return 'operator.pairing';
    case 'audit':
      return 'operator.admin';
    case 'agent':
    case 'channel':
    case 'node':
      return undefined;
  }
}

/** The agent that a gateway without further configuration has. */
export const defaultAgentId = 'main';

/** The short name of the default session. */
export const mainSessionKey = 'main';

/**
 * The canonical form of a session key: `main` becomes `agent:main:main`, `notes` becomes `agent:main:notes`, and a key that
 * already names its agent stays as it is. Undefined for a key that is empty, longer than 512 characters, or holds control
 * characters or halves of surrogate pairs (which no store keeps apart).
 */
export function canonicalSessionKey(key: string, agentId: string = defaultAgentId): string | undefined {
  const trimmed = key.trim();
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
  if (trimmed === '' || trimmed.length > 512 || /[\u0000-\u001f\u007f]|\p{Surrogate}/u.test(trimmed)) return undefined;
  if (!trimmed.startsWith('agent:')) return `agent:${agentId}:${trimmed}`;
  const rest = trimmed.slice('agent:'.length);
  const colon = rest.indexOf(':');
  return colon > 0 && colon < rest.length - 1 ? trimmed : undefined;
}

/** The agent that a canonical session key names. */
export function sessionAgentId(canonicalKey: string): string {
  return canonicalKey.slice('agent:'.length).split(':', 1)[0] ?? defaultAgentId;
}

/** The stream of a session, by its canonical key. */
export function sessionStream(canonicalKey: string): string {
  return `session:${canonicalKey}`;
}

/** The stream of work for an agent. */
export function agentStream(agentId: string): string {
  return `agent:${agentId}`;
}
