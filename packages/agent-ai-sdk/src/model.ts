import type { LanguageModel } from 'ai';
import type { ModelEndpoint } from './config.ts';
import { ModelFailure, modelFailure } from './model-failure.ts';

/** The model of an endpoint. The provider's package is loaded here, at the first run, and not before. */
export async function languageModel(endpoint: ModelEndpoint, model: string): Promise<LanguageModel> {
  const { provider, baseUrl: baseURL, apiKey } = endpoint;
  if (provider === 'anthropic') {
    const { createAnthropic } = await import('@ai-sdk/anthropic');
    // Without a key of its own it would look into the environment, which is not this function's to read.
    return createAnthropic({ baseURL, apiKey: apiKey ?? 'none' })(model);
  }
  const { createOpenAICompatible } = await import('@ai-sdk/openai-compatible');
  return createOpenAICompatible({
    name: 'openai-compatible',
    baseURL,
    includeUsage: true,
    ...(apiKey ? { apiKey } : {}),
  })(model);
}

/** The first model that an OpenAI-compatible endpoint lists: what a local server has loaded. */
export async function firstModel(endpoint: ModelEndpoint, signal: AbortSignal): Promise<string> {
  const { baseUrl, apiKey } = endpoint;
  let answer: Response;
  try {
    answer = await fetch(`${baseUrl}/models`, { signal, headers: apiKey ? { authorization: `Bearer ${apiKey}` } : {} });
  } catch (error) {
    throw signal.aborted ? error : modelFailure(error, endpoint);
  }
  const list = answer.ok
    ? ((await answer.json().catch(() => undefined)) as { data?: { id?: unknown }[] } | undefined)
    : undefined;
  const id = list?.data?.[0]?.id;
  if (typeof id === 'string' && id !== '') return id;
  throw new ModelFailure(
    `${baseUrl} does not say which models it has (${answer.status}). Configure a model by name.`,
    'unknown',
  );
}
