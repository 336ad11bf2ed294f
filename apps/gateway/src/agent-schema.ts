import { z } from 'zod';
import { atRestart, secret, standard } from './setting.ts';

const text = z.string().min(1);

const tool = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be letters, digits, _ and -, at most 64')
    .describe('What the model calls it.'),
  description: text.describe('What it does, for the model.'),
  title: text.optional().describe('What people are shown.'),
  parameters: z.record(z.string(), z.unknown()).optional().describe('JSON Schema of its arguments.'),
  safe: standard(z.boolean().optional(), 'false').describe('True when it changes nothing: it may be repeated.'),
  needsApproval: standard(z.boolean().optional(), 'true unless safe').describe('Whether a person is asked first.'),
  command: z.tuple([text], text).describe('The program and its arguments; no shell.'),
  cwd: text.optional().describe('Where it runs.'),
  env: z
    .record(z.string(), secret('A variable.'))
    .optional()
    .describe('Variables of its environment, beside PATH, HOME and the like.'),
  timeoutMs: z.int().min(1).optional().describe('How long it may take, in ms.'),
});

const approval = standard(z.enum(['writes', 'always', 'never']).optional(), "'writes'").describe(
  'Which of its tools a person is asked about: those that are not read-only, all, or none.',
);

const mcpServer = z.union([
  z.strictObject({
    command: text.describe('The program that is the server.'),
    args: z.array(z.string()).optional().describe('Its arguments.'),
    env: z
      .record(z.string(), secret('A variable.'))
      .optional()
      .describe('Its environment, beside PATH, HOME and the like.'),
    cwd: text.optional().describe('Where it runs.'),
    approval,
  }),
  z.strictObject({
    url: z.url().describe('Where the server is.'),
    type: standard(z.enum(['http', 'sse']).optional(), "'http'").describe('How it is spoken to.'),
    headers: z.record(z.string(), secret('A header.')).optional().describe('Headers of every request.'),
    approval,
  }),
]);

/** The agent on a model; what is left out comes from the usual environment variables. */
export const agentSection = z
  .strictObject({
    external: atRestart(standard(z.boolean().optional(), 'false')).describe(
      'True: no agent is started here. One in a process of its own attaches with a token of `tokens.create`.',
    ),
    name: atRestart(text.optional()).describe('A name for people.'),
    provider: standard(z.enum(['openai-compatible', 'anthropic']).optional(), 'by what else is given').describe(
      'Who speaks at the other end.',
    ),
    baseUrl: standard(z.url({ protocol: /^https?$/ }).optional(), 'the provider’s own').describe(
      'Where the model is, `/v1` included.',
    ),
    model: standard(text.optional(), 'a usual one, or the first that is offered').describe('The model to ask.'),
    models: z.array(text).optional().describe('Further models that a session may choose.'),
    apiKey: standard(secret('The key of the model.').optional(), 'the provider’s variable'),
    instructions: text.optional().describe('What the model is told before every conversation.'),
    tools: z.array(tool).optional().describe('Programs that the model may run.'),
    mcpServers: z
      .record(z.string().regex(/^[A-Za-z0-9_-]+$/), mcpServer)
      .optional()
      .describe('MCP servers by name; their tools are called `<name>_<tool>`.'),
    maxSteps: standard(z.int().min(1).max(1_000).optional(), '20').describe('Model calls per run.'),
    contextTokens: standard(z.int().min(1_000).optional(), '32000').describe(
      'Tokens that a conversation may take, at four characters each; older messages are left out.',
    ),
    maxOutputTokens: standard(z.int().min(1).optional(), 'the provider’s').describe(
      'Tokens that the model may say per call.',
    ),
    maxRetries: standard(z.int().min(0).max(20).optional(), '2').describe('Times that a refused call is tried again.'),
  })
  .describe('The agent that answers.');
