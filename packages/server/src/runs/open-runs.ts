import {
  type AgentPayload,
  type Clock,
  GatewayError,
  type Message,
  type OpenRun,
  partLength,
  type RunPart,
  type RunPartData,
  type SessionEntry,
} from '@openclaw/protocol';
import type { Ledger } from '../dispatch/ledger.ts';
import { type EndedRun, noObserver, type SafeObserver } from '../observer.ts';
import { fitMessage } from '../sessions/message-media.ts';
import type { SessionStream, Sessions } from '../sessions/sessions.ts';
import type { Committer } from '../streams/committer.ts';
import type { StreamLog } from '../streams/stream-log.ts';
import type { Agents } from './agents.ts';
import type { Approvals } from './approvals.ts';
import { extendJournal, journalBlocks, type RunJournal } from './run-journal.ts';

/** How a run ended; the answer of its ledger row. */
export interface RunOutcome {
  runId: string;
  sessionKey: string;
  status: 'ok' | 'error' | 'timeout';
  endedAt: number;
  stopReason: string;
  summary: string;
  reason?: NonNullable<RunPartData<'lifecycle'>['reason']>;
  error?: string;
}

/** A run that has no terminal event yet. */
export interface Run {
  readonly runId: string;
  readonly stream: SessionStream;
  readonly agentId: string;
  journal: RunJournal;
  /** RunIds of messages that became part of it (collected or steered). */
  absorbed: readonly string[];
  /** The last sign of life of its agent, on the monotonic clock. */
  signAtMs: number;
  /** When it was accepted, on the same clock; absent when that was before this process. */
  acceptedAtMs?: number;
  /** When the first text of its answer came. */
  firstTextAtMs?: number;
}

export interface OpenRunsOptions {
  log: StreamLog;
  committer: Committer;
  ledger: Ledger;
  sessions: Sessions;
  agents: Agents;
  approvals: Approvals;
  clock: Clock;
  /** Told of runs that begin and end. Default nobody. */
  observer?: SafeObserver;
}

/**
 * The runs that have no terminal event yet. The state of the streams is the truth; what is kept here beside it are their
 * whole journals, and who waits for their end.
 */
export class OpenRuns {
  readonly #log: StreamLog;
  readonly #committer: Committer;
  readonly #ledger: Ledger;
  readonly #sessions: Sessions;
  readonly #agents: Agents;
  readonly #approvals: Approvals;
  readonly #clock: Clock;
  readonly #observer: SafeObserver;
  readonly #open = new Map<string, Run>();
  readonly #waiters = new Map<string, Set<(outcome: RunOutcome) => void>>();
  #onSessionFree: (stream: SessionStream) => void = () => {};

  constructor({ log, committer, ledger, sessions, agents, approvals, clock, observer = noObserver }: OpenRunsOptions) {
    this.#observer = observer;
    this.#log = log;
    this.#committer = committer;
    this.#ledger = ledger;
    this.#sessions = sessions;
    this.#agents = agents;
    this.#approvals = approvals;
    this.#clock = clock;
  }

  /** Told when a run of a session has ended and the next of its queue may start. */
  onSessionFree(listener: (stream: SessionStream) => void): void {
    this.#onSessionFree = listener;
  }

  get count(): number {
    return this.#open.size;
  }

  get(runId: string): Run | undefined {
    return this.#open.get(runId);
  }

  all(): Run[] {
    return [...this.#open.values()];
  }

  /** Adds a run with this tick's commit. */
  add(run: Run): void {
    const { runId, agentId } = run;
    this.#committer.change(() => this.#open.delete(runId));
    this.#open.set(runId, run);
    run.acceptedAtMs = this.#clock.elapsed();
    this.#committer.onApplied(() => this.#observer.runStarted({ runId, agentId }));
  }

  /** Adds a run that the log already holds, at start. */
  restore(run: Run): void {
    this.#open.set(run.runId, run);
  }

  /** Open runs of agents that live and die with this process: what a drain waits for. */
  get localCount(): number {
    let count = 0;
    for (const { runId, agentId } of this.#open.values()) if (this.#agents.isLocal(agentId, runId)) count++;
    return count;
  }

  /** What an open run has said so far, deltas joined per part; it may run ahead of the last commit. */
  journalOf(runId: string): RunJournal {
    return this.#open.get(runId)?.journal ?? [];
  }

  /** The answer of an open run as far as it is committed: `state` is the run in the committed state of its session. */
  committedAnswer(state: OpenRun): string {
    const lengths = new Map(
      state.parts.flatMap((part) => (part.kind === 'text' ? [[part.itemId, partLength(part)]] : [])),
    );
    let text = '';
    for (const part of this.journalOf(state.runId)) {
      if (part.stream !== 'assistant') continue;
      // A part that the state does not name was let go of, or is not committed yet.
      const length = lengths.get(part.data.itemId) ?? (state.isCut && text === '' ? part.data.delta.length : 0);
      text += part.data.delta.slice(0, length);
    }
    return text;
  }

  /** Appends a part to a run, as its session's next event. `n` is the emit that it completes. */
  append(run: Run, part: RunPart, options: { keep?: 'fact'; durable?: boolean } = {}, n?: number): void {
    const { key, sessionId } = run.stream.state.entry as SessionEntry;
    const seq = (run.stream.state.runs.find(({ runId }) => runId === run.runId)?.seq ?? 0) + 1;
    const payload = {
      runId: run.runId,
      seq,
      ts: this.#clock.now(),
      sessionKey: key,
      sessionId,
      agentId: run.agentId,
      stream: part.stream,
      data: part.data,
      ...(n === undefined ? {} : { n }),
    } as AgentPayload;
    this.#log.append(run.stream, 'agent', payload, options);
    if (part.stream === 'assistant') run.firstTextAtMs ??= this.#clock.elapsed();
    const before = run.journal;
    const journal = extendJournal(before, part);
    if (journal === before) return;
    this.#committer.change(() => {
      run.journal = before;
    });
    run.journal = journal;
  }

  /**
   * Ends a run at once, whoever asks: appends the terminal event and all that belongs to it. The first one wins; false when
   * the run has ended already. What waits in the session goes on unless `goOn` is false.
   */
  end(runId: string, data: RunPartData<'lifecycle'>, { n, goOn = true }: { n?: number; goOn?: boolean } = {}): boolean {
    const run = this.#open.get(runId);
    if (!run) return false;
    const { stream, agentId } = run;
    const entry = stream.state.entry as SessionEntry;
    const state = runState(run);
    const endedAt = this.#clock.now();
    for (const approval of this.#approvals.open.filter((open) => open.runId === runId))
      this.#approvals.settle(approval, 'deny', 'run_ended');
    const stopReason = data.stopReason ?? (data.phase === 'end' ? 'stop' : (data.reason ?? 'error'));
    const content = journalBlocks(run.journal);
    if (content.length > 0) {
      const { provider, model, ...usage } = state.usage ?? {};
      const message: Message = {
        id: `${runId}:answer`,
        role: 'assistant',
        content,
        timestamp: endedAt,
        runId,
        stopReason,
        ...(Object.keys(usage).length > 0 ? { usage } : {}),
        ...(provider === undefined ? {} : { provider }),
        ...(model === undefined ? {} : { model }),
      };
      this.#sessions.addMessage(stream, entry, fitMessage(this.#committer, stream.name, message));
    }
    const isEnd = data.phase === 'end';
    const reason = isEnd ? undefined : (data.reason ?? 'failed');
    const terminal: RunPartData<'lifecycle'> = {
      ...data,
      stopReason,
      aborted: data.aborted ?? reason === 'aborted',
      ...(state.startedAt === undefined ? {} : { startedAt: state.startedAt }),
      endedAt,
      ...(reason === undefined ? {} : { reason }),
    };
    this.append(run, { stream: 'lifecycle', data: terminal }, { keep: 'fact', durable: true }, n);
    if (reason === 'aborted' && n === undefined)
      this.#agents.append(agentId, 'run.abort', { runId, reason: stopReason });
    else this.#agents.append(agentId, 'run.finished', { runId });
    this.#committer.change(() => this.#open.set(runId, run));
    this.#open.delete(runId);
    const outcome = {
      status: isEnd ? 'ok' : reason === 'aborted' ? 'timeout' : 'error',
      stopReason,
      summary: isEnd ? 'completed' : reason === 'aborted' ? 'aborted' : 'failed',
      ...(reason === undefined ? {} : { reason }),
      ...(data.error === undefined ? {} : { error: data.error }),
    } as const;
    for (const id of [runId, ...run.absorbed]) this.settle(id, outcome, entry.key);
    this.#sessions.changed(stream, 'run');
    this.#observeEnd(run, reason ?? 'ok', state.usage);
    if (goOn) this.#onSessionFree(stream);
    return true;
  }

  #observeEnd(run: Run, outcome: string, { inputTokens, outputTokens }: RunPartData<'usage'> = {}): void {
    const { runId, agentId, acceptedAtMs, firstTextAtMs } = run;
    const nowMs = this.#clock.elapsed();
    const ended: EndedRun = {
      runId,
      agentId,
      outcome,
      ...(acceptedAtMs === undefined ? {} : { durationMs: nowMs - acceptedAtMs }),
      ...(acceptedAtMs === undefined || firstTextAtMs === undefined
        ? {}
        : { firstTokenMs: firstTextAtMs - acceptedAtMs }),
      ...(inputTokens === undefined ? {} : { inputTokens }),
      ...(outputTokens === undefined ? {} : { outputTokens }),
    };
    this.#committer.onApplied(() => this.#observer.runEnded(ended));
  }

  /** Settles the ledger row of a message, and tells who waits for it once that is committed. */
  settle(runId: string, outcome: Omit<RunOutcome, 'runId' | 'sessionKey' | 'endedAt'>, sessionKey: string): void {
    const whole: RunOutcome = { runId, sessionKey, endedAt: this.#clock.now(), ...outcome };
    const row = this.#ledger.ofRun(runId);
    if (row && row.answer === undefined) this.#ledger.finish(row, JSON.stringify({ payload: whole }));
    const waiters = this.#waiters.get(runId);
    if (!waiters) return;
    this.#committer.release(() => {
      if (this.#waiters.get(runId) === waiters) this.#waiters.delete(runId);
      for (const waiter of waiters) waiter(whole);
    });
  }

  /** Forgets in what words the runs of a session failed, since it is deleted; how they ended stays known (S18, S29). */
  forgetWords(sessionKey: string): void {
    const mark = `"sessionKey":${JSON.stringify(sessionKey)}`;
    this.#ledger.revise((answer) => {
      if (!answer.includes(mark)) return answer;
      const { payload } = JSON.parse(answer) as { payload?: RunOutcome };
      if (payload?.sessionKey !== sessionKey || payload.error === undefined) return answer;
      const { error, ...known } = payload;
      return JSON.stringify({ payload: known });
    });
  }

  /** How a run ended, when it has. Runs are remembered as long as the request that caused them (S18). */
  outcome(runId: string): RunOutcome | undefined {
    const answer = this.#ledger.ofRun(runId)?.answer;
    return answer === undefined ? undefined : (JSON.parse(answer) as { payload?: RunOutcome }).payload;
  }

  /** Calls back once when the run has ended and that is committed; the returned function takes that back. */
  onEnd(runId: string, waiter: (outcome: RunOutcome) => void): () => void {
    const waiters = this.#waiters.get(runId) ?? new Set();
    waiters.add(waiter);
    this.#waiters.set(runId, waiters);
    return () => {
      waiters.delete(waiter);
      if (waiters.size === 0 && this.#waiters.get(runId) === waiters) this.#waiters.delete(runId);
    };
  }
}

/** The state of an open run, as the reducer keeps it. */
export function runState(run: Run): OpenRun {
  const state = run.stream.state.runs.find(({ runId }) => runId === run.runId);
  if (!state) throw new GatewayError('INTERNAL', `run ${run.runId} is open but not in the state of its session`);
  return state;
}

/** What the payloads of a session's events have in common. */
export function keysOf({ key, sessionId }: SessionEntry): { sessionKey: string; sessionId: string } {
  return { sessionKey: key, sessionId };
}
