import type { Payload, Result } from '@openclaw/protocol';
import {
  type AgentPayload,
  GatewayError,
  type Message,
  type RunPartData,
  type SessionState,
} from '@openclaw/protocol/wire';
import { asGatewayError } from './connection.ts';
import { type Bookmark, endsRun } from './cursor.ts';
import { readEvents } from './event-reader.ts';
import { type FeedReader, forbidden } from './feed.ts';
import type { Run } from './gateway.ts';
import type { Limits } from './limits.ts';
import type { RequestFunction } from './request.ts';
import { makeRunLog, type RunRecord } from './run-log.ts';
import { makePartFold, type PartFold, type StreamedPart } from './run-parts.ts';
import type { Subscriptions } from './subscriptions.ts';

/** How long a run that no one seems to know is asked for before it is given up. */
const recoverMs = 10_000;
const terminalStatuses: readonly string[] = ['ok', 'error', 'timeout'];

/** What a run needs of the gateway. */
export interface RunPorts {
  subscriptions: Subscriptions;
  request: RequestFunction;
  limits: Limits;
  /** Takes the message back if it never left. */
  cancelUnsent(key: string): boolean;
}

/** A run that is followed in its session's stream until it ends, whatever happens to the connection. */
export interface FollowedRun {
  run: Run;
  /** The gateway answered the message. */
  taken(status: string): void;
  /** The run is over without an answer. */
  fail(error: GatewayError): void;
}

/** `isTaken`: the gateway has the message, or someone else's request made the run. */
export function followRun(ports: RunPorts, sessionKey: string, id: string, isTaken: boolean): FollowedRun {
  const { subscriptions, request, limits, cancelUnsent } = ports;
  const stream = `session:${sessionKey}`;
  const log = makeRunLog(limits);
  /** The run whose parts are told: another one when the message was taken into that. */
  let toldId = id;
  /** Something of the run was seen. */
  let isSeen = false;
  /** The last snapshot did not have the run, and nothing of it came since. */
  let isAbsent = false;
  /** That snapshot was of a session that has a past. */
  let isDoubtful = false;
  /** Counts the times that the gateway was asked what became of it; the last one tells. */
  let recovery = 0;
  let answer: Message | undefined;
  let resolveFinal: (message: Message) => void;
  let rejectFinal: (error: GatewayError) => void;
  const final = new Promise<Message>((resolve, reject) => {
    resolveFinal = resolve;
    rejectFinal = reject;
  });
  // Whoever only iterates must not be punished by an unhandled rejection.
  final.catch(() => {});

  const reader: FeedReader = {
    cursor: undefined,
    needsState: isTaken,

    event(frame, units) {
      if (log.isEnded) return;
      switch (frame.event) {
        case 'agent': {
          const payload = frame.payload as AgentPayload;
          if (payload.runId !== toldId) return;
          const { offset, from = offset } = frame;
          // Reading again from just before the first record finds the whole run.
          if (reader.cursor && log.end === 0) log.start = { ...reader.cursor, offset: from - 1, open: {} };
          see({ type: 'event', payload }, units);
          if (payload.stream === 'lifecycle') step(payload.data);
          return;
        }
        case 'session.message': {
          const { message } = frame.payload as Payload<'session.message'>;
          answer = findAnswer([message], toldId) ?? answer;
          return;
        }
        case 'session.input': {
          const { runId, phase, into = toldId } = frame.payload as Payload<'session.input'>;
          if (runId !== id) return;
          isSeen = true;
          isAbsent = false;
          if (phase === 'taken') toldId = into;
          if (phase === 'dropped') fail(runError('aborted', 'The session was reset.', id));
        }
      }
    },

    reset({ reason, state }) {
      if (log.isEnded || state?.kind !== 'session') return;
      const { entry, runs, inputs, messages }: SessionState = state;
      findAsked(messages);
      const parts = runs.find(({ runId }) => runId === toldId)?.parts;
      if (parts) {
        // A snapshot holds only the end of a long part: whoever did not hear the beginning is told that it is missing.
        const isCut = parts.some((part) => 'start' in part && part.start > 0);
        see({ type: 'state', reason: isSeen || isCut ? reason : undefined, parts }, JSON.stringify(parts).length);
        return;
      }
      isAbsent = !inputs.some(({ runId }) => runId === id);
      isSeen ||= !isAbsent;
      isDoubtful = entry !== undefined;
      answer ??= findAnswer(messages, toldId);
    },

    live() {
      if (isAbsent && (isTaken || isSeen)) void recover();
    },

    ended(why) {
      if (log.isEnded) return;
      if (why === 'deleted') {
        isAbsent = false;
        // One that was taken ended with the session, or began it anew: its state tells.
        reader.needsState ||= isTaken;
        rejoin();
      } else fail(why === 'scope_lost' ? forbidden(stream) : why);
    },
  };

  /** Begins anew, with a snapshot or wherever the stream is. */
  function rejoin(): void {
    reader.cursor = undefined;
    subscriptions.join(stream, reader);
  }

  function see(record: RunRecord, units: number): void {
    isSeen = true;
    isAbsent = false;
    log.append(record, units, reader.cursor);
  }

  /** The transcript tells when the message was taken into another run: that one's parts are told from then on. */
  function findAsked(messages: readonly Message[]): boolean {
    const asked = messages.findLast((message) => message.role === 'user' && message.id === id);
    toldId = asked?.runId ?? toldId;
    return asked !== undefined;
  }

  function step({ phase, reason, aborted, error, errorKind }: RunPartData<'lifecycle'>): void {
    if (phase === 'end') succeed(answer);
    else if (phase === 'error') {
      const why = reason ?? (aborted ? 'aborted' : 'failed');
      fail(runError(why, error ?? `The run ended: ${why}.`, id, errorKind));
    }
  }

  /** The run ended, or was lost, while nobody looked: ask what became of it. `mayBeOpen`: then it is left alone. */
  async function recover(mayBeOpen = false): Promise<void> {
    const turn = ++recovery;
    // Or the stream tells the rest after all.
    const isSettled = () => turn !== recovery || log.isEnded || (isSeen && !isAbsent && reader.cursor !== undefined);
    try {
      const params = { runId: toldId, timeoutMs: mayBeOpen ? 0 : recoverMs };
      const { status, stopReason = 'error' } = await request('agent.wait', params);
      const messages: Message[] = [];
      let isKept = false;
      // Back to the message that was asked; the answer is behind it.
      for (let offset: number | undefined = 0; status === 'ok' && !isKept && offset !== undefined; ) {
        const page: Result<'chat.history'> = await request('chat.history', { sessionKey, limit: 200, offset });
        messages.unshift(...page.messages);
        isKept = findAsked(messages);
        offset = page.nextOffset;
      }
      if (isSettled()) return;
      if (status === 'ok') {
        const message = findAnswer(messages, toldId) ?? answer;
        if (message || isKept) succeed(message, message && messageText(message));
        else fail(unknownOutcome(`The answer of run ${id} left the session.`, id));
      } else if (status === 'error') {
        fail(runError(reasonOf(stopReason), `The run ended: ${stopReason}.`, id));
      } else if (!mayBeOpen) {
        fail(unknownOutcome(`Run ${id} is not known; see the history.`, id));
      }
    } catch (error) {
      if (!isSettled()) fail(asGatewayError(error));
    }
  }

  /** `text`: the whole answer, when it was not told part by part. */
  function succeed(message: Message | undefined, text?: string): void {
    resolveFinal(message ?? ({ id, role: 'assistant', content: [], timestamp: 0, runId: toldId } as Message));
    leave(undefined, text);
  }

  function fail(error: GatewayError): void {
    rejectFinal(error);
    leave(error);
  }

  function leave(error: GatewayError | undefined, text?: string): void {
    if (log.isEnded) return;
    log.finish(error, text);
    subscriptions.leave(stream, reader);
  }

  async function* tellParts(): AsyncGenerator<StreamedPart, void, undefined> {
    const fold = makePartFold(async (approvalId, decision) => {
      const resolved = await request('approvals.resolve', { id: approvalId, decision });
      return resolved.decision;
    });
    let index = 0;
    let place: Bookmark | undefined;
    for (;;) {
      if (index < log.base) {
        if (index === 0 && log.opening) {
          place = log.opening.after;
          yield* fold.tell(log.opening.record);
        }
        yield* readAgain(fold, place ?? log.start);
        index = log.end;
      }
      const kept = log.at(index);
      if (kept) {
        index++;
        place = kept.after;
        yield* fold.tell(kept.record);
      } else if (log.isEnded) {
        if (log.error) throw log.error;
        if (log.answer !== undefined) yield* fold.finish(log.answer);
        return;
      } else {
        await log.changed();
      }
    }
  }

  /** The parts from `after` on, by the gateway's log, because this client's own was cut. */
  async function* readAgain(fold: PartFold, after: Bookmark | undefined): AsyncGenerator<StreamedPart> {
    for await (const item of readEvents(subscriptions, stream, limits, { after })) {
      if (item.type === 'reset') {
        const runs = item.state?.kind === 'session' ? item.state.runs : [];
        const run = runs.find(({ runId }) => runId === toldId);
        yield* fold.tell({ type: 'state', reason: item.reason, parts: run?.parts ?? [] });
        if (!run) return;
      } else if (item.event === 'agent') {
        const payload = item.payload as AgentPayload;
        if (payload.runId !== toldId) continue;
        yield* fold.tell({ type: 'event', payload });
        if (endsRun(payload)) return;
      }
    }
  }

  rejoin();

  return {
    run: {
      id,
      final,
      [Symbol.asyncIterator]: tellParts,
      async abort() {
        if (log.isEnded) return { aborted: false };
        if (cancelUnsent(id)) return { aborted: true };
        const { aborted } = await request('chat.abort', { sessionKey, runId: toldId });
        return { aborted };
      },
    },
    taken(status) {
      isTaken = true;
      if (isSeen || log.isEnded) return;
      if (terminalStatuses.includes(status)) void recover();
      else if (status === 'in_flight') {
        // It began before this client listened: what was missed comes with a snapshot.
        subscriptions.leave(stream, reader);
        reader.needsState = true;
        rejoin();
      } else if (isAbsent && isDoubtful) {
        // The snapshot before this answer may be from after the run: it tells only that the run is not open.
        void recover(true);
      }
    },
    fail,
  };
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
