import { GatewayError, type HelloOk, methods, type PresenceEntry, type Result } from '@openclaw/protocol';
import { implement, type MethodImplementation } from '../dispatch/method.ts';
import type { GatewayParts } from './context.ts';

/** What the system methods need beside the parts. */
export interface SystemFacts {
  version: string;
  bootId: string;
  uptimeMs(): number;
  connectionCount(): number;
  presence(): PresenceEntry[];
  health(): HelloOk['snapshot']['health'];
}

/** `health`, `status`, `ping` and what else tells how the gateway is; media. */
export function systemMethods(parts: GatewayParts, facts: SystemFacts): MethodImplementation[] {
  const { clock, sessions, openRuns, committer, agents, store } = parts;
  return [
    implement(methods.health, () => facts.health()),
    implement(methods.ping, () => ({ ts: clock.now() })),
    implement(methods.status, () => ({
      version: facts.version,
      bootId: facts.bootId,
      uptimeMs: facts.uptimeMs(),
      phase: parts.phase(),
      connections: facts.connectionCount(),
      sessions: sessions.count,
      runs: openRuns.count,
      store: { ok: committer.failure === undefined, commits: committer.commitCount, events: committer.eventCount },
    })),
    implement(methods['system-presence'], () => facts.presence()),
    implement(methods['agents.list'], (_params, { peer }) => ({
      defaultId: parts.defaultAgentId,
      mainKey: 'main',
      scope: 'per-sender',
      // v4's rows are closed and do not know `attached`.
      agents: peer.hasStreams ? agents.list() : agents.list().map(({ attached: _attached, ...row }) => row),
    })),
    implement(methods['models.list'], () => ({ models: agents.models })),
    implement(methods['media.read'], async ({ id, at = 0, maxBytes = 131_072 }): Promise<Result<'media.read'>> => {
      const page = await store.readMedia(id, at, maxBytes);
      if (!page)
        throw new GatewayError('INVALID_REQUEST', `no media ${id}: its session was deleted, or the id is wrong.`);
      const { mimeType, sizeBytes, fileName, bytes } = page;
      return {
        media: { id, mimeType, sizeBytes, ...(fileName === undefined ? {} : { fileName }) },
        at,
        bytes: Buffer.from(bytes).toString('base64'),
        isLast: at + bytes.length >= sizeBytes,
      };
    }),
  ];
}
