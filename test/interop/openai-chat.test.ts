import { type AgentPart, end, fail, type RunContext } from '@openclaw/plugin-sdk';
import OpenAI from 'openai';
import { expect, test } from 'vitest';
import { gate, scriptedAgent } from '../gateway.ts';
import { halting, openAiBench } from './openai-bench.ts';

const hello = { model: 'openclaw', messages: [{ role: 'user' as const, content: 'hello' }] };

test('a chat completion is the answer of a run, with its tokens', async () => {
  const { client } = await openAiBench();
  const completion = await client.chat.completions.create(hello);
  expect(completion.id).toMatch(/^chatcmpl-[0-9a-f]{32}$/);
  expect(completion.choices[0]).toMatchObject({
    finish_reason: 'stop',
    message: { role: 'assistant', content: 'You said: hello' },
  });
  expect(completion.usage).toEqual({ prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 });
  expect(completion.model).toBe('openclaw');
});

test('a streamed completion comes in pieces, ends with its reason, and tells the tokens when asked', async () => {
  const { client } = await openAiBench();
  const stream = await client.chat.completions.create({
    ...hello,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant');
  expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe('You said: hello');
  expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('stop');
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 7 } });
  expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
});

test('the helper of the client accumulates a stream', async () => {
  const { client } = await openAiBench();
  const runner = client.chat.completions.stream(hello);
  expect(await runner.finalContent()).toBe('You said: hello');
});

test('earlier messages are the conversation of a session of their own', async () => {
  const { agent, goOn, runs } = halting([], ['done']);
  goOn();
  const { client } = await openAiBench({ agent });
  await client.chat.completions.create({
    model: 'openclaw/main',
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'two' },
      { role: 'user', content: [{ type: 'text', text: 'three' }] },
    ],
  });
  const [run] = runs;
  expect(run?.text).toBe('three');
  expect(run?.messages.map(({ role, content }) => [role, content])).toEqual([
    ['system', [{ type: 'text', text: 'Be brief.' }]],
    ['user', [{ type: 'text', text: 'one' }]],
    ['assistant', [{ type: 'text', text: 'two' }]],
    ['user', [{ type: 'text', text: 'three' }]],
  ]);
  expect(run?.messages.every(({ source }) => source?.kind === 'http')).toBe(true);
});

test('a user has one session, in which only the last message is new', async () => {
  const { agent, goOn, runs } = halting([], ['done']);
  goOn();
  const { client } = await openAiBench({ agent });
  await client.chat.completions.create({ ...hello, user: 'ada' });
  await client.chat.completions.create({
    model: 'openclaw',
    user: 'ada',
    messages: [
      { role: 'user', content: 'hello' },
      { role: 'assistant', content: 'something else' },
      { role: 'user', content: 'again' },
    ],
  });
  expect(runs[1]?.session.key).toBe('agent:main:openai:ada');
  const said = runs[1]?.messages.map(({ content }) => content[0]);
  expect(said).toEqual(['hello', 'done', 'again'].map((text) => ({ type: 'text', text })));
});

test('an image in a data address reaches the agent', async () => {
  const seen: string[] = [];
  async function* look({ attachments, readMedia }: RunContext): AsyncIterable<AgentPart> {
    for (const file of attachments) seen.push(`${file.mimeType} ${Buffer.from(await readMedia(file)).toString()}`);
    yield end({ stopReason: 'stop' });
  }
  const { client } = await openAiBench({ agent: scriptedAgent(look) });
  const url = `data:image/png;base64,${Buffer.from('pixels').toString('base64')}`;
  await client.chat.completions.create({
    model: 'openclaw',
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'look' },
          { type: 'image_url', image_url: { url } },
        ],
      },
    ],
  });
  expect(seen).toEqual(['image/png pixels']);
});

test('a caller who leaves stops nothing, and comes back to the run with the same key', async () => {
  const { agent, goOn, runs } = halting(['half '], ['whole']);
  const { client } = await openAiBench({ agent });
  const options = { headers: { 'Idempotency-Key': 'k1' } };
  const leaver = new AbortController();
  const stream = await client.chat.completions.create(
    { ...hello, stream: true },
    { ...options, signal: leaver.signal },
  );
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content === 'half ') break;
  leaver.abort();
  const again = client.chat.completions.create(hello, options);
  goOn();
  const completion = await again;
  expect(completion.choices[0]?.message.content).toBe('half whole');
  expect((await client.chat.completions.create(hello, options)).id).toBe(completion.id);
  expect(runs).toHaveLength(1);
});

test('the same key with another request is refused, and is free for another caller', async () => {
  const { client, server, baseURL } = await openAiBench();
  const options = { headers: { 'Idempotency-Key': 'k1' } };
  const first = await client.chat.completions.create(hello, options);
  const other = { ...hello, messages: [{ role: 'user' as const, content: 'other' }] };
  await expect(client.chat.completions.create(other, options)).rejects.toMatchObject({
    status: 422,
    type: 'invalid_request_error',
  });
  const apiKey = await server.gateway.createToken({ role: 'operator', id: 'ci', scopes: ['operator.write'] });
  const second = await new OpenAI({ baseURL, apiKey }).chat.completions.create(other, options);
  expect(second.choices[0]?.message.content).toBe('You said: other');
  expect(second.id).not.toBe(first.id);
});

test('a run that fails is an error, before and within a stream, and is not sent again', async () => {
  let runs = 0;
  async function* failing(): AsyncIterable<AgentPart> {
    runs++;
    yield fail('The model is gone.');
  }
  const { client, baseURL, server } = await openAiBench({ agent: scriptedAgent(failing) });
  const eager = new OpenAI({ baseURL, apiKey: server.token, maxRetries: 3 });
  await expect(eager.chat.completions.create(hello)).rejects.toMatchObject({
    status: 500,
    type: 'api_error',
    message: expect.stringContaining('The model is gone.'),
  });
  expect(runs).toBe(1);
  const stream = await client.chat.completions.create({ ...hello, stream: true });
  await expect(
    (async () => {
      for await (const _ of stream);
    })(),
  ).rejects.toThrow('The model is gone.');
});

test('an answer that is begun anew ends the stream with an error, and is whole when asked for again', async () => {
  const halt = gate();
  async function* twice(): AsyncIterable<AgentPart> {
    yield 'The first try';
    await halt.opened;
    yield { type: 'text', text: 'Something else', replace: true };
    yield end({ stopReason: 'stop' });
  }
  const { client } = await openAiBench({ agent: scriptedAgent(twice) });
  const options = { headers: { 'Idempotency-Key': 'k1' } };
  const read = async () => {
    let text = '';
    for await (const { choices } of await client.chat.completions.create({ ...hello, stream: true }, options)) {
      text += choices[0]?.delta.content ?? '';
      if (text !== '') halt.open();
    }
    return text;
  };
  await expect(read()).rejects.toThrow('began its answer anew');
  expect(await read()).toBe('Something else');
});

test('an answer that was cut by its length says so', async () => {
  async function* cut(): AsyncIterable<AgentPart> {
    yield 'so far';
    yield end({ stopReason: 'length' });
  }
  const { client } = await openAiBench({ agent: scriptedAgent(cut) });
  expect((await client.chat.completions.create(hello)).choices[0]?.finish_reason).toBe('length');
});

test('models are the agents', async () => {
  const { client } = await openAiBench();
  const ids = [];
  for await (const { id } of client.models.list()) ids.push(id);
  expect(ids).toEqual(['openclaw', 'openclaw/default', 'openclaw/main']);
  expect((await client.models.retrieve('openclaw/main')).id).toBe('openclaw/main');
  await expect(client.models.retrieve('gpt-5')).rejects.toMatchObject({ status: 404 });
});
