import {
  type Clock,
  GatewayError,
  type Message,
  type Payload,
  type Result,
  type RunPart,
  type RunWork,
  type SessionEntry,
} from '@openclaw/protocol';
import type { Peer } from '../connection/peer.ts';
import { fitFields } from '../sessions/message-media.ts';
import type { SessionStream, Sessions } from '../sessions/sessions.ts';
import type { Committer } from '../streams/committer.ts';
import type { StreamLog } from '../streams/stream-log.ts';
import type { Agents } from './agents.ts';
import type { Approvals } from './approvals.ts';
import { assertEffectAllowed } from './effects.ts';
import { keysOf, type OpenRuns, type Run, runState } from './open-runs.ts';
import type { QueuedMessages } from './queued-messages.ts';
import { extendJournal, journalPage, textLength } from './run-journal.ts';

/** UTF-16 units and JSON bytes of one delta; a runner splits longer ones. */
const maxDeltaUnits = 64_000;
const maxDeltaBytes = 240_000;

export interface AgentCallsOptions {
  log: StreamLog;
  committer: Committer;
  sessions: Sessions;
  agents: Agents;
  approvals: Approvals;
  openRuns: OpenRuns;
  clock: Clock;
  queued: QueuedMessages;
}

/** What an attached agent does with its runs: claim, read, emit; and what people answer to its approvals (S28). */
export class AgentCalls {
  readonly #log: StreamLog;
  readonly #committer: Committer;
  readonly #sessions: Sessions;
  readonly #agents: Agents;
  readonly #approvals: Approvals;
  readonly #openRuns: OpenRuns;
  readonly #clock: Clock;
  readonly #queued: QueuedMessages;

  constructor({ log, committer, sessions, agents, approvals, openRuns, clock, queued }: AgentCallsOptions) {
    this.#queued = queued;
    this.#log = log;
    this.#committer = committer;
    this.#sessions = sessions;
    this.#agents = agents;
    this.#approvals = approvals;
    this.#openRuns = openRuns;
    this.#clock = clock;
  }

  /** Claims a run for the instance that `peer` holds; asked again by the same one it gives the same (S28). */
  async start(peer: Peer, runId: string): Promise<Result<'run.start'>> {
    this.#requireHolding(peer);
    const { stream } = this.#requireOpen(peer, runId);
    // Read before anything is changed: the answer belongs to the same tick as the claim, and falls with its commit.
    const conversation = await this.#messagesBefore(stream, stream.state.messageCount, stream.committedHead + 1);
    const holding = this.#requireHolding(peer);
    const run = this.#requireOpen(peer, runId);
    const work = this.#agents.find(run.agentId, runId) as RunWork;
    if (work.instance !== undefined && work.instance !== holding.instance)
      throw runEnded(runId, 'another instance works on it');
    const state = runState(run);
    if (work.instance === undefined) {
      this.#agents.append(run.agentId, 'run.started', {
        runId,
        instance: holding.instance,
        attempt: work.attempt,
        local: holding.isLocal,
      });
      this.#openRuns.append(
        run,
        {
          stream: 'lifecycle',
          data: { phase: 'start', startedAt: state.startedAt ?? this.#clock.now(), attempt: work.attempt },
        },
        { keep: 'fact' },
      );
      run.signAtMs = this.#clock.elapsed();
    }
    return {
      runId,
      session: run.stream.state.entry as SessionEntry,
      attempt: work.attempt,
      n: state.n,
      ...journalPage(run.journal, 0),
      steers: work.steers.filter(({ inputId }) => run.stream.state.inputs.some((input) => input.runId === inputId)),
      approvals: work.approvals.map(({ approvalId, decision }) => ({ approvalId, decision })),
      ...(work.effects === undefined ? {} : { effects: work.effects }),
      ...(work.traceparent === undefined ? {} : { traceparent: work.traceparent }),
      ...conversation,
    };
  }

  /** More of the journal of a claimed run. */
  journal(peer: Peer, runId: string, from: number): Result<'run.journal'> {
    this.#requireHolding(peer);
    return journalPage(this.#requireOpen(peer, runId).journal, from);
  }

  /** Older messages of the conversation of a claimed run. */
  async messages(peer: Peer, runId: string, before: string): Promise<Result<'run.messages'>> {
    this.#requireHolding(peer);
    const { stream } = this.#requireOpen(peer, runId);
    let ceiling = stream.committedHead + 1;
    let remaining = stream.state.messageCount;
    for (;;) {
      const page = await this.#log.readMessages(stream, ceiling, Math.min(remaining, 200), 1_048_576);
      if (page.length === 0)
        throw new GatewayError('INVALID_REQUEST', `no message '${before.slice(0, 64)}' in the session of run ${runId}`);
      for (let index = page.length - 1; index >= 0; index--) {
        const record = page[index] as (typeof page)[number];
        remaining--;
        if (messageOf(record.frame.text).id === before) return this.#messagesBefore(stream, remaining, record.offset);
      }
      ceiling = page[0]?.offset ?? 1;
    }
  }

  async #messagesBefore(
    stream: SessionStream,
    count: number,
    before: number,
  ): Promise<{ messages: Message[]; hasMore: boolean }> {
    const wanted = Math.min(count, 500);
    const records = await this.#log.readMessages(stream, before, wanted, 160 * 1_024);
    return { messages: records.map(({ frame }) => messageOf(frame.text)), hasMore: records.length < count };
  }

  /** Appends what an agent says; applied once by its number (S28). */
  emit(peer: Peer, { runId, n, parts }: { runId: string; n: number; parts: readonly RunPart[] }): Result<'run.emit'> {
    const holding = this.#requireHolding(peer);
    const run = this.#requireOpen(peer, runId);
    const work = this.#agents.find(run.agentId, runId);
    if (work?.instance !== holding.instance) throw runEnded(runId, 'this instance has not claimed it');
    run.signAtMs = this.#clock.elapsed();
    const last = runState(run).n;
    if (n === 0 || n <= last) return { n: last };
    if (n !== last + 1) {
      throw new GatewayError(
        'INVALID_REQUEST',
        `emit ${n} of run ${runId} came after ${last}; send ${last + 1} first.`,
        { details: { expected: last + 1 } },
      );
    }
    this.#check(run, work, parts);
    parts.forEach((part, index) => {
      const isLast = index === parts.length - 1;
      if (part.stream === 'lifecycle') this.#openRuns.end(runId, part.data, { n });
      else this.#appendEmitted(run, part, isLast ? n : undefined);
    });
    if (parts.length === 0) this.#openRuns.append(run, { stream: 'usage', data: {} }, {}, n);
    return { n };
  }

  /** Everything that could be refused, before anything is appended. */
  #check(run: Run, work: RunWork, parts: readonly RunPart[]): void {
    let { journal } = run;
    const refuse = (index: number, what: string) =>
      new GatewayError('INVALID_REQUEST', `invalid run.emit params: at /parts/${index}: ${what}`);
    parts.forEach((part, index) => {
      assertEffectAllowed(work, part, journal);
      if (part.stream === 'assistant' || part.stream === 'thinking') {
        const { itemId, at, delta, replace } = part.data;
        const length = replace ? 0 : textLength(journal, part.stream, itemId);
        if (at !== length)
          throw refuse(index, `the part ${itemId} is ${length} UTF-16 units long, but the delta begins at ${at}`);
        if (delta.length > maxDeltaUnits)
          throw refuse(index, `a delta has at most ${maxDeltaUnits} UTF-16 units; split this one of ${delta.length}`);
        if (delta.length * 6 > maxDeltaBytes && Buffer.byteLength(JSON.stringify(delta)) > maxDeltaBytes) {
          throw refuse(index, `a delta takes at most ${maxDeltaBytes} bytes of JSON; split this one`);
        }
      } else if (part.stream === 'lifecycle') {
        if (part.data.phase !== 'end' && part.data.phase !== 'error')
          throw refuse(index, 'an agent emits only the phases end and error');
        if (index !== parts.length - 1) throw refuse(index, 'the terminal part is the last one');
      } else if (part.stream === 'item' && part.data.kind === 'steered' && part.data.inputId === undefined) {
        throw refuse(index, 'an item of kind steered names its inputId');
      }
      journal = extendJournal(journal, part);
    });
  }

  #appendEmitted(run: Run, part: RunPart, n: number | undefined): void {
    switch (part.stream) {
      case 'tool': {
        const data = fitFields(this.#committer, run.stream.name, part.data, ['result', 'partialResult', 'args']);
        // A call that must not be repeated begins when its start is on the disk (S14, S21).
        const isOnce = data.phase === 'start' && data.safe !== true;
        this.#openRuns.append(
          run,
          { stream: 'tool', data },
          { ...(data.phase === 'result' ? { keep: 'fact' } : {}), durable: isOnce },
          n,
        );
        return;
      }
      case 'approval': {
        const { key } = run.stream.state.entry as SessionEntry;
        const known = this.#agents
          .find(run.agentId, run.runId)
          ?.approvals.find(({ approvalId }) => approvalId === part.data.approvalId);
        const asked = fitFields(this.#committer, run.stream.name, part.data, ['args']);
        const data = known ? { ...asked, phase: 'requested' as const } : this.#approvals.request(run.runId, key, asked);
        this.#openRuns.append(run, { stream: 'approval', data }, { keep: 'fact', durable: true }, n);
        return;
      }
      case 'item':
        if (part.data.kind === 'steered') this.#absorb(run, part.data.inputId as string);
        this.#openRuns.append(run, part, {}, n);
        return;
      default:
        this.#openRuns.append(run, part, {}, n);
    }
  }

  /** The agent took a steering message in: it becomes part of the transcript and of this run. */
  #absorb(run: Run, inputId: string): void {
    const input = run.stream.state.inputs.find(({ runId }) => runId === inputId);
    // What waits for a run of its own may be from someone who has no say in this one.
    if (input?.mode !== 'steer') return;
    const entry = run.stream.state.entry as SessionEntry;
    const taken: Payload<'session.input'> = { ...keysOf(entry), runId: inputId, phase: 'taken', into: run.runId };
    this.#log.append(run.stream, 'session.input', taken, { keep: 'fact', durable: true });
    this.#sessions.addMessage(run.stream, entry, { ...this.#queued.take(input), runId: run.runId });
    const before = run.absorbed;
    this.#committer.change(() => {
      run.absorbed = before;
    });
    run.absorbed = [...before, inputId];
  }

  /** Answers an approval; the first answer counts. Undefined when there is none that waits. */
  resolve(approvalId: string, decision: 'allow' | 'deny', reason: 'resolved' | 'timeout'): boolean {
    const approval = this.#approvals.find(approvalId);
    const run = approval && this.#openRuns.get(approval.runId);
    if (!approval || !run) return false;
    this.#approvals.settle(approval, decision, reason);
    this.#openRuns.append(
      run,
      { stream: 'approval', data: { phase: 'resolved', approvalId, title: approval.title, decision, reason } },
      { keep: 'fact', durable: true },
    );
    const { toolCallId } = approval;
    const call = toolCallId === undefined ? {} : { toolCallId };
    this.#agents.append(run.agentId, 'run.approval', { runId: run.runId, approvalId, decision, ...call });
    run.signAtMs = this.#clock.elapsed();
    return true;
  }

  #requireHolding(peer: Peer): { instance: string; isLocal: boolean; resumable: boolean } {
    const holding = this.#agents.holding(peer);
    if (holding) return holding;
    throw new GatewayError(
      'INVALID_REQUEST',
      `agent ${peer.identity.id} is not attached on this connection; call agent.attach first.`,
    );
  }

  #requireOpen(peer: Peer, runId: string): Run {
    const run = this.#openRuns.get(runId);
    if (run && run.agentId === peer.identity.id) return run;
    throw runEnded(runId, 'it has its terminal event');
  }
}

function messageOf(text: string): Message {
  return (JSON.parse(text) as { payload: { message: Message } }).payload.message;
}

function runEnded(runId: string, why: string): GatewayError {
  return new GatewayError('RUN_ENDED', `run ${runId.slice(0, 128)}: ${why}; stop working on it.`);
}
