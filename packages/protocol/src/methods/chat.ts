import { z } from 'zod';
import { defineEvent, defineMethod } from '../contract.ts';
import { mediaReference, message, sessionEntry } from '../events/session.ts';
import { position } from './streams.ts';

const sessionKey = z.string().min(1).max(512).describe('The session; `main` is the default one.');
const agentId = z.string().min(1).max(256).optional().describe('The agent, when the key does not name it.');
const idempotencyKey = z
  .string()
  .min(1)
  .max(256)
  .describe('The key of this request; becomes the runId. Sent again, it executes once.');

const attachment = z.looseObject({
  type: z.string().optional().describe('image, audio, video or file.'),
  mimeType: z.string().max(256).optional().describe('What the bytes are.'),
  fileName: z.string().max(512).optional().describe('The name that the sender gave.'),
  content: z.unknown().optional().describe('The bytes, base64. Or name an upload by `mediaId`.'),
  mediaId: z.string().length(64).optional().describe('The id that an upload to /media gave, in place of content.'),
});

export const queueMode = z.enum(['steer', 'followup', 'collect', 'interrupt']);
export type QueueMode = z.infer<typeof queueMode>;

export const chatSendMethod = defineMethod({
  name: 'chat.send',
  summary: 'Takes a message and starts a run, or queues it behind the run in progress; answers at once (S20, S28).',
  since: 'v4',
  scope: 'operator.write',
  replay: 'keyed',
  params: z.strictObject({
    sessionKey,
    agentId,
    sessionId: z.string().min(1).optional().describe('Refused when the session is another one by now.'),
    message: z.string().describe('The text.'),
    thinking: z.string().optional().describe('How much the model is asked to think.'),
    queueMode: queueMode
      .optional()
      .describe('What happens when a run is in progress. Default: of the session, else followup.'),
    deliver: z.boolean().optional().describe('Accepted for v4; channels decide.'),
    attachments: z.array(attachment).max(32).optional().describe('Files that belong to the message.'),
    timeoutMs: z.int().min(0).optional().describe('Accepted for v4; a run has no deadline of its own.'),
    fastMode: z
      .union([z.boolean(), z.literal('auto')])
      .optional()
      .describe('Accepted for v4.'),
    fastAutoOnSeconds: z.int().optional().describe('Accepted for v4.'),
    intent: z.unknown().optional().describe('Accepted for v4.'),
    originatingChannel: z.string().optional().describe('Accepted for v4.'),
    originatingTo: z.string().optional().describe('Accepted for v4.'),
    originatingAccountId: z.string().optional().describe('Accepted for v4.'),
    originatingThreadId: z.string().optional().describe('Accepted for v4.'),
    replyToId: z.string().optional().describe('Accepted for v4.'),
    toolBindings: z.record(z.string(), z.unknown()).optional().describe('Accepted for v4.'),
    systemInputProvenance: z.unknown().optional().describe('Accepted for v4.'),
    systemProvenanceReceipt: z.string().optional().describe('Accepted for v4.'),
    suppressCommandInterpretation: z.boolean().optional().describe('Accepted for v4.'),
    expectedLeafEntryId: z.string().nullable().optional().describe('Accepted for v4.'),
    expectedSessionRoutingContract: z.string().optional().describe('Accepted for v4.'),
    expectedPermissionMode: z.string().nullable().optional().describe('Accepted for v4.'),
    expectedToolOverrides: z.unknown().optional().describe('Accepted for v4.'),
    idempotencyKey,
  }),
  result: z.looseObject({
    runId: z.string().describe('The run; equals the idempotencyKey.'),
    status: z
      .enum(['started', 'in_flight', 'ok', 'error', 'timeout'])
      .describe('In v4 words; started is the first answer.'),
    replayed: z.literal(true).optional().describe('Present when the request had been executed before (S18).'),
  }),
});

export const chatAbortMethod = defineMethod({
  name: 'chat.abort',
  summary: 'Ends a run, or all runs of a session, at once; a finished run is left alone.',
  since: 'v4',
  scope: 'operator.write',
  replay: 'keyed',
  params: z.strictObject({
    sessionKey,
    agentId,
    runId: z.string().min(1).optional().describe('The run. Default: all open runs of the session.'),
    preserveSideRuns: z.boolean().optional().describe('Accepted for v4.'),
    idempotencyKey: idempotencyKey.optional(),
  }),
  result: z.object({
    ok: z.literal(true).describe('Always true.'),
    aborted: z.boolean().describe('Whether a run was ended.'),
    runIds: z.array(z.string()).describe('Those.'),
  }),
});

const historyParams = {
  sessionKey,
  agentId,
  limit: z.int().min(1).max(1000).optional().describe('Messages at most. Default 200; fewer come when they are large.'),
  offset: z
    .int()
    .min(0)
    .optional()
    .describe('Messages to leave out, from the newest. Default 0; `nextOffset` of an answer goes on.'),
  maxChars: z.int().min(1).max(500_000).optional().describe('Characters of one text at most. Default 192 KiB.'),
  cursor: z.string().max(1024).optional().describe('A deltaCursor of an earlier answer: only what came since.'),
  pendingBefore: z.int().optional().describe('Accepted for v4.'),
  inputRunIds: z.array(z.string()).optional().describe('Accepted for v4.'),
  messageId: z.string().optional().describe('Accepted for v4.'),
  sessionId: z.string().optional().describe('Accepted for v4.'),
  maxBytes: z.int().optional().describe('Accepted for v4.'),
};

const historyResult = z.looseObject({
  sessionKey: z.string().describe('The key as it was asked for.'),
  sessionId: z.string().optional().describe('The session; absent when it does not exist yet.'),
  messages: z.array(message.loose()).describe('Oldest first.'),
  hasMore: z.boolean().optional().describe('True when older ones exist.'),
  nextOffset: z.int().optional().describe('Where to go on for them.'),
  totalMessages: z.int().optional().describe('How many there are.'),
  deltaCursor: z.string().optional().describe('To be given back as `cursor`.'),
  inFlightRun: z
    .looseObject({
      runId: z.string().describe('The run.'),
      text: z.string().describe('The answer so far.'),
      startedAt: z.int().optional().describe('When it began, in ms since 1970.'),
    })
    .optional()
    .describe('The run in progress.'),
  position: position
    .extend({ stream: z.string().describe('The stream.') })
    .optional()
    .describe('For connections with streams: where to subscribe from (S11).'),
});

export const chatHistoryMethod = defineMethod({
  name: 'chat.history',
  summary: 'The transcript of a session, newest page first.',
  since: 'v4',
  scope: 'operator.read',
  replay: 'safe',
  params: z.looseObject(historyParams),
  result: historyResult,
});

export const chatStartupMethod = defineMethod({
  name: 'chat.startup',
  summary: 'What a chat page needs to begin: the transcript and the facts around it.',
  since: 'v4',
  scope: 'operator.read',
  replay: 'safe',
  params: z.looseObject({ ...historyParams, sessionKey: sessionKey.optional() }),
  result: historyResult,
});

export const agentMethod = defineMethod({
  name: 'agent',
  summary: 'Takes a message and answers twice with one id: accepted, and the result when the run has ended.',
  since: 'v4',
  scope: 'operator.write',
  replay: 'keyed',
  params: z.looseObject({
    message: z.string().min(1).describe('The text.'),
    sessionKey: sessionKey.optional(),
    agentId,
    sessionId: z.string().optional().describe('Accepted for v4.'),
    attachments: z.array(attachment).max(32).optional().describe('Files that belong to the message.'),
    thinking: z.string().optional().describe('How much the model is asked to think.'),
    timeout: z.int().optional().describe('Accepted for v4.'),
    idempotencyKey,
  }),
  result: z.looseObject({
    runId: z.string().describe('The run; equals the idempotencyKey.'),
    status: z.enum(['accepted', 'ok', 'error', 'timeout']).describe('accepted first; how it ended last.'),
    summary: z.string().optional().describe('Of the last answer: one word.'),
  }),
});

export const agentWaitMethod = defineMethod({
  name: 'agent.wait',
  summary: 'Answers when a run has ended, or with status timeout.',
  since: 'v4',
  scope: 'operator.write',
  replay: 'safe',
  params: z.looseObject({
    runId: z.string().min(1).max(256).describe('The run.'),
    timeoutMs: z.int().min(0).max(600_000).optional().describe('How long to wait. Default 30,000.'),
  }),
  result: z.looseObject({
    runId: z.string().describe('The run.'),
    status: z.enum(['ok', 'error', 'timeout']).describe('How it ended; timeout: not yet.'),
    endedAt: z.int().optional().describe('When, in ms since 1970.'),
    stopReason: z.string().optional().describe('Why.'),
  }),
});

export const mediaReadMethod = defineMethod({
  name: 'media.read',
  summary: 'Bytes that an event refers to, in pages.',
  since: '0.1',
  scope: 'operator.read',
  replay: 'safe',
  roles: ['operator', 'agent'],
  params: z.looseObject({
    id: z.string().length(64).describe('The id of the reference.'),
    at: z.int().min(0).optional().describe('The first byte. Default 0.'),
    maxBytes: z.int().min(1).max(131_072).optional().describe('Bytes at most. Default and limit 128 KiB.'),
  }),
  result: z.object({
    media: mediaReference.describe('What it is.'),
    at: z.int().describe('The first byte of this page.'),
    bytes: z.string().describe('The page, base64.'),
    isLast: z.boolean().describe('True when nothing follows.'),
  }),
});

export const agentsListMethod = defineMethod({
  name: 'agents.list',
  summary: 'The agents of this gateway.',
  since: 'v4',
  scope: 'operator.read',
  replay: 'safe',
  params: z.looseObject({}),
  result: z.looseObject({
    defaultId: z.string().describe('The agent that answers where none is named.'),
    mainKey: z.string().describe('The short key of the default session.'),
    scope: z.string().describe('How sessions are told apart.'),
    agents: z
      .array(
        z.looseObject({
          id: z.string().describe('The agent.'),
          name: z.string().optional().describe('Its name for people.'),
          attached: z.boolean().optional().describe('True while an instance of it is connected.'),
        }),
      )
      .describe('The agents.'),
  }),
});

export const modelsListMethod = defineMethod({
  name: 'models.list',
  summary: 'The models that the agents named.',
  since: 'v4',
  scope: 'operator.read',
  replay: 'safe',
  params: z.looseObject({}),
  result: z.looseObject({
    models: z
      .array(
        z.looseObject({
          id: z.string().describe('The model.'),
          name: z.string().describe('Its name for people.'),
          provider: z.string().describe('Who serves it.'),
        }),
      )
      .describe('The models.'),
  }),
});

export const chatEvent = defineEvent({
  name: 'chat',
  summary: 'The projection of a run for v4 connections: status, delta, final, aborted, error.',
  since: 'v4',
  ephemeral: 'v4',
  payload: z.looseObject({
    runId: z.string().describe('The run.'),
    sessionKey: z.string().describe('The session.'),
    agentId: z.string().optional().describe('The agent.'),
    seq: z.int().describe('The seq of the agent event that it was made of.'),
    state: z.enum(['status', 'delta', 'final', 'aborted', 'error']).describe('What happened.'),
    deltaText: z.string().optional().describe('With state delta: the text since the last one.'),
    replace: z.boolean().optional().describe('With state delta: the text was set anew.'),
    message: z.unknown().optional().describe('The answer so far, or the whole.'),
    stopReason: z.string().optional().describe('How it ended.'),
    errorMessage: z.string().optional().describe('What went wrong.'),
  }),
});

/** What `sessions.*` answer with. */
export const sessionRow = sessionEntry.extend({
  kind: z.string().describe('Always direct.'),
  displayName: z.string().optional().describe('A name for people.'),
  status: z.enum(['running', 'done']).optional().describe('Whether a run is open.'),
  hasActiveRun: z.boolean().describe('Whether a run is open.'),
  activeRunIds: z.array(z.string()).optional().describe('Those.'),
});
export type SessionRow = z.infer<typeof sessionRow>;
