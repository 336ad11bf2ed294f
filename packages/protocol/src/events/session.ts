import { z } from 'zod';
import { defineEvent } from '../contract.ts';

/** A reference to bytes that `media.read` returns (S5). */
export const mediaReference = z.object({
  id: z.string().describe('SHA-256 of the bytes, lower-case hex.'),
  mimeType: z.string().max(256).describe('What the bytes are.'),
  sizeBytes: z.int().min(0).describe('How many there are.'),
  fileName: z.string().max(512).optional().describe('The name that the sender gave.'),
});

/** One block of a message. */
export const contentBlock = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('text').describe('Text.'),
    text: z.string().describe('The text.'),
    cut: z.literal(true).optional().describe('Present when the text was cut; the whole is in media.'),
    media: mediaReference.optional().describe('The whole text, when it was cut and is kept.'),
  }),
  z.object({
    type: z.literal('thinking').describe('Thinking.'),
    thinking: z.string().describe('The text.'),
    cut: z.literal(true).optional().describe('Present when it was cut.'),
  }),
  z.object({
    type: z.literal('toolCall').describe('A tool was called.'),
    id: z.string().describe('The toolCallId.'),
    name: z.string().describe('The tool.'),
    arguments: z.unknown().describe('What it was called with.'),
  }),
  z.object({
    type: z.literal('toolResult').describe('A tool answered.'),
    toolCallId: z.string().describe('The call.'),
    content: z.unknown().describe('The answer.'),
    isError: z.boolean().optional().describe('True when it failed.'),
    cut: z.literal(true).optional().describe('Present when it was cut.'),
  }),
  z.object({ type: z.literal('media').describe('A file.'), media: mediaReference }),
]);
export type ContentBlock = z.infer<typeof contentBlock>;

/** Where a message from outside came from; what an operator typed has none. Data, never instructions. */
export const messageSource = z.object({
  kind: z.enum(['channel', 'hook', 'http']).describe('Which door it came through.'),
  id: z.string().max(256).describe('The channel and account, the hook, or the principal of the HTTP caller.'),
});
export type MessageSource = z.infer<typeof messageSource>;

/** A message of the transcript. */
export const message = z.object({
  id: z.string().describe('The message, unique within its session.'),
  role: z.enum(['user', 'assistant', 'system']).describe('Who speaks.'),
  content: z.array(contentBlock).describe('What is said, in order.'),
  timestamp: z.int().describe('When it was taken, in ms since 1970.'),
  runId: z.string().optional().describe('The run that it belongs to.'),
  idempotencyKey: z.string().optional().describe("Of a user's message: the key that it was sent with."),
  stopReason: z.string().optional().describe('Of an answer: how it ended.'),
  usage: z.record(z.string(), z.unknown()).optional().describe('Of an answer: tokens used.'),
  provider: z.string().optional().describe('Of an answer: who served the model.'),
  model: z.string().optional().describe('Of an answer: the model.'),
  source: messageSource.optional().describe('Where it came from, when not from an operator’s app.'),
});
export type Message = z.infer<typeof message>;

/** What is known of a session beside its messages. */
export const sessionEntry = z.object({
  key: z.string().describe('The canonical key.'),
  sessionId: z.string().describe('The session; a deleted and re-created key has another.'),
  agentId: z.string().describe('The agent that answers in it.'),
  createdAt: z.int().describe('When it came to be, in ms since 1970.'),
  updatedAt: z.int().describe('When something last happened in it, in ms since 1970.'),
  label: z.string().optional().describe('The name that a person gave it.'),
  model: z.string().optional().describe('The model to use in place of the default.'),
  thinkingLevel: z.string().optional().describe('How much the model is asked to think.'),
  queueMode: z
    .enum(['steer', 'followup', 'collect', 'interrupt'])
    .optional()
    .describe('What a message does that arrives during a run. Default followup.'),
  archived: z.boolean().optional().describe('True when it was put away.'),
  pinned: z.boolean().optional().describe('True when it was pinned.'),
});
export type SessionEntry = z.infer<typeof sessionEntry>;

const key = z.string().describe('The canonical key of the session.');
const sessionId = z.string().describe('The session.');

export const sessionCreatedEvent = defineEvent({
  name: 'session.created',
  summary: 'The first event of a session.',
  since: '0.1',
  streams: ['session'],
  payload: z.object({ sessionKey: key, sessionId, entry: sessionEntry.describe('The session.') }),
});

export const sessionUpdatedEvent = defineEvent({
  name: 'session.updated',
  summary: 'The entry of a session changed.',
  since: '0.1',
  streams: ['session'],
  payload: z.object({ sessionKey: key, sessionId, entry: sessionEntry.describe('The whole entry as it is now.') }),
});

export const sessionMessageEvent = defineEvent({
  name: 'session.message',
  summary: 'A message was added to the transcript.',
  since: 'v4',
  streams: ['session'],
  payload: z.object({
    sessionKey: key,
    sessionId,
    agentId: z.string().describe('The agent of the session.'),
    messageSeq: z.int().min(1).describe('1, 2, 3, … over all messages of the session.'),
    message: message.describe('The message.'),
    n: z.int().min(1).optional().describe('On the last event of an emit: its number (S28).'),
  }),
});

export const sessionInputEvent = defineEvent({
  name: 'session.input',
  summary: 'A message that arrived during a run was queued, taken, or dropped.',
  since: '0.1',
  streams: ['session'],
  payload: z.object({
    sessionKey: key,
    sessionId,
    runId: z.string().describe('The runId that the message has as a run of its own.'),
    phase: z
      .enum(['queued', 'taken', 'dropped'])
      .describe('taken: it is in the transcript now; dropped: the session was reset first.'),
    mode: z.enum(['steer', 'followup', 'collect', 'interrupt']).optional().describe('With phase queued: how it waits.'),
    message: message.optional().describe('With phase queued: the message.'),
    into: z.string().optional().describe('With phase taken: the run that it became part of, when not its own.'),
    traceparent: z.string().max(128).optional().describe('With phase queued: the trace that it belongs to (W3C).'),
  }),
});

export const sessionResetEvent = defineEvent({
  name: 'session.reset',
  summary: 'The transcript starts anew; numbering and epoch of the stream go on (S9).',
  since: '0.1',
  streams: ['session'],
  payload: z.object({ sessionKey: key, sessionId, entry: sessionEntry.describe('The entry after the reset.') }),
});

export const sessionsChangedEvent = defineEvent({
  name: 'sessions.changed',
  summary: 'The index of sessions changed.',
  since: 'v4',
  streams: ['system'],
  payload: z.object({
    sessionKey: key,
    reason: z.enum(['create', 'patch', 'reset', 'delete', 'run', 'message']).describe('What happened.'),
    ts: z.int().describe('When, in ms since 1970.'),
    entry: sessionEntry.optional().describe('The entry as it is now; absent after a delete.'),
    hasActiveRun: z.boolean().optional().describe('True while a run is open.'),
  }),
});

const approvalFields = {
  approvalId: z.string().describe('The approval.'),
  runId: z.string().describe('The run that waits.'),
  sessionKey: key,
  title: z.string().describe('What is to be approved, in a few words.'),
  description: z.string().optional().describe('What would happen.'),
  toolCallId: z.string().optional().describe('The tool call that waits.'),
  args: z.unknown().optional().describe('What the tool would be called with.'),
  requestedAt: z.int().describe('When it was asked, in ms since 1970.'),
  expiresAt: z.int().describe('When it counts as denied, in ms since 1970.'),
};

/** An approval that waits for a person. */
export const approval = z.object(approvalFields);
export type Approval = z.infer<typeof approval>;

export const approvalRequestedEvent = defineEvent({
  name: 'approval.requested',
  summary: 'A run asks a person.',
  since: '0.1',
  streams: ['approvals'],
  payload: approval,
});

export const approvalResolvedEvent = defineEvent({
  name: 'approval.resolved',
  summary: 'The question was answered, or nobody did in time, or its run ended.',
  since: '0.1',
  streams: ['approvals'],
  payload: z.object({
    approvalId: z.string().describe('The approval.'),
    runId: z.string().describe('The run.'),
    decision: z.enum(['allow', 'deny']).describe('The answer.'),
    reason: z.enum(['resolved', 'timeout', 'run_ended']).describe('Who or what answered.'),
    ts: z.int().describe('When, in ms since 1970.'),
  }),
});
