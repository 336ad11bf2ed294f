import type { Payload, Result } from '@openclaw/protocol';
import {
  type AgentPayload,
  GatewayError,
  type Message,
  type RunPartData,
  type SessionState,
  type StreamEventFrame,
} from '@openclaw/protocol/wire';
import { asGatewayError } from './connection.ts';
import type { Bookmark } from './cursor.ts';
import { EventReader } from './event-reader.ts';
import type { FeedReader, ResetPayload } from './feed.ts';
import type { Run } from './gateway.ts';
import type { Limits } from './limits.ts';
import type { RequestFunction } from './request.ts';
import { RunLog, type RunRecord } from './run-log.ts';
import { PartFold, type StreamedPart } from './run-parts.ts';
import type { Subscriptions } from './subscriptions.ts';

/** How long a run that no one seems to know is asked for before it is given up. */
const recoverMs = 10_000;
const terminalStatuses: ReadonlySet<string> = new Set(['ok', 'error', 'timeout']);

/** What a run needs of the gateway. */
export interface RunPorts {
  subscriptions: Subscriptions;
  request: RequestFunction;
  limits: Limits;
  /** Takes the message back if it never left. */
  cancelUnsent(key: string): boolean;
}

/** Follows one run in its session's stream until it ends, whatever happens to the connection. */
export class FollowedRun implements Run, FeedReader {
  readonly id: string;
  readonly final: Promise<Message>;
  cursor: Bookmark | undefined;
  needsState: boolean;
  #ports: RunPorts;
  #sessionKey: string;
  #stream: string;
  #log: RunLog;
  #resolve!: (message: Message) => void;
  #reject!: (error: GatewayError) => void;
  /** The run whose parts are told: another one when the message was taken into that. */
  #runId: string;
  /** The gateway has taken the message, or someone else's request made the run. */
  #isTaken: boolean;
  /** Something of the run was seen. */
  #isSeen = false;
  /** The last snapshot did not have the run, and nothing of it came since. */
  #isAbsent = false;
  /** That snapshot was of a session that has a past. */
  #isDoubtful = false;
  /** Counts the times that the gateway was asked what became of it; the last one tells. */
  #recovery = 0;
  #message: Message | undefined;

  constructor(ports: RunPorts, sessionKey: string, id: string, isTaken: boolean) {
    this.#ports = ports;
    this.#sessionKey = sessionKey;
    this.#stream = `session:${sessionKey}`;
    this.#log = new RunLog(ports.limits);
    this.id = id;
    this.#runId = id;
    this.#isTaken = isTaken;
    this.needsState = isTaken;
    this.final = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever only iterates must not be punished by an unhandled rejection.
    this.final.catch(() => {});
    ports.subscriptions.join(this.#stream, this);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<StreamedPart, void, undefined> {
    const fold = new PartFold((approvalId, decision) => this.#resolveApproval(approvalId, decision));
    const log = this.#log;
    let index = 0;
    let place: Bookmark | undefined;
    for (;;) {
      if (index < log.base) {
        if (index === 0 && log.opening) {
          place = log.opening.after;
          yield* tell(fold, log.opening.record);
        }
        yield* this.#readAgain(fold, place ?? log.start);
        index = log.end;
      }
      const kept = log.at(index);
      if (kept) {
        index++;
        place = kept.after;
        yield* tell(fold, kept.record);
      } else if (log.isEnded) {
        if (log.error) throw log.error;
        if (log.answer !== undefined) yield* fold.finish(log.answer);
        return;
      } else {
        await log.changed();
      }
    }
  }

  async abort(): Promise<{ aborted: boolean }> {
    if (this.#log.isEnded) return { aborted: false };
    if (this.#ports.cancelUnsent(this.id)) return { aborted: true };
    const params = { sessionKey: this.#sessionKey, runId: this.#runId };
    const { aborted } = await this.#ports.request('chat.abort', params);
    return { aborted };
  }

  /** The gateway answered the message. */
  taken(status: string): void {
    this.#isTaken = true;
    if (this.#isSeen || this.#log.isEnded) return;
    if (terminalStatuses.has(status)) void this.#recover();
    else if (status === 'in_flight') {
      // It began before this client listened: what was missed comes with a snapshot.
      this.#ports.subscriptions.leave(this.#stream, this);
      this.cursor = undefined;
      this.needsState = true;
      this.#ports.subscriptions.join(this.#stream, this);
    } else if (this.#isAbsent && this.#isDoubtful) {
      // The snapshot before this answer may be from after the run: it tells only that the run is not open.
      void this.#recover(true);
    }
  }

  /** The run is over without an answer. */
  fail(error: GatewayError): void {
    this.#end(error);
  }

  event(frame: StreamEventFrame, units: number): void {
    if (this.#log.isEnded) return;
    switch (frame.event) {
      case 'agent': {
        const payload = frame.payload as AgentPayload;
        if (payload.runId !== this.#runId) return;
        const { offset, from = offset } = frame;
        // Reading again from just before the first record finds the whole run.
        if (this.cursor && this.#log.end === 0) this.#log.start = { ...this.cursor, offset: from - 1, open: {} };
        this.#see({ type: 'event', payload }, units);
        if (payload.stream === 'lifecycle') this.#lifecycle(payload.data);
        return;
      }
      case 'session.message': {
        const { message } = frame.payload as Payload<'session.message'>;
        if (message.runId === this.#runId && message.role === 'assistant') this.#message = message;
        return;
      }
      case 'session.input': {
        const input = frame.payload as Payload<'session.input'>;
        if (input.runId !== this.id) return;
        this.#isSeen = true;
        this.#isAbsent = false;
        if (input.phase === 'taken' && input.into !== undefined) this.#runId = input.into;
        if (input.phase === 'dropped')
          this.#end(runError('aborted', 'The session was reset before this message had its turn.', this.id));
      }
    }
  }

  reset({ reason, state }: ResetPayload): void {
    if (this.#log.isEnded || state?.kind !== 'session') return;
    const { entry, runs, inputs, messages }: SessionState = state;
    this.#follow(messages);
    const run = runs.find(({ runId }) => runId === this.#runId);
    if (run) {
      // A snapshot holds only the end of a long part: whoever did not hear the beginning is told that it is missing.
      const isCut = run.parts.some((part) => 'start' in part && part.start > 0);
      const told = this.#isSeen || isCut ? reason : undefined;
      this.#see({ type: 'state', reason: told, parts: run.parts }, JSON.stringify(run.parts).length);
      return;
    }
    const isQueued = inputs.some(({ runId }) => runId === this.id);
    this.#isAbsent = !isQueued;
    this.#isSeen ||= isQueued;
    this.#isDoubtful = entry !== undefined;
    this.#message ??= messages.findLast(({ runId, role }) => runId === this.#runId && role === 'assistant');
  }

  /** The transcript tells when the message was taken into another run: that one's parts are told from then on. */
  #follow(messages: readonly Message[]): boolean {
    const asked = messages.findLast(({ role, id }) => role === 'user' && id === this.id);
    if (asked?.runId !== undefined) this.#runId = asked.runId;
    return asked !== undefined;
  }

  live(): void {
    if (this.#isAbsent && (this.#isTaken || this.#isSeen)) void this.#recover();
  }

  ended(why: 'deleted' | 'scope_lost' | GatewayError): void {
    if (this.#log.isEnded) return;
    if (why === 'deleted') {
      this.cursor = undefined;
      this.#isAbsent = false;
      // One that was taken ended with the session, or began it anew: its state tells.
      this.needsState ||= this.#isTaken;
      this.#ports.subscriptions.join(this.#stream, this);
    } else if (why === 'scope_lost') {
      this.#end(new GatewayError('FORBIDDEN', `${this.#stream} may not be read any more; the run goes on unseen.`));
    } else this.#end(why);
  }

  #see(record: RunRecord, units: number): void {
    this.#isSeen = true;
    this.#isAbsent = false;
    this.#log.append(record, units, this.cursor);
  }

  #lifecycle(data: RunPartData<'lifecycle'>): void {
    if (data.phase === 'end') this.#succeed(this.#message);
    else if (data.phase === 'error') {
      const reason = data.reason ?? (data.aborted ? 'aborted' : 'failed');
      this.#end(runError(reason, data.error ?? `The run ended: ${reason}.`, this.id, data.errorKind));
    }
  }

  /** The run ended, or was lost, while nobody looked: ask what became of it. `mayBeOpen`: then it is left alone. */
  async #recover(mayBeOpen = false): Promise<void> {
    const turn = ++this.#recovery;
    const isSettled = () => turn !== this.#recovery || this.#isFound();
    const { request } = this.#ports;
    try {
      const { status, stopReason = 'error' } = await request('agent.wait', {
        runId: this.#runId,
        timeoutMs: mayBeOpen ? 0 : recoverMs,
      });
      const messages: Message[] = [];
      let isKept = false;
      // Back to the message that was asked; the answer is behind it.
      for (let offset: number | undefined = 0; status === 'ok' && !isKept && offset !== undefined; ) {
        const page: Result<'chat.history'> = await request('chat.history', { sessionKey: this.#sessionKey, limit: 200, offset });
        messages.unshift(...page.messages);
        isKept = this.#follow(messages);
        offset = page.nextOffset;
      }
      if (isSettled()) return;
      if (status === 'ok') {
        const message = findAnswer(messages, this.#runId) ?? this.#message;
        if (message || isKept) this.#succeed(message, message && messageText(message));
        else this.#end(unknownOutcome(`The answer of run ${this.id} left the session.`, this.id));
      } else if (status === 'error') {
        this.#end(runError(reasonOf(stopReason), `The run ended: ${stopReason}.`, this.id));
      } else if (!mayBeOpen) {
        this.#end(unknownOutcome(`The gateway does not know run ${this.id}; look into the history.`, this.id));
      }
    } catch (error) {
      if (!isSettled()) this.#end(asGatewayError(error));
    }
  }

  /** True when the stream tells the rest after all. */
  #isFound(): boolean {
    return this.#log.isEnded || (this.#isSeen && !this.#isAbsent && this.cursor !== undefined);
  }

  #succeed(message: Message | undefined, answer?: string): void {
    const empty = { id: this.id, role: 'assistant', content: [], timestamp: 0, runId: this.#runId } as Message;
    this.#resolve(message ?? empty);
    this.#leave(undefined, answer);
  }

  #end(error: GatewayError): void {
    this.#reject(error);
    this.#leave(error);
  }

  #leave(error: GatewayError | undefined, answer?: string): void {
    if (this.#log.isEnded) return;
    this.#log.finish(error, answer);
    this.#ports.subscriptions.leave(this.#stream, this);
  }

  /** The parts from `after` on, by the gateway's log, because this client's own was cut. */
  async *#readAgain(fold: PartFold, after: Bookmark | undefined): AsyncGenerator<StreamedPart, void, undefined> {
    for await (const item of new EventReader(this.#ports.subscriptions, this.#stream, this.#ports.limits, { after })) {
      if (item.type === 'reset') {
        const runs = item.state?.kind === 'session' ? item.state.runs : [];
        const run = runs.find(({ runId }) => runId === this.#runId);
        yield { type: 'reset', reason: item.reason };
        if (!run) return;
        yield* fold.catchUp(run.parts);
      } else if (item.event === 'agent') {
        const payload = item.payload as AgentPayload;
        if (payload.runId !== this.#runId) continue;
        yield* fold.step(payload);
        if (payload.stream === 'lifecycle' && (payload.data.phase === 'end' || payload.data.phase === 'error')) return;
      }
    }
  }

  async #resolveApproval(id: string, decision: 'allow' | 'deny'): Promise<'allow' | 'deny'> {
    const answer = await this.#ports.request('approvals.resolve', { id, decision });
    return answer.decision;
  }
}

function* tell(fold: PartFold, record: RunRecord): Generator<StreamedPart> {
  if (record.type === 'event') yield* fold.step(record.payload);
  else {
    if (record.reason) yield { type: 'reset', reason: record.reason };
    yield* fold.catchUp(record.parts);
  }
}

function findAnswer(messages: readonly Message[], id: string): Message | undefined {
  return messages.findLast(({ role, runId }) => role === 'assistant' && runId === id);
}

/** The text of a message, without thinking and tools. */
function messageText({ content }: Message): string {
  return content.map((block) => (block.type === 'text' ? block.text : '')).join('');
}

function unknownOutcome(message: string, runId: string): GatewayError {
  return new GatewayError('UNKNOWN_OUTCOME', message, { details: { runId } });
}

function reasonOf(stopReason: string | undefined): string {
  return stopReason === 'aborted' || stopReason === 'rpc' ? 'aborted' : 'failed';
}

const runErrors: Readonly<Record<string, GatewayError['code']>> = {
  aborted: 'ABORTED',
  interrupted: 'INTERRUPTED',
  timeout: 'AGENT_TIMEOUT',
  agent_unavailable: 'UNAVAILABLE',
};

function runError(reason: string, message: string, runId: string, errorKind?: string): GatewayError {
  const code = runErrors[reason] ?? 'RUN_FAILED';
  const retryable = code !== 'ABORTED' && code !== 'RUN_FAILED';
  return new GatewayError(code, message, { details: { runId, reason, errorKind }, retryable });
}
