import { z } from 'zod';
import { defineEvent } from '../contract.ts';

const runId = z.string().min(1).describe('The run; equals the idempotencyKey of the request that caused it.');
const toolCallId = z.string().min(1).max(256).describe('The tool call, unique within its run.');
const approvalId = z.string().min(1).max(256).describe('The approval, unique on the gateway.');

const delta = {
  itemId: z.string().min(1).max(256).describe('The part that the text belongs to, unique within its run.'),
  at: z.int().min(0).describe('UTF-16 length of that part before this delta (S12).'),
  delta: z.string().describe('The text that follows; the whole part when replace is true.'),
  replace: z.literal(true).optional().describe('Present when the part is set anew instead of continued; never merged.'),
};

/** Text of the answer. */
export const assistantData = z.object({
  ...delta,
  text: z.string().optional().describe('The whole part so far; made at the edge for v4 connections, never in the log.'),
});

/** Text of the thinking. */
export const thinkingData = z.object({
  ...delta,
  text: z.string().optional().describe('The whole part so far; made at the edge for v4 connections, never in the log.'),
});

/** A tool call: started, reporting, finished. */
export const toolData = z.object({
  phase: z.enum(['start', 'update', 'result']).describe('Where the call stands; exactly one result ends it.'),
  toolCallId,
  name: z.string().min(1).max(256).describe('The name of the tool.'),
  title: z.string().max(512).optional().describe('What a person is shown in place of the name.'),
  args: z.unknown().optional().describe('With phase start: the arguments, as the model gave them.'),
  safe: z.boolean().optional().describe('With phase start: true when the call may be repeated after a crash (S21).'),
  partialResult: z.unknown().optional().describe('With phase update: what is known so far.'),
  result: z.unknown().optional().describe('With phase result: what the tool answered.'),
  isError: z.boolean().optional().describe('With phase result: true when the tool failed.'),
});

/** A question to a person that the run waits for. */
export const approvalData = z.object({
  phase: z.enum(['requested', 'resolved']).describe('Whether the question was asked or answered.'),
  approvalId,
  title: z.string().min(1).max(512).describe('What is to be approved, in a few words.'),
  description: z.string().max(8192).optional().describe('What would happen, for the person who decides.'),
  toolCallId: toolCallId.optional(),
  args: z.unknown().optional().describe('What the tool would be called with.'),
  decision: z.enum(['allow', 'deny']).optional().describe('With phase resolved: the answer.'),
  reason: z
    .enum(['resolved', 'timeout', 'run_ended'])
    .optional()
    .describe('With phase resolved: a person answered, nobody did in time, or the run ended first.'),
  expiresAt: z.int().optional().describe('When it counts as denied if nobody answers, in ms since 1970.'),
});

/** Tokens that the run has used so far; absent fields are unknown, not 0. */
export const usageData = z.object({
  inputTokens: z.int().min(0).optional().describe('Tokens that were sent to the model.'),
  outputTokens: z.int().min(0).optional().describe('Tokens that the model produced.'),
  totalTokens: z.int().min(0).optional().describe('Both, where the model says so.'),
  provider: z.string().max(256).optional().describe('Who served the model.'),
  model: z.string().max(256).optional().describe('The model.'),
});

/** Something that a run tells beside text and tools. */
export const itemData = z.object({
  itemId: z.string().min(1).max(256).describe('The item, unique within its run.'),
  kind: z
    .enum(['step', 'notice', 'steered'])
    .describe(
      'step: a model step is finished; notice: words for the person; steered: a steering message was taken in.',
    ),
  title: z.string().max(1024).optional().describe('With kind notice: the words.'),
  inputId: z.string().max(256).optional().describe('With kind steered: the runId of the message that was taken in.'),
});

/** The course of a run. Exactly one `end` or `error` is the last event of every run. */
export const lifecycleData = z.object({
  phase: z
    .enum(['queued', 'start', 'recovering', 'end', 'error'])
    .describe('queued: accepted; start: an agent works on it; recovering: its agent is gone; end, error: terminal.'),
  startedAt: z.int().optional().describe('When an agent first took it, in ms since 1970.'),
  endedAt: z.int().optional().describe('With a terminal phase: when, in ms since 1970.'),
  attempt: z.int().min(1).optional().describe('With phase start: 1 for the first agent, 2 after the first crash, …'),
  reason: z
    .enum(['aborted', 'failed', 'interrupted', 'timeout', 'agent_unavailable'])
    .optional()
    .describe('With phase error: why.'),
  aborted: z.boolean().optional().describe('With a terminal phase: true when someone stopped it.'),
  stopReason: z
    .string()
    .max(256)
    .optional()
    .describe('With a terminal phase: the reason in the words of the model or of v4.'),
  error: z.string().max(4096).optional().describe('With phase error: what happened and what to do, for a person.'),
  errorKind: z
    .enum(['refusal', 'timeout', 'rate_limit', 'context_length', 'unknown'])
    .optional()
    .describe('With phase error: the kind, where it is known.'),
});

/** One part of a run as its agent emits it (S28). */
export const runPart = z.discriminatedUnion('stream', [
  z.object({ stream: z.literal('assistant').describe('Text of the answer.'), data: assistantData }),
  z.object({ stream: z.literal('thinking').describe('Text of the thinking.'), data: thinkingData }),
  z.object({ stream: z.literal('tool').describe('A tool call.'), data: toolData }),
  z.object({ stream: z.literal('approval').describe('A question to a person.'), data: approvalData }),
  z.object({ stream: z.literal('usage').describe('Tokens used.'), data: usageData }),
  z.object({ stream: z.literal('item').describe('A step, a notice, or a message taken in.'), data: itemData }),
  z.object({ stream: z.literal('lifecycle').describe('The course of the run.'), data: lifecycleData }),
]);

/** A part of a run; `stream` tells which. */
export type RunPart = z.infer<typeof runPart>;
/** The data of one kind of {@link RunPart}. */
export type RunPartData<S extends RunPart['stream']> = Extract<RunPart, { stream: S }>['data'];

const envelope = {
  runId,
  seq: z.int().min(1).describe('1, 2, 3, … within the run, over all its agent events.'),
  ts: z.int().describe('When it was appended, in ms since 1970.'),
  sessionKey: z.string().describe('The canonical key of the session.'),
  sessionId: z.string().describe('The session, as long as it is not deleted.'),
  agentId: z.string().describe('The agent that works on the run.'),
  n: z.int().min(1).optional().describe('On the last event of an emit: its number (S28).'),
};

/** The payload of an `agent` event: the run part with its envelope. */
export const agentPayload = z.object({
  ...envelope,
  stream: z.string().describe('The kind of part: lifecycle, thinking, assistant, tool, item, approval or usage.'),
  data: z.record(z.string(), z.unknown()).describe('The part, by its kind.'),
});

type Envelope = Omit<z.infer<typeof agentPayload>, 'stream' | 'data'>;
/** The payload of an `agent` event, narrowed by `stream`. */
export type AgentPayload = Envelope & RunPart;

export const agentEvent = defineEvent({
  name: 'agent',
  summary: 'One part of a run: lifecycle, thinking, text, tool, approval, usage.',
  since: 'v4',
  streams: ['session'],
  payload: agentPayload,
});

const session = {
  runId,
  sessionKey: z.string().describe('The canonical key of the session.'),
  sessionId: z.string().describe('The session.'),
  agentId: z.string().describe('The agent.'),
};

/** What a run may do to the world by tools that are not `safe`. */
export const effects = z
  .enum(['allow', 'ask', 'deny'])
  .describe('Tools that are not safe: allow (default, when absent), ask a person before each call, or deny.');
export type Effects = z.infer<typeof effects>;

export const runRequestedEvent = defineEvent({
  name: 'run.requested',
  summary: 'A run waits for the agent: claim it with run.start.',
  since: '0.1',
  streams: ['agent'],
  payload: z.object({
    ...session,
    attempt: z.int().min(1).describe('1 at first, more after a crash of the agent.'),
    requestedAt: z.int().describe('When, in ms since 1970.'),
    n: z.int().min(0).optional().describe('The last emit that was committed by then.'),
    stalled: z.int().min(0).optional().describe('Attempts in a row that committed nothing.'),
    effects: effects.optional(),
    traceparent: z.string().max(128).optional().describe('The trace that the message belongs to (W3C).'),
  }),
});

export const runStartedEvent = defineEvent({
  name: 'run.started',
  summary: 'The run was claimed by the attached agent instance.',
  since: '0.1',
  streams: ['agent'],
  payload: z.object({
    runId,
    instance: z.string().describe('The instance that claimed it.'),
    attempt: z.int().min(1).describe('The attempt that it claimed.'),
    local: z.boolean().describe('True when the instance lives and dies with the gateway process.'),
  }),
});

export const runSteerEvent = defineEvent({
  name: 'run.steer',
  summary: 'A message for a run in progress; the agent says with an item part of kind steered when it took it in.',
  since: '0.1',
  streams: ['agent'],
  payload: z.object({
    runId,
    inputId: z.string().describe('The runId that the message would have had as a run of its own.'),
    text: z.string().describe('The message.'),
  }),
});

export const runAbortEvent = defineEvent({
  name: 'run.abort',
  summary: 'The run has its terminal event already; stop working on it.',
  since: '0.1',
  streams: ['agent'],
  payload: z.object({ runId, reason: z.string().describe('Why, in v4 words.') }),
});

export const runApprovalEvent = defineEvent({
  name: 'run.approval',
  summary: 'The answer to an approval that the run waits for.',
  since: '0.1',
  streams: ['agent'],
  payload: z.object({
    runId,
    approvalId,
    decision: z.enum(['allow', 'deny']).describe('The answer.'),
    toolCallId: z.string().optional().describe('The tool call that waited for it.'),
  }),
});

export const runFinishedEvent = defineEvent({
  name: 'run.finished',
  summary: 'The run has its terminal event; its work is settled.',
  since: '0.1',
  streams: ['agent'],
  payload: z.object({ runId }),
});
