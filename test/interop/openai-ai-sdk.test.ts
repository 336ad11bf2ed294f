import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { type AgentPart, fail } from '@openclaw/plugin-sdk';
import { APICallError, generateText, streamText } from 'ai';
import { expect, test } from 'vitest';
import { scriptedAgent } from '../gateway.ts';
import { halting, openAiBench } from './openai-bench.ts';

async function models() {
  const { server, baseURL } = await openAiBench();
  const compatible = createOpenAICompatible({ name: 'gateway', baseURL, apiKey: server.token, includeUsage: true });
  const openai = createOpenAI({ baseURL, apiKey: server.token });
  return {
    compatible: compatible('openclaw'),
    chat: openai.chat('openclaw/main'),
    responses: openai.responses('openclaw'),
  };
}

test.each(['compatible', 'chat', 'responses'] as const)('the AI SDK generates text by %s', async (kind) => {
  const { text, finishReason, usage } = await generateText({ model: (await models())[kind], prompt: 'hello' });
  expect(text).toBe('You said: hello');
  expect(finishReason).toBe('stop');
  expect(usage).toMatchObject({ inputTokens: 3, outputTokens: 4 });
});

test.each(['compatible', 'chat', 'responses'] as const)('the AI SDK streams text by %s', async (kind) => {
  const result = streamText({ model: (await models())[kind], prompt: 'hello' });
  const pieces = [];
  for await (const piece of result.textStream) pieces.push(piece);
  expect(pieces.join('')).toBe('You said: hello');
  expect(await result.finishReason).toBe('stop');
  expect((await result.usage).totalTokens).toBe(7);
});

test('a conversation with a system message reaches the agent', async () => {
  const { agent, goOn, runs } = halting([], ['done']);
  goOn();
  const { server, baseURL } = await openAiBench({ agent });
  const model = createOpenAI({ baseURL, apiKey: server.token }).responses('openclaw');
  await generateText({
    model,
    instructions: 'Be brief.',
    messages: [
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'two' },
      { role: 'user', content: 'three' },
    ],
  });
  expect(runs[0]?.messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant', 'user']);
  expect(runs[0]?.text).toBe('three');
});

test('the AI SDK aborts its stream and the run goes on', async () => {
  const { agent, goOn, runs } = halting(['first '], ['last']);
  const { server, baseURL, client } = await openAiBench({ agent });
  const headers = { 'Idempotency-Key': 'k1' };
  const provider = createOpenAICompatible({ name: 'gateway', baseURL, apiKey: server.token, headers });
  const leaver = new AbortController();
  const result = streamText({ model: provider('openclaw'), prompt: 'hello', abortSignal: leaver.signal });
  for await (const _ of result.textStream) leaver.abort();
  goOn();
  const messages = [{ role: 'user' as const, content: 'hello' }];
  const completion = await client.chat.completions.create({ model: 'openclaw', messages }, { headers });
  expect(completion.choices[0]?.message.content).toBe('first last');
  expect(runs).toHaveLength(1);
});

test('a run that fails is an error of the AI SDK', async () => {
  async function* failing(): AsyncIterable<AgentPart> {
    yield fail('The model is gone.');
  }
  const { server, baseURL } = await openAiBench({ agent: scriptedAgent(failing) });
  const model = createOpenAICompatible({ name: 'gateway', baseURL, apiKey: server.token })('openclaw');
  const failed = generateText({ model, prompt: 'hello', maxRetries: 0 });
  await expect(failed).rejects.toSatisfy(
    (error) => APICallError.isInstance(error) && error.statusCode === 500 && error.message === 'The model is gone.',
  );
});
