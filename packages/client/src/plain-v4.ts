import type { AgentPayload, ContentBlock, Message, RunPart, SessionState } from '@openclaw/protocol/wire';
import type { Payload, Result } from '@openclaw/protocol';

/** The one text part that a v4 gateway's cumulative answer is shown as. */
export const plainItemId = 'answer';

/** A session's state, as far as v4's `chat.history` tells it. */
export function readPlainState(history: Result<'chat.history'>): SessionState {
  const { inFlightRun, messages, totalMessages } = history;
  return {
    kind: 'session',
    messages: messages.map((row) => readPlainMessage(row)),
    messageCount: totalMessages ?? messages.length,
    inputs: [],
    runs: inFlightRun
      ? [
          {
            runId: inFlightRun.runId,
            agentId: '',
            status: 'running',
            seq: 0,
            n: 0,
            attempt: 1,
            parts: inFlightRun.text === '' ? [] : [{ kind: 'text', itemId: plainItemId, start: 0, text: inFlightRun.text }],
          },
        ]
      : [],
  };
}

/** A v4 message row, whose content may be a string and whose facts may lie in `__openclaw`. */
export function readPlainMessage(row: unknown, runId?: string): Message {
  const message = (row ?? {}) as Partial<Omit<Message, 'content'>> & {
    content?: string | ContentBlock[];
    __openclaw?: { id?: string; runId?: string };
  };
  const { content = '', __openclaw: facts } = message;
  const run = message.runId ?? facts?.runId ?? runId;
  return {
    ...(message as Message),
    id: message.id ?? facts?.id ?? run ?? '',
    role: message.role ?? 'assistant',
    content: typeof content === 'string' ? [{ type: 'text', text: content }] : content,
    timestamp: message.timestamp ?? 0,
    ...(run === undefined ? {} : { runId: run }),
  };
}

/** What a v4 event says about a run: a part, its end, or nothing that matters. */
export type PlainStep =
  | { type: 'part'; part: RunPart }
  /** The whole text of a part so far. */
  | { type: 'text'; stream: 'assistant' | 'thinking'; itemId: string; text: string }
  | { type: 'final'; message: Message }
  | { type: 'error'; reason: 'aborted' | 'failed'; message: string }
  | undefined;

/**
 * Reads a v4 event. Text and end come from `chat`, whose text is cumulative and heals itself after a drop; everything else
 * comes from `agent`.
 */
export function readPlainEvent(event: string, payload: unknown): PlainStep {
  if (event === 'agent') {
    const { stream, data } = payload as AgentPayload;
    if (stream === 'assistant' || stream === 'approval') return undefined;
    if (stream === 'thinking') {
      const { itemId = 'thinking', text } = data;
      return text === undefined ? undefined : { type: 'text', stream, itemId, text };
    }
    const isTerminal = stream === 'lifecycle' && (data.phase === 'end' || data.phase === 'error');
    const isOther = stream === 'item' && data.kind !== 'notice' && data.kind !== 'step';
    return isTerminal || isOther ? undefined : { type: 'part', part: { stream, data } as RunPart };
  }
  if (event !== 'chat') return undefined;
  const chat = payload as Payload<'chat'>;
  switch (chat.state) {
    case 'delta':
      return { type: 'text', stream: 'assistant', itemId: plainItemId, text: messageText(readPlainMessage(chat.message)) };
    case 'final':
      return { type: 'final', message: readPlainMessage(chat.message, chat.runId) };
    case 'aborted':
      return { type: 'error', reason: 'aborted', message: 'The run was aborted.' };
    case 'error':
      return { type: 'error', reason: 'failed', message: chat.errorMessage ?? 'The run failed.' };
    default:
      return undefined;
  }
}

/** The text of a message, without thinking and tools. */
export function messageText({ content }: Pick<Message, 'content'>): string {
  return content.map((block) => (block.type === 'text' ? block.text : '')).join('');
}
