import { describe, expect, test } from 'vitest';
import { aiSdkAgent, modelEndpoint } from '../src/index.ts';

describe('the endpoint', () => {
  test('is nothing when nothing is configured', () => {
    expect(modelEndpoint({}, {})).toBeUndefined();
    expect(() => aiSdkAgent({}, {})).toThrow(/No model is configured/);
  });

  test.each([
    [
      { OPENAI_API_KEY: 'k' },
      { provider: 'openai-compatible', baseUrl: 'https://api.openai.com/v1', model: 'gpt-5-mini', apiKey: 'k' },
    ],
    [
      { OPENAI_BASE_URL: 'http://localhost:1234/v1/' },
      { provider: 'openai-compatible', baseUrl: 'http://localhost:1234/v1' },
    ],
    [
      { OPENAI_BASE_URL: 'http://h/v1', OPENAI_API_KEY: 'k', OPENAI_MODEL: 'm' },
      { provider: 'openai-compatible', baseUrl: 'http://h/v1', model: 'm', apiKey: 'k' },
    ],
    [
      { ANTHROPIC_API_KEY: 'k', ANTHROPIC_MODEL: 'm' },
      { provider: 'anthropic', baseUrl: 'https://api.anthropic.com/v1', model: 'm', apiKey: 'k' },
    ],
    [
      { ANTHROPIC_API_KEY: 'k', ANTHROPIC_BASE_URL: 'http://proxy', ANTHROPIC_MODEL: 'm' },
      { provider: 'anthropic', baseUrl: 'http://proxy/v1', model: 'm', apiKey: 'k' },
    ],
    [
      { OLLAMA_HOST: '0.0.0.0', OLLAMA_MODEL: 'llama3.2' },
      { provider: 'openai-compatible', baseUrl: 'http://127.0.0.1:11434/v1', model: 'llama3.2' },
    ],
    [{ OLLAMA_HOST: 'https://box:8443' }, { provider: 'openai-compatible', baseUrl: 'https://box:8443/v1' }],
  ])('comes from the usual variables: %o', (env, endpoint) => {
    expect(modelEndpoint({}, env)).toEqual(endpoint);
  });

  test('that the config names wins over the environment', () => {
    const env = { OPENAI_API_KEY: 'k', OPENAI_BASE_URL: 'http://elsewhere/v1', OPENAI_MODEL: 'm' };
    expect(modelEndpoint({ provider: 'anthropic', model: 'c', apiKey: 'a' }, env)).toEqual({
      provider: 'anthropic',
      baseUrl: 'https://api.anthropic.com/v1',
      model: 'c',
      apiKey: 'a',
    });
  });

  test("never gets the environment's key at an address that only the config names", () => {
    const env = { OPENAI_API_KEY: 'k' };
    expect(modelEndpoint({ baseUrl: 'http://192.0.2.1/v1', model: 'm' }, env)).toEqual({
      provider: 'openai-compatible',
      baseUrl: 'http://192.0.2.1/v1',
      model: 'm',
    });
    expect(modelEndpoint({ baseUrl: 'https://api.openai.com/v1' }, env)).toMatchObject({ apiKey: 'k' });
  });

  test('lists its models for people to choose from', () => {
    expect(aiSdkAgent({ baseUrl: 'http://h/v1', model: 'a', models: ['b', 'a'] }).models.map(({ id }) => id)).toEqual([
      'a',
      'b',
    ]);
  });
});
