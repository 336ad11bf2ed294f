import { z } from 'zod';
import { defineEvent, defineMethod } from '../contract.ts';

/** Where a reader stands in a stream: the last event that it applied. `offset` 0 is before the first. */
export const position = z.object({
  epoch: z.string().min(1).max(64).describe('The epoch that the offset belongs to (S3).'),
  offset: z.int().min(0).describe('The last event applied.'),
});
export type Position = z.infer<typeof position>;

/** Why a position was not honoured (S7). */
export const resetReason = z.enum([
  'no_position',
  'epoch_changed',
  'offset_expired',
  'offset_ahead',
  'deleted',
  'scope_lost',
]);
export type ResetReason = z.infer<typeof resetReason>;

const stream = z.string().min(1).max(640).describe('The stream, such as session:main or system.');

export const streamsSubscribeMethod = defineMethod({
  name: 'streams.subscribe',
  summary: 'Reads streams from a position, or from a snapshot; subscribing again moves the cursor (S7).',
  since: '0.1',
  scope: 'any',
  replay: 'safe',
  roles: ['operator', 'agent', 'channel'],
  params: z.strictObject({
    streams: z
      .array(z.strictObject({ stream, after: position.optional().describe('Where to go on. Default: a snapshot.') }))
      .min(1)
      .max(256)
      .describe('The streams, in the order in which they are answered.'),
  }),
  result: z.object({
    streams: z
      .array(
        z.object({
          stream: z.string().describe('The stream, by its canonical name.'),
          epoch: z.string().describe('Its epoch; empty when forbidden or gone.'),
          head: z.int().min(0).describe('Its last event.'),
          result: z
            .enum(['resumed', 'snapshot', 'forbidden', 'gone'])
            .describe('resumed: what follows `after` follows; snapshot: a stream.reset comes first.'),
          reason: resetReason.optional().describe('Unless resumed: why.'),
        }),
      )
      .describe('One answer per stream, in request order.'),
  }),
});

export const streamsUnsubscribeMethod = defineMethod({
  name: 'streams.unsubscribe',
  summary: 'Ends subscriptions; nothing of these streams follows the answer.',
  since: '0.1',
  scope: 'any',
  replay: 'safe',
  roles: ['operator', 'agent', 'channel'],
  params: z.strictObject({ streams: z.array(stream).min(1).max(256).describe('The streams.') }),
  result: z.object({ streams: z.array(z.string()).describe('Their canonical names.') }),
});

export const streamLiveEvent = defineEvent({
  name: 'stream.live',
  summary: 'The replay of a stream is complete; what follows is live (S8).',
  since: '0.1',
  ephemeral: 'any',
  payload: z.object({
    stream,
    epoch: z.string().describe('Its epoch.'),
    offset: z.int().describe('The last event that was sent.'),
  }),
});

export const streamResetEvent = defineEvent({
  name: 'stream.reset',
  summary: 'The position could not be honoured: the state at `offset`, what follows starts after it (S9).',
  since: '0.1',
  ephemeral: 'any',
  payload: z.object({
    stream,
    epoch: z.string().describe('The epoch to go on with.'),
    offset: z.int().describe('The state includes the events up to this one.'),
    reason: resetReason.describe('Why.'),
    state: z
      .unknown()
      .optional()
      .describe('What reduce() gives up to that offset; absent when the subscription ended.'),
  }),
});
