import { z } from 'zod';
import { bound, secret, standard } from './setting.ts';

const text = z.string().min(1);
const longSecret = (about: string) => secret(`${about} At least 16 characters.`);

const mapping = z.strictObject({
  message: text.describe('What the agent is told: a template, with `{{path.to.field}}` of the request’s JSON.'),
  action: standard(z.enum(['agent', 'wake']).optional(), "'agent'").describe(
    'A run of its own, or a note to a session.',
  ),
  sessionKey: standard(text.optional(), '`hook:<name>`; of a wake, the main session').describe(
    'The session: a template. What a template makes stays below `hook:<name>:`.',
  ),
  agentId: standard(text.optional(), 'the gateway’s first').describe('The agent that answers.'),
  mode: standard(z.enum(['now', 'next-heartbeat']).optional(), "'now'").describe(
    'Of a wake: whether it starts a run, or goes with the next message.',
  ),
  secret: longSecret('Requests must be signed with this one, and nothing else lets them in.').optional(),
  signature: standard(z.enum(['openclaw', 'github']).optional(), "'openclaw'").describe(
    'How they are signed: time and body, or as GitHub does.',
  ),
  idempotencyKey: standard(text.optional(), 'the header `Idempotency-Key`').describe(
    'What tells a delivery from others: a template.',
  ),
  idempotencyHeader: standard(text.optional(), '`x-github-delivery` for `github`').describe(
    'The header that does so in the sender’s own way.',
  ),
});

export const hooksSection = z
  .strictObject({
    token: longSecret('Lets requests in as `Authorization: Bearer`. Not the gateway’s own.').optional(),
    secret: longSecret('Lets requests in that are signed with it.').optional(),
    allowRequestSessionKey: standard(z.boolean().optional(), 'false').describe(
      'Whether a request to `/hooks/agent` may name its session.',
    ),
    defaultSessionKey: standard(text.optional(), '`hook:agent`').describe('The session of one that names none.'),
    maxBodyBytes: bound('Bytes of a request.', '262144'),
    toleranceMs: bound('How far the time of a signature may be off, in ms.', '300000'),
    mappings: z
      .record(z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/i, 'must be letters, digits, ., _ and -'), mapping)
      .optional()
      .describe('Hooks by name: `/hooks/<name>`.'),
  })
  .describe('Webhooks. Without a token and without a secret there are none.');

export const openAiSection = z
  .strictObject({
    chatCompletions: standard(z.boolean().optional(), 'false').describe('Serve `POST /v1/chat/completions`.'),
    responses: standard(z.boolean().optional(), 'false').describe('Serve `/v1/responses`.'),
    maxBodyBytes: bound('Bytes of a request.', '26214400'),
    maxOpenAnswers: bound('Answers that may be under way at a time.', '1000'),
    heartbeatMs: bound('How long a stream may stay silent before it gets a comment line, in ms.', '15000'),
    stallMs: bound('How long a reader may take nothing before its stream is cut, in ms; the run goes on.', '60000'),
  })
  .describe('The OpenAI-compatible API.');

export const uploadsSection = z
  .strictObject({
    maxBytes: bound('Bytes of one file.', '104857600'),
    maxImageBytes: bound('Bytes of one picture.', 'as maxBytes'),
    totalBytes: bound('Bytes of all files that no message has used yet.', '1073741824'),
    principalBytes: bound('Those of one principal.', '536870912'),
    maxCount: bound('How many such files there may be.', '1000'),
    principalCount: bound('Those of one principal.', '200'),
    lifetimeMs: bound('How long an upload waits for a message to use it, in ms of uptime.', '3600000'),
    types: standard(z.array(text).optional(), 'anything').describe(
      'What may be uploaded, such as `image/*`, judged by the first bytes.',
    ),
    maxConcurrent: bound('Uploads that may be under way at a time.', '8'),
  })
  .describe('Files that come by HTTP and wait for a message.');
