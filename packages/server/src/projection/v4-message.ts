import type { ContentBlock, Message, Payload } from '@openclaw/protocol';

/** What v4 keeps beside the words of a message. */
export interface V4MessageFacts {
  id: string;
  /** 1, 2, 3, … over all messages of the session. */
  seq: number;
  runId?: string;
  recordTimestampMs: number;
  /** Files of a person's message, whose content is a plain string. */
  media?: Extract<ContentBlock, { type: 'media' }>['media'][];
}

/** A message of the transcript as v4 writes it, in `chat.history` and in `session.message` alike. */
export interface V4Message {
  role: Message['role'];
  /** A string for what a person or the system said, blocks for an answer. */
  content: string | ContentBlock[];
  timestamp: number;
  /** Of a person's message: the key that it was sent with and `:user`. */
  idempotencyKey?: string;
  usage?: Record<string, unknown>;
  stopReason?: string;
  provider?: string;
  model?: string;
  __openclaw: V4MessageFacts;
}

/** The payload of v4's `session.message`. */
export interface V4SessionMessage {
  sessionKey: string;
  sessionId: string;
  agentId: string;
  message: V4Message;
  messageSeq: number;
}

/** A message in v4's form. Pure; `messageSeq` is its number in the session. */
export function v4Message(message: Message, messageSeq: number): V4Message {
  const { role, content, timestamp, idempotencyKey, usage, stopReason, provider, model } = message;
  const isAnswer = role === 'assistant';
  const facts: V4MessageFacts = { id: message.id, seq: messageSeq, recordTimestampMs: timestamp };
  if (message.runId !== undefined) facts.runId = message.runId;
  const media = isAnswer ? [] : content.flatMap((block) => (block.type === 'media' ? [block.media] : []));
  if (media.length > 0) facts.media = media;
  return {
    role,
    content: isAnswer ? content : messageText(content),
    timestamp,
    ...(idempotencyKey === undefined ? {} : { idempotencyKey: isAnswer ? idempotencyKey : `${idempotencyKey}:user` }),
    ...(usage === undefined ? {} : { usage }),
    ...(stopReason === undefined ? {} : { stopReason }),
    ...(provider === undefined ? {} : { provider }),
    ...(model === undefined ? {} : { model }),
    __openclaw: facts,
  };
}

/** The payload of a `session.message` of the log as v4 subscribers get it. */
export function v4SessionMessage(payload: Payload<'session.message'>): V4SessionMessage {
  const { sessionKey, sessionId, agentId, message, messageSeq } = payload;
  return { sessionKey, sessionId, agentId, message: v4Message(message, messageSeq), messageSeq };
}

/** The words of a message without its other blocks: its texts, one after another. */
export function messageText(content: readonly ContentBlock[]): string {
  let text = '';
  for (const block of content) if (block.type === 'text') text += block.text;
  return text;
}
