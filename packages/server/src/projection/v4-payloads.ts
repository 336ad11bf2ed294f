import type { AgentPayload, Payload, RunPartData } from '@openclaw/protocol';
import type { RunText, TextCursor } from './run-text.ts';
import type { RunIdentity } from './v4-run.ts';

/** An event for v4 connections. Its payload is stringified once, whoever gets it. */
export interface ProjectedEvent {
  event: string;
  json: string;
}

type LifecyclePayload = Extract<AgentPayload, { stream: 'lifecycle' }>;

/** What v4 says about a run before the first word. */
type StartupPhase = 'preparing_context' | 'starting_model';

/** Where an event stands in its run. */
interface Mark {
  seq: number;
  ts: number;
}

/** An `agent` event with data in v4's form. */
export function agentEvent(
  { runId, sessionKey, sessionId, agentId }: RunIdentity,
  { seq, ts }: Mark,
  stream: string,
  data: object,
): ProjectedEvent {
  const payload = { runId, stream, data, sessionKey, sessionId, agentId, seq, ts, isHeartbeat: false };
  return { event: 'agent', json: JSON.stringify(payload) };
}

/** What came of a text since `cursor`: an `agent` event of its part, or chat's `delta`. Undefined when nothing came. */
export function textEvent(identity: RunIdentity, text: RunText, cursor: TextCursor): ProjectedEvent | undefined {
  const piece = text.since(cursor);
  if (!piece) return undefined;
  const replace = piece.isReplaced ? { replace: true } : {};
  if (text.stream !== 'chat') {
    return agentEvent(identity, text, text.stream, {
      text: text.text,
      delta: piece.delta,
      itemId: text.itemId,
      ...replace,
    });
  }
  const words = { deltaText: piece.delta, ...replace, message: chatMessage(text.text, text.ts) };
  return chatEvent(identity, text.seq, 'delta', words);
}

/**
 * The course of a run in v4's words: what it waits for before the first word, its start, and its end: the last `agent` event,
 * then chat's `final`, `aborted` or `error` with the whole `answer`.
 */
export function lifecycleEvents(
  payload: LifecyclePayload,
  answer: string,
  startedAt: number | undefined,
): ProjectedEvent[] {
  const { data, ts } = payload;
  switch (data.phase) {
    case 'queued':
    case 'recovering':
      return statusEvents(payload, 'preparing_context');
    case 'start': {
      const status = statusEvents(payload, 'starting_model');
      // v4 knows one start per run: a second agent that takes it over is a change of status.
      if ((data.attempt ?? 1) > 1) return status;
      const start = { phase: 'start', startedAt: data.startedAt ?? ts };
      return [agentEvent(payload, payload, 'lifecycle', start), ...status.filter(({ event }) => event === 'chat')];
    }
    case 'end':
    case 'error':
      return terminalEvents(payload, answer, { startedAt: data.startedAt ?? startedAt, endedAt: data.endedAt ?? ts });
  }
}

function statusEvents(payload: LifecyclePayload, phase: StartupPhase): ProjectedEvent[] {
  return [chatEvent(payload, payload.seq, 'status', { phase }), agentEvent(payload, payload, 'run_status', { phase })];
}

function terminalEvents(
  payload: LifecyclePayload,
  answer: string,
  times: { startedAt: number | undefined; endedAt: number },
): ProjectedEvent[] {
  const { data, seq, ts } = payload;
  const message = answer === '' ? {} : { message: chatMessage(answer, ts) };
  const stopReason = data.stopReason === undefined ? {} : { stopReason: data.stopReason };
  if (data.phase === 'end') {
    const end = { phase: 'end', stopReason: 'stop', ...stopReason, aborted: false, ...times };
    return [
      agentEvent(payload, payload, 'lifecycle', end),
      chatEvent(payload, seq, 'final', { stopReason: end.stopReason, ...message }),
    ];
  }
  if (data.reason === 'aborted' || data.aborted === true) {
    return [
      agentEvent(payload, payload, 'lifecycle', { phase: 'error', stopReason: 'aborted', aborted: true, ...times }),
      chatEvent(payload, seq, 'aborted', { stopReason: 'rpc', ...stopReason, ...message }),
    ];
  }
  const error = data.error ?? `The run ended: ${data.reason ?? 'failed'}.`;
  const errorKind = data.errorKind ?? (data.reason === 'timeout' ? 'timeout' : 'unknown');
  return [
    agentEvent(payload, payload, 'lifecycle', { phase: 'error', error, aborted: false, ...stopReason, ...times }),
    chatEvent(payload, seq, 'error', { errorMessage: error, errorKind, ...stopReason, ...message }),
  ];
}

/** A tool call in v4's form: what it answers is content blocks, with the value beside them. */
export function toolData({ safe, partialResult, result, ...data }: RunPartData<'tool'>): object {
  return {
    ...data,
    ...(partialResult === undefined ? {} : { partialResult: toolContent(partialResult) }),
    ...(data.phase === 'result' ? { isError: data.isError === true, result: toolContent(result ?? null) } : {}),
  };
}

/** The payload of v4's `sessions.changed`: what changed, with the fields of the session's row beside it. */
export function sessionsChanged({ sessionKey, reason, ts, entry, hasActiveRun }: Payload<'sessions.changed'>): object {
  const row = entry && { ...entry, kind: 'direct', hasActiveRun: hasActiveRun === true };
  return { ...row, sessionKey, reason, ts };
}

function chatEvent(
  { runId, sessionKey, agentId }: RunIdentity,
  seq: number,
  state: string,
  rest: object,
): ProjectedEvent {
  return { event: 'chat', json: JSON.stringify({ runId, sessionKey, agentId, seq, state, ...rest }) };
}

function chatMessage(text: string, timestamp: number) {
  return { role: 'assistant', content: [{ type: 'text', text }], timestamp };
}

function toolContent(value: unknown): object {
  if (typeof value === 'object' && value !== null && 'content' in value && Array.isArray(value.content)) return value;
  if (typeof value === 'string') return { content: [{ type: 'text', text: value }] };
  return { content: [{ type: 'text', text: JSON.stringify(value) }], details: value };
}
