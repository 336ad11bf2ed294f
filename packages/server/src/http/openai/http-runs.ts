import { createHash } from 'node:crypto';
import { allowsScope, GatewayError, randomId, sessionAgentId } from '@openclaw/protocol';
import { maxWaitingBytes } from '../../dispatch/dispatcher.ts';
import type { GatewayParts } from '../../methods/context.ts';
import { eraseSession } from '../../methods/erase-session.ts';
import { takeMessage } from '../../methods/take-message.ts';
import type { RunPlace } from '../../runs/run-reader.ts';
import type { HttpCaller } from '../route.ts';
import type { Turn } from './content-parts.ts';
import { badRequest, notFound } from './problem.ts';

/** The API that a run came by; it is the method of its row in the ledger. */
export type HttpApi = 'chat.completions' | 'responses';

/** What is kept of a run that came by HTTP, beside its row in the ledger. */
interface HttpRunRecord {
  sessionKey: string;
  /** A session that was deleted and made again under the same key is another one. */
  sessionId: string;
  /** The offset before its first event. */
  after: number;
  model: string;
  createdAtMs: number;
  /** The run whose session it went on in, if the request named one. */
  previousId?: string;
  /** The session was made for this request alone, which named none. */
  isOwnSession?: true;
}

/** A run that came by HTTP, and where to read it. */
export interface HttpRun extends RunPlace {
  model: string;
  createdAtMs: number;
  previousId: string | undefined;
}

/** A request on its way to become a run. */
export interface NewHttpRun {
  api: HttpApi;
  caller: HttpCaller;
  model: string;
  /** The agent that the model names; undefined for the default one. */
  agentId: string | undefined;
  /** The session that the request names; undefined for one of its own. */
  sessionKey: string | undefined;
  previousId?: string | undefined;
  /** The caller's `Idempotency-Key`. */
  key: string | undefined;
  earlier: readonly Turn[];
  message: Turn;
  traceparent: string | undefined;
}

const kind = 'http-run';
const pruneEveryMs = 3_600_000;

/** Runs that were asked for by HTTP: taken once per key, found again as long as the ledger remembers them. */
export class HttpRuns {
  readonly #parts: GatewayParts;
  #prunedAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
  }

  /**
   * Takes a request as a run, or finds the run that the same request made before. Resolves when that is committed. Throws a
   * `GatewayError` when it is refused.
   */
  async take(request: NewHttpRun): Promise<HttpRun> {
    const { api, caller, model, previousId, key, earlier, message, traceparent } = request;
    const { committer, documents, sessions, clock } = this.#parts;
    if (committer.waitingBytes > maxWaitingBytes) {
      const told = 'The store is behind with writing; nothing was changed. Send the request again.';
      throw new GatewayError('UNAVAILABLE', told, { retryable: true, retryAfterMs: 1_000 });
    }
    this.#prune();
    // Not the key itself: two callers may choose the same, and the run's id is part of addresses.
    const runId = key === undefined ? randomId() : hash(`${caller.principal}\n${api}\n${key}`);
    const sessionKey = this.#sessionKey(request, runId);
    const taken = await takeMessage(this.#parts, caller.principal, api, {
      sessionKey,
      message: message.text,
      attachments: [...message.attachments],
      earlier: [...earlier],
      // One answer for each request: it neither joins another run nor ends it.
      queueMode: 'followup',
      idempotencyKey: runId,
      source: { kind: 'http', id: caller.principal.slice(0, 256) },
      traceparent,
      claimed: (stream) => {
        const record: HttpRunRecord = {
          sessionKey,
          // One that nobody named is put away from the start: lists of conversations are for people.
          sessionId: sessions.ensure(stream, sessionKey, { archived: request.sessionKey === undefined }).sessionId,
          after: stream.head,
          model,
          createdAtMs: clock.now(),
          ...(previousId === undefined ? {} : { previousId }),
          ...(request.sessionKey === undefined ? { isOwnSession: true as const } : {}),
        };
        documents.set(kind, runId, record);
      },
    });
    await new Promise<void>((resolve, reject) => committer.release(resolve, reject));
    const run = await this.find(runId);
    if (run) return run;
    throw notFound(`What this request made (${taken.kind}) was deleted with its session; send a new Idempotency-Key.`);
  }

  #sessionKey({ agentId, sessionKey }: NewHttpRun, runId: string): string {
    const { sessions } = this.#parts;
    const canonical = sessions.canonicalKey(sessionKey ?? `openai:${runId}`, agentId);
    if (agentId === undefined || sessionAgentId(canonical) === agentId) return canonical;
    throw badRequest(
      `The session ${canonical} belongs to another agent than the model names; leave one of the two out.`,
    );
  }

  /** A run, whoever made it; undefined when it is not known, or not any more. */
  async find(runId: string): Promise<HttpRun | undefined> {
    const { documents, sessions, ledger } = this.#parts;
    const record = documents.get<HttpRunRecord>(kind, runId);
    if (!record || !ledger.ofRun(runId)) return undefined;
    const { sessionKey, sessionId, after, model, createdAtMs, previousId } = record;
    const stream = await sessions.open(sessionKey);
    if (stream.isDeleted || stream.state.entry?.sessionId !== sessionId) return undefined;
    return { runId, stream, after, model, createdAtMs, previousId };
  }

  /** A run that came by this API and that the caller may see: its own, or any for `operator.admin`. */
  async findFor({ principal, scopes }: HttpCaller, api: HttpApi, runId: string): Promise<HttpRun | undefined> {
    const row = this.#parts.ledger.ofRun(runId);
    if (row?.method !== api || (row.principal !== principal && !allowsScope(scopes, 'operator.admin')))
      return undefined;
    return this.find(runId);
  }

  /** Ends a run, or drops its message if that still waits; resolves when it is committed. On an ended run nothing happens. */
  async cancel({ runId, stream }: HttpRun): Promise<void> {
    const { openRuns, intake, committer } = this.#parts;
    if (!intake.drop(stream, runId, 'rpc'))
      openRuns.end(runId, { phase: 'error', reason: 'aborted', aborted: true, stopReason: 'rpc' });
    await new Promise<void>((resolve, reject) => committer.release(resolve, reject));
  }

  /** Forgets what the ledger has forgotten. */
  #prune(): void {
    const { clock, documents, ledger } = this.#parts;
    if (clock.elapsed() - this.#prunedAtMs < pruneEveryMs) return;
    this.#prunedAtMs = clock.elapsed();
    for (const [runId, record] of documents.entries<HttpRunRecord>(kind)) {
      if (ledger.ofRun(runId)) continue;
      documents.set(kind, runId, undefined, { durable: false });
      if (record.isOwnSession) void this.#dropSession(record).catch(() => undefined);
    }
  }

  /** Erases a session that a request left behind, unless somebody took it up: unpacked it, wrote in it, or goes on in it. */
  async #dropSession({ sessionKey, sessionId }: HttpRunRecord): Promise<void> {
    const { documents, sessions } = this.#parts;
    const stream = sessions.current(await sessions.open(sessionKey));
    const { entry, runs, inputs, messages } = stream.state;
    const isIdle = runs.length === 0 && inputs.length === 0;
    if (entry?.sessionId !== sessionId || !entry.archived || !isIdle || stream.isDeleted) return;
    if (messages.some(({ role, source }) => role === 'user' && source?.kind !== 'http')) return;
    if (documents.entries<HttpRunRecord>(kind).some(([, other]) => other.sessionId === sessionId)) return;
    eraseSession(this.#parts, stream, sessionKey);
  }
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
