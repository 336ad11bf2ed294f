import {
  agentStream,
  canonicalSessionKey,
  GatewayError,
  type Message,
  type Payload,
  randomId,
  type SessionEntry,
  type SessionRow,
  type SessionState,
  sessionAgentId,
  sessionStream,
} from '@openclaw/protocol';
import type { Documents } from '../streams/documents.ts';
import type { Erasure } from '../streams/erasure.ts';
import type { Stream, StreamLog } from '../streams/stream-log.ts';

/** A session's stream with its state known to be a session's. */
export type SessionStream = Stream & { state: SessionState; committedState: SessionState };

/** What the index keeps of a session. */
export interface IndexedSession {
  entry: SessionEntry;
  hasActiveRun: boolean;
}

export interface SessionsOptions {
  log: StreamLog;
  documents: Documents;
  erasure: Erasure;
  now: () => number;
  agentIds: readonly string[];
  /** The agent of keys that name none. */
  defaultAgentId: string;
}

const indexKind = 'session';

/** Sessions: their streams, their entries, and the index of all of them. */
export class Sessions {
  readonly #log: StreamLog;
  readonly #documents: Documents;
  readonly #erasure: Erasure;
  readonly #now: () => number;
  readonly #agentIds: ReadonlySet<string>;
  readonly #defaultAgentId: string;
  #system: Stream | undefined;

  constructor({ log, documents, erasure, now, agentIds, defaultAgentId }: SessionsOptions) {
    this.#defaultAgentId = defaultAgentId;
    this.#log = log;
    this.#documents = documents;
    this.#erasure = erasure;
    this.#now = now;
    this.#agentIds = new Set(agentIds);
  }

  /** Brings the index's own stream into memory; called once, before anything else. */
  async start(): Promise<void> {
    this.#system = await this.#log.open('system');
  }

  /** The canonical form of a key; throws INVALID_REQUEST for one that is none, and for an agent's id that is none. */
  canonicalKey(key: string, agentId: string = this.#defaultAgentId): string {
    // It would go on as a part of the key, and name a session that the key does not.
    if (agentId.includes(':')) throw this.#unknownAgent(agentId);
    const canonical = canonicalSessionKey(key, agentId);
    if (canonical !== undefined) return canonical;
    throw new GatewayError(
      'INVALID_REQUEST',
      `invalid session key '${key.slice(0, 64)}': use a name such as 'main' or 'agent:main:notes'`,
    );
  }

  /** The stream of a session, brought into memory; empty when the session does not exist. */
  async open(canonicalKey: string): Promise<SessionStream> {
    return (await this.#log.open(sessionStream(canonicalKey))) as SessionStream;
  }

  /** The session's stream as it is now; to be asked after every wait, since the session may have been deleted. */
  current(stream: SessionStream): SessionStream {
    return this.#log.current(stream) as SessionStream;
  }

  /** Throws INVALID_REQUEST when the agent that a key names is not here. */
  requireAgent(canonicalKey: string): string {
    const agentId = sessionAgentId(canonicalKey);
    if (this.#agentIds.has(agentId)) return agentId;
    throw this.#unknownAgent(agentId);
  }

  #unknownAgent(agentId: string): GatewayError {
    return new GatewayError(
      'INVALID_REQUEST',
      `unknown agent id: ${agentId.slice(0, 64)}. This gateway has ${[...this.#agentIds].join(', ')}.`,
      { details: { code: 'UNKNOWN_AGENT_ID' } },
    );
  }

  /** The entry of the session; made with its first event when there is none. */
  ensure(stream: SessionStream, canonicalKey: string, { archived }: { archived?: boolean } = {}): SessionEntry {
    if (stream.state.entry) return stream.state.entry;
    const now = this.#now();
    const entry: SessionEntry = {
      key: canonicalKey,
      sessionId: randomId(),
      agentId: sessionAgentId(canonicalKey),
      createdAt: now,
      updatedAt: now,
      ...(archived ? { archived } : {}),
    };
    const payload: Payload<'session.created'> = { sessionKey: canonicalKey, sessionId: entry.sessionId, entry };
    this.#log.append(stream, 'session.created', payload, { keep: 'fact', durable: true });
    this.changed(stream, 'create');
    return entry;
  }

  /** Adds a message to the transcript. `n` is the emit that brought it, if any. */
  addMessage(stream: SessionStream, entry: SessionEntry, message: Message, n?: number): void {
    const payload: Payload<'session.message'> = {
      sessionKey: entry.key,
      sessionId: entry.sessionId,
      agentId: entry.agentId,
      messageSeq: stream.state.messageCount + 1,
      message,
      ...(n === undefined ? {} : { n }),
    };
    this.#log.append(stream, 'session.message', payload, { keep: 'message', durable: true });
  }

  /** Changes the entry; undefined fields are taken away. */
  update(stream: SessionStream, changes: Partial<SessionEntry>): SessionEntry {
    const entry = { ...(stream.state.entry as SessionEntry), ...changes, updatedAt: this.#now() };
    const payload: Payload<'session.updated'> = { sessionKey: entry.key, sessionId: entry.sessionId, entry };
    this.#log.append(stream, 'session.updated', payload, { keep: 'fact', durable: true });
    this.changed(stream, 'patch');
    return entry;
  }

  /** Starts the transcript anew. The caller has ended the runs. */
  reset(stream: SessionStream): SessionEntry {
    const entry = { ...(stream.state.entry as SessionEntry), updatedAt: this.#now() };
    const payload: Payload<'session.reset'> = { sessionKey: entry.key, sessionId: entry.sessionId, entry };
    this.#log.append(stream, 'session.reset', payload, { keep: 'fact', durable: true });
    this.changed(stream, 'reset');
    return entry;
  }

  /** Erases a session with its stream. The caller has ended the runs. */
  delete(stream: SessionStream): void {
    const { key, agentId } = stream.state.entry as SessionEntry;
    this.#log.delete(stream);
    this.#documents.set(indexKind, key, undefined);
    const payload: Payload<'sessions.changed'> = { sessionKey: key, reason: 'delete', ts: this.#now() };
    this.#log.append(this.#system as Stream, 'sessions.changed', payload);
    this.#erasure.plan(['system', 'approvals', agentStream(agentId)]);
  }

  /** Writes the session into the index and tells the readers of `system`. */
  changed(stream: SessionStream, reason: Payload<'sessions.changed'>['reason']): void {
    const { entry, runs } = stream.state;
    if (!entry) return;
    const hasActiveRun = runs.length > 0;
    this.#documents.set(indexKind, entry.key, { entry, hasActiveRun } satisfies IndexedSession, { durable: false });
    const payload: Payload<'sessions.changed'> = {
      sessionKey: entry.key,
      reason,
      ts: this.#now(),
      entry,
      hasActiveRun,
    };
    this.#log.append(this.#system as Stream, 'sessions.changed', payload);
  }

  get count(): number {
    return this.#documents.count(indexKind);
  }

  /** Whether the session exists. */
  has(canonicalKey: string): boolean {
    return this.#documents.get(indexKind, canonicalKey) !== undefined;
  }

  /** Every session, newest first. */
  list(): IndexedSession[] {
    return this.#documents
      .entries<IndexedSession>(indexKind)
      .map(([, session]) => session)
      .sort((a, b) => b.entry.updatedAt - a.entry.updatedAt);
  }

  find(canonicalKey: string): IndexedSession | undefined {
    return this.#documents.get(indexKind, canonicalKey);
  }

  /** Where to subscribe `system` from, to follow what `list` gave. */
  get position(): { stream: string; epoch: string; offset: number } {
    const system = this.#system as Stream;
    return { stream: system.name, epoch: system.epoch, offset: system.committedHead };
  }

  /** A session as `sessions.*` answer with it. */
  row({ entry, hasActiveRun }: IndexedSession): SessionRow {
    const runs = this.#log.peek(sessionStream(entry.key))?.state as SessionState | undefined;
    return {
      ...entry,
      kind: 'direct',
      ...(entry.label === undefined ? {} : { displayName: entry.label }),
      status: hasActiveRun ? 'running' : 'done',
      hasActiveRun,
      ...(hasActiveRun && runs ? { activeRunIds: runs.runs.map(({ runId }) => runId) } : {}),
    };
  }
}
