import {
  GatewayError,
  mainSessionKey,
  methods,
  type Params,
  randomId,
  type SessionEntry,
  type SessionRow,
} from '@openclaw/protocol';
import { executeOnce } from '../dispatch/keyed.ts';
import { implement, type MethodImplementation } from '../dispatch/method.ts';
import type { IndexedSession } from '../sessions/sessions.ts';
import type { GatewayParts } from './context.ts';
import { eraseSession } from './erase-session.ts';

/** UTF-8 bytes of the rows in one answer. */
const pageBytes = 200 * 1_024;

/** `sessions.*`. */
export function sessionMethods(parts: GatewayParts): MethodImplementation[] {
  const { sessions, intake, projection, clock, ledger } = parts;
  const rowOf = (key: string) => {
    const found = sessions.find(key);
    return found ? sessions.row(found) : undefined;
  };
  /** The entry is not part of the answer that is kept: it would outlive the session (S29). */
  const withEntry = <R extends { key: string; sessionId?: string }>(answer: R): R & { entry?: SessionEntry } => {
    const entry = sessions.find(answer.key)?.entry;
    const isSame = answer.sessionId === undefined || answer.sessionId === entry?.sessionId;
    return entry && isSame ? { ...answer, entry } : answer;
  };
  return [
    implement(methods['sessions.list'], (params, { peer }) => {
      const { limit = 100, offset = 0 } = params;
      const all = sessions.list().filter((session) => matches(session, params));
      const rows = fitRows(all.slice(offset, offset + limit).map((session) => sessions.row(session)));
      const end = offset + rows.length;
      return {
        ts: clock.now(),
        path: '',
        count: rows.length,
        totalCount: all.length,
        limitApplied: limit,
        hasMore: end < all.length,
        nextOffset: end < all.length ? end : null,
        owners: [],
        defaults: {},
        sessions: rows,
        ...(peer.hasStreams ? { position: sessions.position } : {}),
      };
    }),
    implement(methods['sessions.create'], async (params, call) => {
      const key = sessions.canonicalKey(params.key ?? randomId(8), params.agentId);
      sessions.requireAgent(key);
      const stream = sessions.current(await sessions.open(key));
      const answer = executeOnce(ledger, call, 'sessions.create', params, () => {
        const isNew = stream.state.entry === undefined;
        const { sessionId } = sessions.ensure(stream, key);
        const changes = changesOf(params);
        if (isNew && Object.keys(changes).length > 0) sessions.update(stream, changes);
        return { ok: true as const, key, sessionId };
      });
      return withEntry(answer);
    }),
    implement(methods['sessions.describe'], ({ key }) => ({ session: rowOf(sessions.canonicalKey(key)) ?? null })),
    implement(methods['sessions.patch'], async (params, call) => {
      const key = sessions.canonicalKey(params.key);
      sessions.requireAgent(key);
      const stream = sessions.current(await sessions.open(key));
      const answer = executeOnce(ledger, call, 'sessions.patch', params, () => {
        sessions.ensure(stream, key);
        sessions.update(stream, changesOf(params));
        return { ok: true as const, path: '', key };
      });
      return withEntry(answer);
    }),
    implement(methods['sessions.reset'], async (params, call) => {
      const key = sessions.canonicalKey(params.key);
      sessions.requireAgent(key);
      const stream = sessions.current(await sessions.open(key));
      const answer = executeOnce(ledger, call, 'sessions.reset', params, () => {
        sessions.ensure(stream, key);
        intake.clear(stream);
        sessions.reset(stream);
        return { ok: true as const, key };
      });
      return withEntry(answer);
    }),
    implement(methods['sessions.delete'], async (params, call) => {
      const key = sessions.canonicalKey(params.key);
      if (key === sessions.canonicalKey(mainSessionKey)) {
        throw new GatewayError(
          'INVALID_REQUEST',
          'the main session can not be deleted; use sessions.reset to start it anew.',
        );
      }
      const stream = sessions.current(await sessions.open(key));
      return executeOnce(ledger, call, 'sessions.delete', params, () => {
        const isThere = stream.state.entry !== undefined && !stream.isDeleted;
        if (isThere) eraseSession(parts, stream, key);
        return { ok: true as const, key, deleted: isThere, archived: [] };
      });
    }),
    implement(methods['sessions.subscribe'], (_params, { peer }) => {
      projection.subscribeSessions(peer);
      return { subscribed: true };
    }),
    implement(methods['sessions.unsubscribe'], (_params, { peer }) => {
      projection.unsubscribeSessions(peer);
      return { subscribed: false };
    }),
    implement(methods['sessions.messages.subscribe'], ({ key }, { peer }) => {
      projection.subscribeMessages(peer, sessions.canonicalKey(key));
      return { subscribed: true, key };
    }),
    implement(methods['sessions.messages.unsubscribe'], ({ key }, { peer }) => {
      projection.unsubscribeMessages(peer, sessions.canonicalKey(key));
      return { subscribed: false, key };
    }),
  ];
}

function matches({ entry }: IndexedSession, { search, agentId, archived = false }: Params<'sessions.list'>): boolean {
  if ((entry.archived ?? false) !== archived) return false;
  if (agentId !== undefined && entry.agentId !== agentId) return false;
  if (search === undefined) return true;
  const text = `${entry.key} ${entry.label ?? ''}`.toLowerCase();
  return text.includes(search.toLowerCase());
}

function fitRows(rows: SessionRow[]): SessionRow[] {
  let bytes = 0;
  const end = rows.findIndex((row) => {
    bytes += Buffer.byteLength(JSON.stringify(row));
    return bytes > pageBytes;
  });
  return end < 0 ? rows : rows.slice(0, Math.max(1, end));
}

/** What a patch changes: null takes a field away. */
function changesOf(params: Omit<Params<'sessions.patch'>, 'key' | 'idempotencyKey'>): Partial<SessionEntry> {
  const changes: Record<string, unknown> = {};
  for (const field of ['label', 'model', 'thinkingLevel', 'queueMode', 'archived', 'pinned'] as const) {
    if (params[field] !== undefined) changes[field] = params[field] ?? undefined;
  }
  return changes as Partial<SessionEntry>;
}
