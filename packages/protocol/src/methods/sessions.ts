import { z } from 'zod';
import { defineMethod } from '../contract.ts';
import { queueMode, sessionRow } from './chat.ts';
import { position } from './streams.ts';

const key = z.string().min(1).max(512).describe('The session.');
const idempotencyKey = z
  .string()
  .min(1)
  .max(256)
  .optional()
  .describe('The key of this request; sent only to a gateway with streams (S17).');
const changed = z.looseObject({
  ok: z.literal(true).describe('Always true.'),
  key: z.string().describe('The canonical key.'),
  entry: z.looseObject({}).optional().describe('The session as it is now.'),
});
const subscribed = z.looseObject({
  subscribed: z.boolean().describe('Whether the connection gets them from now on.'),
  key: z.string().optional().describe('The session.'),
});
const patchable = {
  label: z.string().max(512).nullable().optional().describe('A name; null takes it away.'),
  model: z.string().max(256).nullable().optional().describe('The model to use; null for the default.'),
  thinkingLevel: z.string().max(64).nullable().optional().describe('How much the model is asked to think.'),
  queueMode: queueMode.nullable().optional().describe('What a message does that arrives during a run (additive).'),
  archived: z.boolean().optional().describe('Puts it away.'),
  pinned: z.boolean().optional().describe('Pins it.'),
};

export const sessionsListMethod = defineMethod({
  name: 'sessions.list',
  summary: 'The sessions, newest first.',
  since: 'v4',
  scope: 'operator.read',
  replay: 'safe',
  params: z.looseObject({
    limit: z
      .int()
      .min(1)
      .max(1000)
      .optional()
      .describe('Sessions at most. Default 100; fewer come when they are large.'),
    offset: z.int().min(0).optional().describe('Sessions to leave out, from the newest. Default 0.'),
    search: z.string().max(512).optional().describe('Only those whose key or label has this.'),
    agentId: z.string().max(256).optional().describe('Only those of this agent.'),
    archived: z.boolean().optional().describe('Archived ones in place of the others. Default false.'),
  }),
  result: z.looseObject({
    ts: z.int().describe('When, in ms since 1970.'),
    path: z.string().describe('Where they are kept.'),
    count: z.int().describe('How many follow.'),
    totalCount: z.int().describe('How many there are.'),
    limitApplied: z.int().describe('The limit that was used.'),
    hasMore: z.boolean().describe('True when more exist.'),
    nextOffset: z.int().nullable().optional().describe('Where to go on.'),
    defaults: z.looseObject({}).describe('What holds where a session says nothing.'),
    sessions: z.array(sessionRow).describe('The sessions.'),
    position: position
      .extend({ stream: z.string().describe('The stream.') })
      .optional()
      .describe('For connections with streams: where to subscribe `system` from (S11).'),
  }),
});

export const sessionsCreateMethod = defineMethod({
  name: 'sessions.create',
  summary: 'Makes a session, or gives the one that has the key.',
  since: 'v4',
  scope: 'operator.write',
  replay: 'keyed',
  params: z.strictObject({
    key: key.optional().describe('The key. Default: a random one.'),
    agentId: z.string().min(1).max(256).optional().describe('The agent, when the key does not name it.'),
    ...patchable,
    idempotencyKey,
  }),
  result: changed.extend({ sessionId: z.string().describe('The session.') }),
});

export const sessionsDescribeMethod = defineMethod({
  name: 'sessions.describe',
  summary: 'One session, or null.',
  since: 'v4',
  scope: 'operator.read',
  replay: 'safe',
  params: z.looseObject({ key }),
  result: z.looseObject({ session: sessionRow.nullable().describe('The session.') }),
});

export const sessionsPatchMethod = defineMethod({
  name: 'sessions.patch',
  summary: 'Changes what is known of a session.',
  since: 'v4',
  scope: 'operator.write',
  replay: 'keyed',
  params: z.strictObject({ key, ...patchable, idempotencyKey }),
  result: changed.extend({ path: z.string().optional().describe('Where it is kept.') }),
});

export const sessionsResetMethod = defineMethod({
  name: 'sessions.reset',
  summary: 'Starts the transcript anew; an open run is ended first.',
  since: 'v4',
  scope: 'operator.admin',
  replay: 'keyed',
  params: z.strictObject({
    key,
    reason: z.enum(['new', 'reset']).optional().describe('Accepted for v4.'),
    idempotencyKey,
  }),
  result: changed,
});

export const sessionsDeleteMethod = defineMethod({
  name: 'sessions.delete',
  summary: 'Ends its runs and erases a session from the disk within 60 s (S29). The main session can only be reset.',
  since: 'v4',
  scope: 'operator.admin',
  replay: 'keyed',
  params: z.strictObject({
    key,
    deleteTranscript: z.boolean().optional().describe('Accepted for v4; always true.'),
    idempotencyKey,
  }),
  result: z.looseObject({
    ok: z.literal(true).describe('Always true.'),
    key: z.string().describe('The canonical key.'),
    deleted: z.boolean().describe('False when there was none.'),
    archived: z.array(z.string()).describe('Always empty: nothing is kept.'),
  }),
});

export const sessionsSubscribeMethod = defineMethod({
  name: 'sessions.subscribe',
  summary: 'For v4 connections: sessions.changed and session.message of all sessions from now on.',
  since: 'v4',
  scope: 'operator.read',
  replay: 'safe',
  params: z.looseObject({}),
  result: subscribed,
});

export const sessionsUnsubscribeMethod = defineMethod({
  name: 'sessions.unsubscribe',
  summary: 'Ends sessions.subscribe.',
  since: 'v4',
  scope: 'operator.read',
  replay: 'safe',
  params: z.looseObject({}),
  result: subscribed,
});

export const sessionsMessagesSubscribeMethod = defineMethod({
  name: 'sessions.messages.subscribe',
  summary: 'For v4 connections: session.message of one session from now on.',
  since: 'v4',
  scope: 'operator.read',
  replay: 'safe',
  params: z.looseObject({ key }),
  result: subscribed,
});

export const sessionsMessagesUnsubscribeMethod = defineMethod({
  name: 'sessions.messages.unsubscribe',
  summary: 'Ends sessions.messages.subscribe.',
  since: 'v4',
  scope: 'operator.read',
  replay: 'safe',
  params: z.looseObject({ key }),
  result: subscribed,
});
