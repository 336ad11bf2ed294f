import {
  type AgentPayload,
  type Clock,
  GatewayError,
  type Payload,
  type RunPart,
  type RunWork,
  type SessionEntry,
} from '@openclaw/protocol';
import type { Ledger } from '../dispatch/ledger.ts';
import type { SessionStream, Sessions } from '../sessions/sessions.ts';
import type { LedgerRow } from '../streams/event-store.ts';
import type { StreamLog } from '../streams/stream-log.ts';
import type { AgentCalls } from './agent-calls.ts';
import type { Agents } from './agents.ts';
import type { Approvals } from './approvals.ts';
import { keysOf, type OpenRuns, type Run, runState } from './open-runs.ts';
import type { QueuedMessages } from './queued-messages.ts';
import { extendJournal, journalOfState, type RunJournal } from './run-journal.ts';

/** Attempts in a row that may commit nothing before a run is given up. */
const maxStalled = 5;

export interface RecoveryOptions {
  log: StreamLog;
  ledger: Ledger;
  sessions: Sessions;
  agents: Agents;
  approvals: Approvals;
  agentCalls: AgentCalls;
  openRuns: OpenRuns;
  clock: Clock;
  queued: QueuedMessages;
  /** How long a run may be silent, or without any agent, before it is ended, in ms. Default 10 min. */
  silenceMs?: number;
}

/** What becomes of runs when the gateway or an agent stops: recovered, offered again, or ended. No client waits forever (S21). */
export class Recovery {
  readonly #log: StreamLog;
  readonly #ledger: Ledger;
  readonly #sessions: Sessions;
  readonly #agents: Agents;
  readonly #approvals: Approvals;
  readonly #agentCalls: AgentCalls;
  readonly #openRuns: OpenRuns;
  readonly #clock: Clock;
  readonly #queued: QueuedMessages;
  readonly #silenceMs: number;

  constructor({
    log,
    ledger,
    sessions,
    agents,
    approvals,
    agentCalls,
    openRuns,
    clock,
    queued,
    silenceMs = 600_000,
  }: RecoveryOptions) {
    this.#queued = queued;
    this.#log = log;
    this.#ledger = ledger;
    this.#sessions = sessions;
    this.#agents = agents;
    this.#approvals = approvals;
    this.#agentCalls = agentCalls;
    this.#openRuns = openRuns;
    this.#clock = clock;
    this.#silenceMs = silenceMs;
  }

  /** Rebuilds the open runs from the log, before the first hello; those that were active are recovering (S21). */
  async recover(): Promise<void> {
    for (const work of this.#agents.work()) {
      const stream = await this.#sessions.open(work.sessionKey);
      const state = stream.state.runs.find(({ runId }) => runId === work.runId);
      if (!state) {
        this.#agents.append(work.agentId, 'run.finished', { runId: work.runId });
        continue;
      }
      const absorbed = stream.state.messages
        .filter(({ role, runId, id }) => role === 'user' && runId === work.runId && id !== work.runId)
        .map(({ id }) => id);
      const journal = journalOfState(state) ?? (await this.#readJournal(stream, work.runId));
      const run: Run = {
        runId: work.runId,
        stream,
        agentId: work.agentId,
        journal,
        absorbed,
        signAtMs: this.#clock.elapsed(),
      };
      this.#openRuns.restore(run);
      await this.#queued.restore(stream);
      if (work.instance === undefined) continue;
      this.#openRuns.append(run, { stream: 'lifecycle', data: { phase: 'recovering' } }, { keep: 'fact' });
      if (work.local) this.#request(run, work);
    }
    for (const row of this.#ledger.running()) {
      if (row.runId !== undefined && this.#isKnown(row)) continue;
      const error = new GatewayError(
        'UNKNOWN_OUTCOME',
        'The gateway stopped while it worked on this request, and it is not known how far that came. Look before sending it under a new key.',
      );
      this.#ledger.finish(row, JSON.stringify({ error: error.toWire() }));
    }
  }

  /** Whether the run of a ledger row is open, or its message waits or was taken into one. */
  #isKnown({ runId = '' }: LedgerRow): boolean {
    for (const run of this.#openRuns.all()) {
      if (run.runId === runId || run.absorbed.includes(runId)) return true;
      if (run.stream.state.inputs.some((input) => input.runId === runId)) return true;
    }
    return false;
  }

  async #readJournal(stream: SessionStream, runId: string): Promise<RunJournal> {
    let journal: RunJournal = [];
    for (let after = stream.low - 1; ; ) {
      const page = await this.#log.read(stream, after, 1_024, 4 * 1_048_576);
      if (page.length === 0) return journal;
      for (const { offset, frame } of page) {
        after = offset;
        const { event, payload } = JSON.parse(frame.text) as { event: string; payload: AgentPayload };
        if (event === 'agent' && payload.runId === runId) journal = extendJournal(journal, payload as RunPart);
      }
    }
  }

  /**
   * The agent that had claimed these runs is gone: they are offered to the next instance, or, when that one attached and
   * can't continue them, ended as interrupted.
   */
  orphaned(works: readonly RunWork[], next?: { resumable: boolean }): void {
    for (const work of works) {
      const run = this.#openRuns.get(work.runId);
      if (!run) continue;
      if (next && !next.resumable) this.#interrupt(run);
      else {
        if (runState(run).status !== 'recovering')
          this.#openRuns.append(run, { stream: 'lifecycle', data: { phase: 'recovering' } }, { keep: 'fact' });
        this.#request(run, work);
      }
    }
  }

  /** The instance that holds these runs is back: they go on where they were. */
  resumed(runIds: readonly string[]): void {
    for (const runId of runIds) {
      const run = this.#openRuns.get(runId);
      if (!run || runState(run).status !== 'recovering') continue;
      const { startedAt, attempt } = runState(run);
      this.#openRuns.append(
        run,
        { stream: 'lifecycle', data: { phase: 'start', attempt, ...(startedAt === undefined ? {} : { startedAt }) } },
        { keep: 'fact' },
      );
      run.signAtMs = this.#clock.elapsed();
    }
  }

  /** An agent that can't continue attached: runs that wait for a further attempt end. */
  endUnresumable(agentId: string): void {
    for (const work of this.#agents.work()) {
      const run = this.#openRuns.get(work.runId);
      if (run && work.agentId === agentId && work.instance === undefined && work.attempt > 1) this.#interrupt(run);
    }
  }

  #interrupt(run: Run): void {
    const error =
      'The agent that worked on this stopped, and the one that follows it can not continue. Send the message again.';
    this.#openRuns.end(run.runId, { phase: 'error', reason: 'interrupted', error });
  }

  /**
   * Offers the run again, unless it has brought down one agent after another without a word. Steering that was not taken in
   * waits in the session and is given with the claim.
   */
  #request(run: Run, work: RunWork): void {
    const { attempt, stalled: stalledBefore = 0 } = work;
    const entry = run.stream.state.entry as SessionEntry;
    const { n } = runState(run);
    const stalled = n > (work.n ?? 0) ? 0 : stalledBefore + 1;
    if (stalled >= maxStalled) {
      const error = `${stalled} attempts in a row ended before the agent said anything. Change the message, or look at the agent's log.`;
      this.#openRuns.end(run.runId, { phase: 'error', reason: 'interrupted', error });
      return;
    }
    const payload: Payload<'run.requested'> = {
      runId: run.runId,
      ...keysOf(entry),
      agentId: run.agentId,
      attempt: attempt + 1,
      requestedAt: this.#clock.now(),
      n,
      stalled,
    };
    this.#agents.append(run.agentId, 'run.requested', payload);
    run.signAtMs = this.#clock.elapsed();
  }

  /** Ends what has been silent or without an agent for too long, and approvals that nobody answered. Called every few seconds. */
  sweep(): void {
    for (const approval of this.#approvals.expired()) this.#agentCalls.resolve(approval.approvalId, 'deny', 'timeout');
    for (const run of this.#openRuns.all()) {
      const work = this.#agents.find(run.agentId, run.runId);
      if (!work) continue;
      const silentMs = this.#clock.elapsed() - run.signAtMs;
      // An agent that is there may be busy with other runs; it gets an hour where nobody gets ten minutes.
      const patienceMs = this.#silenceMs * (this.#agents.isHeld(run.agentId) ? 6 : 1);
      if (work.instance === undefined && silentMs > patienceMs) {
        const isFresh = work.attempt === 1;
        this.#openRuns.end(run.runId, {
          phase: 'error',
          reason: isFresh ? 'agent_unavailable' : 'interrupted',
          error: `No agent '${run.agentId}' took this run for ${Math.round(patienceMs / 60_000)} min. Start one and send the message again.`,
        });
      } else if (work.instance !== undefined && silentMs > this.#silenceMs && !this.#approvals.isWaiting(run.runId)) {
        const error = `The agent gave no sign for ${Math.round(this.#silenceMs / 60_000)} min. Send the message again.`;
        this.#openRuns.end(run.runId, { phase: 'error', reason: 'timeout', error, errorKind: 'timeout' });
      }
    }
  }
}
