import {
  type Message,
  mainSessionKey,
  methods,
  type Payload,
  type Result,
  type SessionState,
} from '@openclaw/protocol';
import { executeOnce } from '../dispatch/keyed.ts';
import { AtRelease, type Call, implement, type MethodImplementation } from '../dispatch/method.ts';
import { validTraceparent } from '../http/route.ts';
import { v4Message, v4SessionMessage } from '../projection/v4-message.ts';
import type { SessionStream } from '../sessions/sessions.ts';
import type { GatewayParts } from './context.ts';
import { takeMessage } from './take-message.ts';

/** UTF-8 bytes of the messages in one page of history. */
const pageBytes = 160 * 1_024;

/** `chat.*`. */
export function chatMethods(parts: GatewayParts): MethodImplementation[] {
  const { openRuns, sessions } = parts;
  return [
    implement(methods['chat.send'], async (params, call) => {
      const taken = await takeMessage(parts, call.peer.identity.principal, 'chat.send', {
        ...params,
        traceparent: validTraceparent(call.traceparent),
        assertAllowed: call.assertAllowed,
      });
      const replayed = call.peer.hasStreams ? { replayed: true as const } : {};
      switch (taken.kind) {
        case 'claimed':
          return { runId: params.idempotencyKey, status: 'started' as const };
        case 'running':
          return { runId: params.idempotencyKey, status: 'in_flight' as const, ...replayed };
        case 'done': {
          const { status, summary, stopReason, endedAt, error } = taken.outcome;
          const ended = status === 'ok' ? {} : { summary: error ?? summary, stopReason, endedAt };
          return { runId: params.idempotencyKey, status, ...ended, ...replayed };
        }
      }
    }),
    implement(methods['chat.abort'], async (params, call) => {
      const key = sessions.canonicalKey(params.sessionKey, params.agentId);
      const stream = sessions.current(await sessions.open(key));
      return executeOnce(parts.ledger, call, 'chat.abort', params, () => {
        const open = stream.state.runs.map(({ runId }) => runId);
        const asked = params.runId === undefined ? open : open.filter((runId) => runId === params.runId);
        const runIds = asked.filter((runId) =>
          openRuns.end(runId, { phase: 'error', reason: 'aborted', aborted: true, stopReason: 'rpc' }),
        );
        return { ok: true as const, aborted: runIds.length > 0, runIds };
      });
    }),
    implement(methods['chat.history'], (params, call) => history(parts, call, params)),
    implement(methods['chat.startup'], async (params, call) => {
      const sessionKey = params.sessionKey ?? mainSessionKey;
      const page = await history(parts, call, { ...params, sessionKey });
      return new AtRelease(() => {
        const { result } = page.settle();
        return {
          result: {
            ...result,
            agents: parts.agents.list(),
            defaultAgentId: parts.defaultAgentId,
            models: parts.agents.models,
          },
        };
      });
    }),
  ];
}

interface HistoryParams {
  sessionKey: string;
  agentId?: string | undefined;
  limit?: number | undefined;
  offset?: number | undefined;
  maxChars?: number | undefined;
  cursor?: string | undefined;
}

async function history(
  parts: GatewayParts,
  { peer }: Call,
  params: HistoryParams,
): Promise<AtRelease<Result<'chat.history'>>> {
  const { sessions, openRuns, log } = parts;
  const { limit = 200, offset = 0, maxChars } = params;
  const stream = await sessions.open(sessions.canonicalKey(params.sessionKey, params.agentId));
  const since = params.cursor === undefined ? undefined : parseCursor(params.cursor, stream);
  const reset = () =>
    new AtRelease(() => {
      const empty = peer.hasStreams ? { sessionKey: params.sessionKey, messages: [] } : {};
      return { result: { kind: 'reset', ...empty } as unknown as Result<'chat.history'> };
    });
  if (since === 'reset') return reset();
  const total = (stream.committedState as SessionStream['state']).messageCount;
  // What is committed while the messages are read follows the position.
  const position = { stream: stream.name, epoch: stream.epoch, offset: stream.committedHead };
  const before = await offsetOfNewest(log, stream, total, offset);
  const wanted = Math.min(limit, total - offset);
  const records = wanted > 0 ? await log.readMessages(stream, before, wanted, pageBytes) : [];
  const page = since === undefined ? records : records.filter((record) => record.offset > since);
  const first = total - offset - records.length;
  // More came since than one page holds: what lies between would be left out in silence.
  if (since !== undefined && first > 0 && page.length === records.length) return reset();
  const messages = page.map((record) => {
    const { payload } = JSON.parse(record.frame.text) as { payload: Payload<'session.message'> };
    const message = maxChars === undefined ? payload.message : cutMessage(payload.message, maxChars);
    if (peer.hasStreams) return message;
    return since === undefined ? v4Message(message, payload.messageSeq) : v4SessionMessage({ ...payload, message });
  });
  const newest = records.at(-1)?.offset ?? 0;
  return new AtRelease(() => {
    const { entry, runs: open, inputs } = stream.committedState as SessionStream['state'];
    const active = open[0];
    const inFlightRun = active && {
      runId: active.runId,
      text: answerSoFar(openRuns.committedAnswer(active), peer.hasStreams),
      startedAt: active.startedAt,
      events: [],
    };
    const facts = {
      sessionKey: params.sessionKey,
      ...(entry ? { sessionId: entry.sessionId } : {}),
      hasMore: first > 0,
      ...(first > 0 ? { nextOffset: offset + records.length } : {}),
      totalMessages: total,
      defaults: {},
    };
    const result = {
      // v4's answer to a cursor is closed: it has nothing of a page.
      ...(since === undefined || peer.hasStreams ? facts : {}),
      ...(since === undefined ? {} : { kind: 'delta' }),
      messages: messages as Message[],
      pendingInputs: { items: inputs.slice(0, 20).map(pendingInput), total: inputs.length },
      deltaCursor: `${stream.epoch}.${newest}`,
      sessionInfo: {
        ...(entry ?? { key: params.sessionKey }),
        hasActiveRun: open.length > 0,
        activeRunIds: open.map(({ runId }) => runId),
      },
      ...(inFlightRun ? { inFlightRun } : {}),
      ...(peer.hasStreams ? { position } : {}),
    };
    return { result: result as Result<'chat.history'> };
  });
}

/** A queued message as v4 lists it: not yet a row of the transcript, so without a number in it. */
function pendingInput({ runId, message }: SessionState['inputs'][number]) {
  const { __openclaw: facts, ...row } = v4Message(message, 0);
  const { seq: _seq, ...known } = facts;
  return {
    id: message.id,
    runId,
    message: { ...row, __openclaw: known },
    acceptedAt: message.timestamp,
    state: 'queued',
  };
}

/** Connections with streams have the whole from their stream; their frames are bounded (S22). */
function answerSoFar(text: string, hasStreams: boolean): string {
  return hasStreams ? text.slice(0, 32_000) : text;
}

/** The log offset below which the page begins, when the newest `skip` messages are left out. */
async function offsetOfNewest(
  log: GatewayParts['log'],
  stream: SessionStream,
  total: number,
  skip: number,
): Promise<number> {
  let before = stream.committedHead + 1;
  for (let left = Math.min(skip, total); left > 0; ) {
    const page = await log.readMessages(stream, before, Math.min(left, 500), 4 * 1_048_576);
    if (page.length === 0) break;
    before = page[0]?.offset ?? before;
    left -= page.length;
  }
  return before;
}

function parseCursor(cursor: string, stream: SessionStream): number | 'reset' {
  const [epoch, offset] = cursor.split('.');
  const since = Number(offset);
  return epoch === stream.epoch && Number.isSafeInteger(since) && since <= stream.committedHead ? since : 'reset';
}

function cutMessage(message: Message, maxChars: number): Message {
  const content = message.content.map((block) =>
    block.type === 'text' && block.text.length > maxChars
      ? { ...block, text: block.text.slice(0, maxChars), cut: true as const }
      : block,
  );
  return { ...message, content };
}
