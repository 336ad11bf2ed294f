import type { McpServer } from './mcp-tools.ts';
import type { AgentTool, CommandTool } from './tool.ts';

/** Who speaks at the other end: OpenAI's chat completions, which nearly everyone offers, or Anthropic's messages. */
export type Provider = 'openai-compatible' | 'anthropic';

/** The model endpoint, and everything else that is configured. Plain JSON, but for tools that are functions. */
export interface AiSdkAgentConfig {
  /** The agent's id. Default `main`. */
  id?: string;
  /** Its name for people. */
  name?: string;
  /** Default: `openai-compatible`, unless only an Anthropic key is known. */
  provider?: Provider;
  /** The base URL, `/v1` included. Default: OpenAI's or Anthropic's own. */
  baseUrl?: string;
  /** The model. Default: the environment's, else a usual one of the provider, else the first that `baseUrl` lists. */
  model?: string;
  /** Further models that a session may choose. */
  models?: string[];
  apiKey?: string;
  /** What the model is told before every conversation. */
  instructions?: string;
  tools?: (AgentTool | CommandTool)[];
  /** MCP servers by name; their tools are called `<name>_<tool>`. */
  mcpServers?: Record<string, McpServer>;
  /** Model calls per run. Default 20. */
  maxSteps?: number;
  /** Tokens that the conversation may take, estimated at four characters each; older messages are left out. Default 32,000. */
  contextTokens?: number;
  /** Tokens that the model may say per call. Default: the provider's. */
  maxOutputTokens?: number;
  /** Times that a refused model call is tried again (429, 5xx, no connection). Default 2. */
  maxRetries?: number;
}

/** A resolved endpoint. */
export interface ModelEndpoint {
  provider: Provider;
  baseUrl: string;
  /** Absent when the endpoint has to be asked. */
  model?: string;
  apiKey?: string;
}

/** Environment variables, as `process.env` holds them. */
export type Environment = Readonly<Record<string, string | undefined>>;

const openAiUrl = 'https://api.openai.com/v1';
const anthropicUrl = 'https://api.anthropic.com/v1';
const usualModels = { 'openai-compatible': 'gpt-5-mini', anthropic: 'claude-sonnet-4-5' } as const;

/**
 * The endpoint that `config` names, completed from the usual environment variables: `OPENAI_API_KEY`, `OPENAI_BASE_URL`,
 * `OPENAI_MODEL`; `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL`, `ANTHROPIC_MODEL`; `OLLAMA_HOST`, `OLLAMA_MODEL`. Undefined when
 * neither names one. A key from the environment never goes to an address that only the config names.
 */
export function modelEndpoint(config: AiSdkAgentConfig, env: Environment = {}): ModelEndpoint | undefined {
  const provider = config.provider ?? (config.baseUrl ? 'openai-compatible' : providerOf(env));
  if (!provider) return undefined;
  const isOpenAi = provider === 'openai-compatible';
  const ollamaUrl =
    isOpenAi && !env.OPENAI_API_KEY && !env.OPENAI_BASE_URL && env.OLLAMA_HOST ? ollama(env.OLLAMA_HOST) : undefined;
  const envUrl = isOpenAi ? (env.OPENAI_BASE_URL ?? ollamaUrl) : withVersion(env.ANTHROPIC_BASE_URL);
  const ownUrl = isOpenAi ? openAiUrl : anthropicUrl;
  const baseUrl = trimSlash(config.baseUrl ?? envUrl ?? ownUrl);
  const isKnownUrl = config.baseUrl === undefined || baseUrl === ownUrl || baseUrl === trimSlash(envUrl ?? '');
  const envKey = isOpenAi ? env.OPENAI_API_KEY : env.ANTHROPIC_API_KEY;
  const apiKey = config.apiKey ?? (isKnownUrl && baseUrl !== trimSlash(ollamaUrl ?? '') ? envKey : undefined);
  const envModel = isOpenAi ? (ollamaUrl ? env.OLLAMA_MODEL : env.OPENAI_MODEL) : env.ANTHROPIC_MODEL;
  const model = config.model ?? envModel ?? (baseUrl === ownUrl ? usualModels[provider] : undefined);
  return { provider, baseUrl, ...(model ? { model } : {}), ...(apiKey ? { apiKey } : {}) };
}

function providerOf(env: Environment): Provider | undefined {
  if (env.OPENAI_API_KEY || env.OPENAI_BASE_URL) return 'openai-compatible';
  if (env.ANTHROPIC_API_KEY) return 'anthropic';
  return env.OLLAMA_HOST ? 'openai-compatible' : undefined;
}

/** `OLLAMA_HOST` may be a bare host, with or without a port. */
function ollama(host: string): string {
  const url = new URL(/^https?:\/\//.test(host) ? host : `http://${host}`);
  if (url.port === '' && !/:\d+\/?$/.test(host)) url.port = '11434';
  // The address to listen on is no address to dial.
  if (url.hostname === '0.0.0.0') url.hostname = '127.0.0.1';
  return withVersion(url.href) as string;
}

function withVersion(url: string | undefined): string | undefined {
  if (!url) return undefined;
  const trimmed = trimSlash(url);
  return trimmed.endsWith('/v1') ? trimmed : `${trimmed}/v1`;
}

function trimSlash(url: string): string {
  return url.replace(/\/+$/, '');
}
