import { z } from 'zod';
import { defineMethod } from '../contract.ts';
import { effects, runPart } from '../events/run.ts';
import { approval, message, sessionEntry } from '../events/session.ts';

const runId = z.string().min(1).max(256).describe('The run.');
const idempotencyKey = z.string().min(1).max(256).describe('The key of this request.');

export const agentAttachMethod = defineMethod({
  name: 'agent.attach',
  summary: 'Holds agent:<id>: its work comes to this connection from now on (S28).',
  since: '0.1',
  scope: 'agent',
  replay: 'safe',
  roles: ['agent'],
  params: z.strictObject({
    instance: z
      .string()
      .min(8)
      .max(128)
      .describe('Random per agent process; the same one on a new socket replaces the old one.'),
    resumable: z.boolean().describe('Whether a run that another instance began can be continued (S21).'),
    models: z
      .array(
        z.strictObject({
          id: z.string().max(256).describe('The model.'),
          name: z.string().max(256).describe('Its name.'),
          provider: z.string().max(256).describe('Who serves it.'),
        }),
      )
      .max(256)
      .optional()
      .describe('The models that it can use, for models.list.'),
    name: z.string().max(256).optional().describe('Its name for people.'),
  }),
  result: z.object({
    agentId: z.string().describe('The agent that it is.'),
    stream: z.string().describe('The stream of its work; subscribe to it without a position.'),
    runs: z.array(z.string()).describe('The runs that this instance holds.'),
  }),
});

export const runStartMethod = defineMethod({
  name: 'run.start',
  summary: 'Claims a run, once per attempt, and gives what is needed to work on it.',
  since: '0.1',
  scope: 'agent',
  replay: 'safe',
  roles: ['agent'],
  params: z.strictObject({ runId }),
  result: z.object({
    runId,
    session: sessionEntry.describe('The session.'),
    attempt: z.int().min(1).describe('1 at first; more when this continues after a crash.'),
    n: z.int().min(0).describe('The last emit that was committed; go on with n+1.'),
    messages: z.array(message).describe('The conversation up to this run, oldest first, ≤160 KiB.'),
    hasMore: z.boolean().describe('True when older messages exist; run.messages gives them.'),
    journal: z
      .array(runPart)
      .describe('What earlier attempts emitted, deltas joined per part; long texts in several pieces. Empty at first.'),
    journalNext: z.int().optional().describe('Present when the journal goes on: run.journal gives the rest from here.'),
    steers: z
      .array(z.object({ inputId: z.string().describe('The message.'), text: z.string().describe('Its text.') }))
      .describe('Messages that were not taken in yet.'),
    approvals: z
      .array(
        z.object({
          approvalId: z.string().describe('The approval.'),
          decision: z.enum(['allow', 'deny']).describe('The answer.'),
        }),
      )
      .describe('Answers to approvals of this run.'),
    effects: effects.optional(),
    traceparent: z.string().max(128).optional().describe('The trace that the run belongs to (W3C).'),
  }),
});

export const runMessagesMethod = defineMethod({
  name: 'run.messages',
  summary: 'Older messages of the conversation of a claimed run.',
  since: '0.1',
  scope: 'agent',
  replay: 'safe',
  roles: ['agent'],
  params: z.strictObject({ runId, before: z.string().max(256).describe('The id of the oldest message known.') }),
  result: z.object({
    messages: z.array(message).describe('Oldest first, ≤160 KiB.'),
    hasMore: z.boolean().describe('True when older messages exist.'),
  }),
});

export const runJournalMethod = defineMethod({
  name: 'run.journal',
  summary: 'More of the journal of a claimed run.',
  since: '0.1',
  scope: 'agent',
  replay: 'safe',
  roles: ['agent'],
  params: z.strictObject({ runId, from: z.int().min(0).describe('The journalNext of the page before.') }),
  result: z.object({
    journal: z.array(runPart).describe('The parts that follow, ≤64 KiB beyond the first.'),
    journalNext: z.int().optional().describe('Present when the journal goes on.'),
  }),
});

export const runEmitMethod = defineMethod({
  name: 'run.emit',
  summary: 'Appends parts to a run; numbered per run, applied once. The terminal lifecycle part is the last of all.',
  since: '0.1',
  scope: 'agent',
  replay: 'safe',
  roles: ['agent'],
  params: z.strictObject({
    runId,
    n: z.int().min(0).describe('1, 2, 3, … per run; 0 with no parts says that the run is alive.'),
    parts: z.array(runPart).max(1024).describe('The parts, in order.'),
  }),
  result: z.object({
    n: z.int().min(0).describe('The last emit that is committed.'),
    expected: z.int().optional().describe('Of a refusal: the n that must come next.'),
  }),
});

export const approvalsListMethod = defineMethod({
  name: 'approvals.list',
  summary: 'Approvals that wait for an answer.',
  since: '0.1',
  scope: 'operator.approvals',
  replay: 'safe',
  params: z.looseObject({}),
  result: z.object({ approvals: z.array(approval).describe('Oldest first.') }),
});

export const approvalsResolveMethod = defineMethod({
  name: 'approvals.resolve',
  summary: 'Answers an approval; the first answer counts.',
  since: '0.1',
  scope: 'operator.approvals',
  replay: 'keyed',
  params: z.strictObject({
    id: z.string().min(1).max(256).describe('The approval.'),
    decision: z.enum(['allow', 'deny']).describe('The answer.'),
    idempotencyKey,
  }),
  result: z.object({
    ok: z.literal(true).describe('Always true.'),
    id: z.string().describe('The approval.'),
    decision: z.enum(['allow', 'deny']).describe('The answer that counts.'),
  }),
});
