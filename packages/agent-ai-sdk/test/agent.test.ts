import { LLMock } from '@copilotkit/aimock';
import { type Rehearsal, rehearse } from '@openclaw/plugin-sdk/testing';
import type { Message, RunPart } from '@openclaw/protocol';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AgentTool, type AiSdkAgentConfig, aiSdkAgent, type Provider } from '../src/index.ts';
import { recordingServer } from './recording-server.ts';

const providers: Provider[] = ['openai-compatible', 'anthropic'];

let mock: LLMock;

beforeEach(async () => {
  mock = new LLMock({ port: 0, host: '127.0.0.1', chunkSize: 8, logLevel: 'silent' });
  await mock.start();
});

afterEach(async () => {
  await mock.stop();
});

function agent(provider: Provider, config: AiSdkAgentConfig = {}) {
  return aiSdkAgent({
    provider,
    baseUrl: `${mock.url}/v1`,
    model: 'test-model',
    apiKey: 'sk-canary-1234',
    maxRetries: 0,
    ...config,
  });
}

/** What the mock was asked at its n-th request, as chat completions. */
function asked(index: number) {
  const body = mock.getRequests()[index]?.body as {
    messages: { role: string; content: unknown; tool_calls?: unknown[]; tool_call_id?: string }[];
  };
  return body.messages.filter(({ role }) => role !== 'system');
}

const kinds = (parts: readonly RunPart[]) =>
  parts.map(({ stream }) => stream).filter((stream, index, all) => stream !== all[index - 1]);

const tools = (parts: readonly RunPart[]) => parts.flatMap((part) => (part.stream === 'tool' ? [part.data] : []));

function weatherTool(calls: unknown[], options: Partial<AgentTool> = {}): AgentTool {
  return {
    name: 'weather',
    description: 'The weather of a city.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    safe: true,
    execute(args) {
      calls.push(args);
      return { sky: 'clear' };
    },
    ...options,
  };
}

/** A model that calls the tool `weather` once, and then answers. */
function mockWeather(): void {
  mock.on(
    { userMessage: 'weather', hasToolResult: false },
    {
      reasoning: 'I should look.',
      content: 'Looking.',
      toolCalls: [{ id: 'call_w', name: 'weather', arguments: '{"city":"Oslo"}' }],
    },
  );
  mock.on({ userMessage: 'weather', hasToolResult: true }, { content: 'The sky over Oslo is clear.' });
}

/** Slow enough that the chunks of a stream do not come in one piece. */
const paced = { streamingProfile: { ttft: 5, tps: 100 } };

const user = (id: string, text: string): Message => ({
  id,
  role: 'user',
  timestamp: 0,
  content: [{ type: 'text', text }],
});
const assistant = (id: string, content: Message['content']): Message => ({
  id,
  role: 'assistant',
  timestamp: 0,
  content,
});

describe.each(providers)('over %s', (provider) => {
  test('streams text in several deltas and ends', async () => {
    mock.on({ userMessage: 'hello' }, { content: 'Good morning, how can I help you today?' }, paced);
    const run = rehearse(agent(provider, { instructions: 'Be kind.' }), { text: 'hello' });
    expect(await run.ended).toMatchObject({ phase: 'end', stopReason: 'stop' });
    expect(run.text).toBe('Good morning, how can I help you today?');
    expect(run.parts.filter(({ stream }) => stream === 'assistant').length).toBeGreaterThan(1);
    expect(JSON.stringify(mock.getRequests()[0]?.body)).toContain('Be kind.');
  });

  test('shows thinking before the answer', async () => {
    mock.on({ userMessage: 'hello' }, { reasoning: 'A greeting; greet back.', content: 'Hello!' });
    const run = rehearse(agent(provider), { text: 'hello' });
    await run.ended;
    expect(run.thinking).toBe('A greeting; greet back.');
    expect(kinds(run.parts).slice(0, 2)).toEqual(['thinking', 'assistant']);
  });

  test('carries out a tool call and gives its answer to the model', async () => {
    mockWeather();
    const calls: unknown[] = [];
    const run = rehearse(agent(provider, { tools: [weatherTool(calls)] }), { text: 'weather in Oslo?' });
    expect(await run.ended).toMatchObject({ phase: 'end' });
    expect(calls).toEqual([{ city: 'Oslo' }]);
    expect(tools(run.parts)).toMatchObject([
      { phase: 'start', name: 'weather', args: { city: 'Oslo' }, safe: true },
      { phase: 'result', name: 'weather', result: { sky: 'clear' } },
    ]);
    expect(run.text).toBe('Looking.The sky over Oslo is clear.');
    expect(JSON.stringify(asked(1))).toContain('{\\"sky\\":\\"clear\\"}');
  });

  test('a tool that fails is told to the model, and the run goes on', async () => {
    mockWeather();
    const broken = weatherTool([], {
      execute: () => {
        throw new Error('no satellite');
      },
    });
    const run = rehearse(agent(provider, { tools: [broken] }), { text: 'weather?' });
    expect(await run.ended).toMatchObject({ phase: 'end' });
    expect(tools(run.parts)[1]).toMatchObject({ phase: 'result', isError: true, result: 'no satellite' });
    expect(JSON.stringify(asked(1))).toContain('no satellite');
  });

  test('a tool that the model made up is told to it, and nothing is carried out', async () => {
    mockWeather();
    const run = rehearse(agent(provider), { text: 'weather?' });
    expect(await run.ended).toMatchObject({ phase: 'end' });
    expect(tools(run.parts)[1]).toMatchObject({ phase: 'result', isError: true });
  });

  test.each(['allow', 'deny'] as const)('asks a person first where a tool needs that: %s', async (decision) => {
    mockWeather();
    const calls: unknown[] = [];
    const guarded = weatherTool(calls, { needsApproval: true, title: 'Look at the sky' });
    const run = rehearse(agent(provider, { tools: [guarded] }), {
      text: 'weather?',
      emitted: (part, { decide }) => part.stream === 'approval' && decide(part.data.approvalId, decision),
    });
    expect(await run.ended).toMatchObject({ phase: 'end' });
    expect(run.parts.find(({ stream }) => stream === 'approval')?.data).toMatchObject({
      title: 'Look at the sky',
      args: { city: 'Oslo' },
    });
    expect(calls).toHaveLength(decision === 'allow' ? 1 : 0);
    expect(JSON.stringify(asked(1)).includes('did not allow')).toBe(decision === 'deny');
  });

  test('an abort stops the model at once and says nothing more', async () => {
    mock.on({ userMessage: 'long' }, { content: 'word '.repeat(500) }, { streamingProfile: { ttft: 1, tps: 50 } });
    const run = rehearse(agent(provider), {
      text: 'long',
      emitted: (part, { abort }) => part.stream === 'assistant' && abort(),
    });
    expect(await run.ended).toBeUndefined();
    expect(run.text.length).toBeLessThan(200);
  });

  test('429 ends the run with its kind and words that say what to do', async () => {
    mock.on(
      { userMessage: 'hello' },
      { error: { message: 'Slow down', type: 'rate_limit_error' }, status: 429, retryAfter: 7 },
    );
    const run = rehearse(agent(provider), { text: 'hello' });
    expect(await run.ended).toMatchObject({ phase: 'error', reason: 'failed', errorKind: 'rate_limit' });
    expect((await run.ended)?.error).toMatch(/429.*Slow down.*Try again in 7 s/);
  });

  test('429 is tried again when that is configured', async () => {
    mock.on({ userMessage: 'hello' }, { content: 'Here I am.' });
    mock.nextRequestError(429, { message: 'Slow down' });
    const run = rehearse(agent(provider, { maxRetries: 1 }), { text: 'hello' });
    expect(await run.ended).toMatchObject({ phase: 'end' });
    expect(run.text).toBe('Here I am.');
  });

  test('a stream that is cut ends the run with a clear error, what was said stays', async () => {
    mock.on(
      { userMessage: 'hello' },
      { content: 'I was going to say something long and wise.' },
      { ...paced, truncateAfterChunks: 4 },
    );
    const run = rehearse(agent(provider), { text: 'hello' });
    expect(await run.ended).toMatchObject({
      phase: 'error',
      reason: 'failed',
      error: expect.stringContaining('cut in the middle'),
    });
    expect('I was going to say something long and wise.'.startsWith(run.text)).toBe(true);
    expect(run.text).not.toBe('');
  });

  test('a refused key is named as such, and no message holds it', async () => {
    mock.on({ userMessage: 'hello' }, { error: { message: 'Incorrect API key: sk-canary-1234' }, status: 401 });
    const run = rehearse(agent(provider), { text: 'hello' });
    expect((await run.ended)?.error).toMatch(/refused the key/);
    expect(JSON.stringify(run.parts)).not.toContain('canary');
  });

  test('an image is given to the model as an image, a text file as text, and others by their names', async () => {
    const server = await recordingServer(() => ({ status: 400, body: { error: { message: 'enough' } } }));
    const bytes = Uint8Array.from([137, 80, 78, 71, 13, 10, 26, 10, 1, 2, 3]);
    const run = rehearse(agent(provider, { baseUrl: `${server.url}/v1` }), {
      text: 'what is this?',
      attachments: [
        { mimeType: 'image/png', bytes },
        { mimeType: 'text/plain', fileName: 'notes.txt', bytes: new TextEncoder().encode('buy milk') },
        { mimeType: 'application/zip', fileName: 'all.zip', bytes },
      ],
    });
    await run.ended;
    await server.close();
    const asked = server.requests[0]?.body ?? '';
    for (const part of [btoa(String.fromCharCode(...bytes)), 'image/png', 'buy milk', 'all.zip'])
      expect(asked).toContain(part);
    expect(asked.split(btoa(String.fromCharCode(...bytes)))).toHaveLength(2);
  });

  test('a steering message is taken in between steps', async () => {
    mockWeather();
    let run: Rehearsal | undefined;
    const tool = weatherTool([], {
      execute: () => {
        run?.steer({ inputId: 'i1', text: 'answer in Norwegian' });
        return 'clear';
      },
    });
    run = rehearse(agent(provider, { tools: [tool] }), { text: 'weather?' });
    await run.ended;
    expect(JSON.stringify(asked(1))).toContain('answer in Norwegian');
    expect(run.parts.some((part) => part.stream === 'item' && part.data.inputId === 'i1')).toBe(true);
  });

  describe('a continued run', () => {
    const cutAfter = (parts: readonly RunPart[], is: (part: RunPart) => boolean) =>
      parts.slice(0, parts.findIndex(is) + 1);

    test('does not carry out a finished tool again, nor ask the model for it', async () => {
      mockWeather();
      const calls: unknown[] = [];
      const configured = agent(provider, { tools: [weatherTool(calls, { safe: false })] });
      const first = rehearse(configured, { text: 'weather?' });
      await first.ended;
      for (const is of [
        (part: RunPart) => part.stream === 'tool' && part.data.phase === 'result',
        (part: RunPart) => part.stream === 'item' && part.data.kind === 'step',
        (part: RunPart) => part.stream === 'assistant' && part.data.itemId === 'text-2',
      ]) {
        mock.clearRequests();
        const again = rehearse(configured, { text: 'weather?', journal: cutAfter(first.parts, is) });
        expect(await again.ended).toMatchObject({ phase: 'end' });
        expect(again.text).toBe('Looking.The sky over Oslo is clear.');
        expect(mock.getRequests()).toHaveLength(1);
        expect(JSON.stringify(asked(0))).toContain('{\\"sky\\":\\"clear\\"}');
      }
      expect(calls).toHaveLength(1);
    });

    test('carries out a safe tool again that was at work', async () => {
      mockWeather();
      const calls: unknown[] = [];
      const configured = agent(provider, { tools: [weatherTool(calls)] });
      const first = rehearse(configured, { text: 'weather?' });
      await first.ended;
      const journal = cutAfter(first.parts, (part) => part.stream === 'tool' && part.data.phase === 'start');
      const again = rehearse(configured, { text: 'weather?', journal });
      expect(await again.ended).toMatchObject({ phase: 'end' });
      expect(again.text).toBe('Looking.The sky over Oslo is clear.');
      expect(tools(again.parts).map(({ phase }) => phase)).toEqual(['result']);
      expect(calls).toHaveLength(2);
    });

    test('goes on waiting for the same person', async () => {
      mockWeather();
      const calls: unknown[] = [];
      const configured = agent(provider, { tools: [weatherTool(calls, { needsApproval: true, safe: false })] });
      const first = rehearse(configured, {
        text: 'weather?',
        emitted: (part, { abort }) => part.stream === 'approval' && abort(),
      });
      await first.ended;
      const approvalId =
        first.parts.flatMap((part) => (part.stream === 'approval' ? [part.data.approvalId] : []))[0] ?? '';
      const again = rehearse(configured, {
        text: 'weather?',
        journal: first.parts,
        approvals: [{ approvalId, decision: 'allow' }],
      });
      expect(await again.ended).toMatchObject({ phase: 'end' });
      expect(again.parts.some(({ stream }) => stream === 'approval')).toBe(false);
      expect(calls).toEqual([{ city: 'Oslo' }]);
      expect(again.text).toBe('Looking.The sky over Oslo is clear.');
    });

    test('asks anew for words that were cut off, and replaces them', async () => {
      mock.on({ userMessage: 'hello', sequenceIndex: 0 }, { content: 'Good morning to you.' });
      mock.on({ userMessage: 'hello', sequenceIndex: 1 }, { content: 'Good evening to you.' });
      const first = rehearse(agent(provider), { text: 'hello' });
      await first.ended;
      const journal = first.parts.filter(({ stream }) => stream === 'assistant').slice(0, 2);
      const again = rehearse(agent(provider), { text: 'hello', journal });
      expect(await again.ended).toMatchObject({ phase: 'end' });
      expect(again.text).toBe('Good evening to you.');
      expect(again.parts.some((part) => part.stream === 'assistant' && part.data.replace)).toBe(true);
    });
  });
});

describe('a long conversation', () => {
  test('loses its oldest turns whole, says so, and keeps tool calls with their answers', async () => {
    mock.on({ userMessage: 'now' }, { content: 'Yes.' });
    const long = 'x'.repeat(4_000);
    const turns = Array.from({ length: 10 }, (_, index): Message[] => [
      user(`u${index}`, `question ${index}`),
      assistant(`a${index}`, [
        { type: 'toolCall', id: `t${index}`, name: 'weather', arguments: {} },
        { type: 'toolResult', toolCallId: `t${index}`, content: long },
        { type: 'text', text: `answer ${index}` },
      ]),
    ]).flat();
    const run = rehearse(agent('openai-compatible', { contextTokens: 4_000 }), { text: 'now', messages: turns });
    expect(await run.ended).toMatchObject({ phase: 'end' });
    const said = run.parts.flatMap((part) =>
      part.stream === 'item' && part.data.kind === 'notice' ? [part.data.title] : [],
    );
    expect(said).toEqual([expect.stringContaining('not shown to the model')]);
    const messages = asked(0);
    expect(messages[0]).toMatchObject({ role: 'user', content: 'question 7' });
    expect(messages.at(-1)).toMatchObject({ role: 'user', content: 'now' });
    const called = messages.flatMap(({ tool_calls }) => (tool_calls ?? []) as { id: string }[]).map(({ id }) => id);
    expect(messages.flatMap(({ tool_call_id }) => tool_call_id ?? [])).toEqual(called);
  });

  test('that fits is given whole and nothing is said about it', async () => {
    mock.on({ userMessage: 'now' }, { content: 'Yes.' });
    const run = rehearse(agent('openai-compatible'), {
      text: 'now',
      messages: [user('u', 'before'), assistant('a', [{ type: 'text', text: 'I see.' }])],
    });
    await run.ended;
    expect(asked(0).map(({ role, content }) => [role, content])).toEqual([
      ['user', 'before'],
      ['assistant', 'I see.'],
      ['user', 'now'],
    ]);
    expect(run.parts.some(({ stream }) => stream === 'item')).toBe(false);
  });
});

test('a run ends after maxSteps and says so', async () => {
  mock.on({ userMessage: 'weather' }, { toolCalls: [{ id: 'same', name: 'weather', arguments: '{"city":"Oslo"}' }] });
  const run = rehearse(agent('openai-compatible', { tools: [weatherTool([])], maxSteps: 3 }), { text: 'weather?' });
  expect(await run.ended).toEqual({ phase: 'end', stopReason: 'max_steps' });
  const starts = tools(run.parts).filter(({ phase }) => phase === 'start');
  expect(starts.map(({ toolCallId }) => toolCallId)).toEqual(['same', 'same-2', 'same-3']);
});

test('an address where nothing answers is told as such', async () => {
  const server = await recordingServer(() => ({ status: 500, body: {} }));
  await server.close();
  const run = rehearse(agent('openai-compatible', { baseUrl: `${server.url}/v1` }), { text: 'hello' });
  expect((await run.ended)?.error).toContain(`No model answers at ${server.url}/v1`);
});

describe('without a configured model', () => {
  test('the first that the endpoint lists is used', async () => {
    const server = await recordingServer(({ path }) =>
      path === '/v1/models'
        ? { status: 200, body: { data: [{ id: 'llama-here' }, { id: 'other' }] } }
        : { status: 400, body: {} },
    );
    const run = rehearse(aiSdkAgent({ baseUrl: `${server.url}/v1`, maxRetries: 0 }), { text: 'hello' });
    await run.ended;
    await server.close();
    expect(server.requests.map(({ path }) => path)).toEqual(['/v1/models', '/v1/chat/completions']);
    expect(JSON.parse(server.requests[1]?.body ?? '{}')).toMatchObject({ model: 'llama-here' });
  });

  test('an endpoint that lists none is told as such', async () => {
    const server = await recordingServer(() => ({ status: 404, body: {} }));
    const run = rehearse(aiSdkAgent({ baseUrl: `${server.url}/v1` }), { text: 'hello' });
    expect((await run.ended)?.error).toContain('Configure a model by name');
    await server.close();
  });
});
