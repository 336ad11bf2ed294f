import { readFileSync } from 'node:fs';
import JSON5 from 'json5';
import { z } from 'zod';
import { ExitCode, StartError } from './exit.ts';

const text = z.string().min(1);

const authConfig = z.discriminatedUnion('mode', [
  z.strictObject({ mode: z.literal('token'), token: text.optional(), password: text.optional() }),
  z.strictObject({ mode: z.literal('password'), password: text }),
  z.strictObject({ mode: z.literal('none') }),
]);

const httpConfig = z.strictObject({
  allowedOrigins: z.array(z.url()).default([]),
  allowedHosts: z.array(text).default([]),
  trustedProxies: z.array(text).default([]),
  /** A directory that is served at `/` in place of the chat page. */
  page: text.optional(),
});

const toolConfig = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be letters, digits, _ and -, at most 64'),
  description: text,
  title: text.optional(),
  parameters: z.record(z.string(), z.unknown()).optional(),
  safe: z.boolean().optional(),
  needsApproval: z.boolean().optional(),
  command: z.tuple([text], text),
  cwd: text.optional(),
  timeoutMs: z.int().min(1).optional(),
});

const approval = z.enum(['writes', 'always', 'never']).optional();
const mcpServerConfig = z.union([
  z.strictObject({
    command: text,
    args: z.array(z.string()).optional(),
    env: z.record(z.string(), z.string()).optional(),
    cwd: text.optional(),
    approval,
  }),
  z.strictObject({
    url: z.url(),
    type: z.enum(['http', 'sse']).optional(),
    headers: z.record(z.string(), z.string()).optional(),
    approval,
  }),
]);

/** The agent on a model; what is left out comes from the usual environment variables. */
const agentConfig = z.strictObject({
  name: text.optional(),
  provider: z.enum(['openai-compatible', 'anthropic']).optional(),
  baseUrl: z.url({ protocol: /^https?$/ }).optional(),
  model: text.optional(),
  models: z.array(text).optional(),
  apiKey: text.optional(),
  instructions: text.optional(),
  tools: z.array(toolConfig).optional(),
  mcpServers: z.record(z.string().regex(/^[A-Za-z0-9_-]+$/), mcpServerConfig).optional(),
  maxSteps: z.int().min(1).max(1_000).optional(),
  contextTokens: z.int().min(1_000).optional(),
  maxRetries: z.int().min(0).max(20).optional(),
});

/** What a configuration file may say. Unknown fields are refused: a misspelt one must not be dropped in silence. */
const configSchema = z.strictObject({
  port: z.int().min(0).max(65_535).optional(),
  bind: text.optional(),
  auth: authConfig.default({ mode: 'token' }),
  http: httpConfig.prefault({}),
  agent: agentConfig.default({}),
});

/** A checked configuration. */
export type Config = z.output<typeof configSchema>;

/** The configuration when there is no file. */
export function defaultConfig(): Config {
  return configSchema.parse({});
}

/** Reads a JSON5 file, puts the environment's values in place of `${NAME}`, and checks it. Throws a {@link StartError}. */
export function readConfig(path: string, env: Readonly<Record<string, string | undefined>>): Config {
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'there is no such file' : code === 'EACCES' ? 'no permission' : message;
    throw new StartError(ExitCode.config, `The configuration ${path} can't be read: ${reason}.`, { cause: error });
  }
  return parseConfig(source, env, path);
}

/** {@link readConfig} for a text; `path` is for messages only. */
export function parseConfig(source: string, env: Readonly<Record<string, string | undefined>>, path: string): Config {
  const problem = (sentence: string) =>
    new StartError(ExitCode.config, `The configuration ${path} is not valid: ${sentence}`);
  let value: unknown;
  try {
    value = JSON5.parse(source);
  } catch (error) {
    throw problem(`${(error as Error).message.replace(/^JSON5: /, '')}. Mend it and start again.`);
  }
  const result = configSchema.safeParse(expand(value, env, '', problem));
  if (result.success) return result.data;
  const sentences = result.error.issues.slice(0, 3).map((issue) => {
    const at = issue.path.join('.');
    if (issue.code === 'unrecognized_keys') {
      return `${issue.keys.map((key) => `"${at === '' ? key : `${at}.${key}`}"`).join(' and ')} is not a setting`;
    }
    return `${at === '' ? 'the file' : `"${at}"`}: ${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1)}`;
  });
  throw problem(`${sentences.join('; ')}. The settings are in apps/gateway/README.md.`);
}

/** What `config.get` may show: the settings with every secret, and everything that may hold one, as a mark. */
export function shownConfig(config: Config): Record<string, unknown> {
  return withoutSecrets(config) as Record<string, unknown>;
}

function withoutSecrets(value: unknown, name = ''): unknown {
  // The program itself may be shown, its arguments not: keys are often among them.
  if (Array.isArray(value))
    return name === 'args' || name === 'command'
      ? value.map((item, index) => (name === 'command' && index === 0 ? item : secretMark))
      : value.map((item) => withoutSecrets(item));
  if (typeof value === 'object' && value !== null) {
    const mayHoldSecrets = name === 'env' || name === 'headers';
    return Object.fromEntries(
      Object.entries(value).map(([key, field]) => [key, mayHoldSecrets ? secretMark : withoutSecrets(field, key)]),
    );
  }
  if (['token', 'password', 'apiKey'].includes(name) && value !== undefined) return secretMark;
  return typeof value === 'string' && /^https?:/.test(value) ? plainAddress(value) : value;
}

const secretMark = '(secret)';

/** An address without what may be a secret in it: user, password and query. */
export function plainAddress(address: string): string {
  try {
    const { origin, pathname } = new URL(address);
    return `${origin}${pathname}`;
  } catch {
    return secretMark;
  }
}

/** Puts the environment's values in place of `${NAME}` in every text of `value`; `$${` stands for `${`. */
function expand(
  value: unknown,
  env: Readonly<Record<string, string | undefined>>,
  at: string,
  problem: (sentence: string) => StartError,
): unknown {
  if (typeof value === 'string') {
    return value.replace(/\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (_, escaped: string | undefined, name: string) => {
      if (escaped) return escaped;
      const found = env[name];
      if (found) return found;
      throw problem(
        `"${at}" uses \${${name}}, which is not set in the environment. Set it, or write $\${ for a plain \${.`,
      );
    });
  }
  if (Array.isArray(value)) return value.map((item, index) => expand(item, env, `${at}[${index}]`, problem));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [key, expand(field, env, at === '' ? key : `${at}.${key}`, problem)]),
  );
}
