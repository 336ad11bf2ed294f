import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AgentPart, end, type RunContext, serve, step } from '@openclaw/plugin-sdk';
import { memoryTransportPair } from '@openclaw/protocol';
import { createGateway } from '@openclaw/server';
import { sqliteStore } from '@openclaw/store-sqlite';
import OpenAI from 'openai';
import type { ResponseStreamEvent } from 'openai/resources/responses/responses';
import { expect, onTestFinished, test } from 'vitest';
import { gate, type Script, scriptedAgent, startGateway, testToken } from '../gateway.ts';
import { halting, openAiBench } from './openai-bench.ts';

const hello = { model: 'openclaw', input: 'hello' };

async function all(stream: AsyncIterable<ResponseStreamEvent>): Promise<ResponseStreamEvent[]> {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

function textOf(events: readonly ResponseStreamEvent[]): string {
  return events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join('');
}

/** The text of the response that ends a stream. */
function wholeText(events: readonly ResponseStreamEvent[]): string | undefined {
  const last = events.at(-1);
  const [item] = last?.type === 'response.completed' ? last.response.output : [];
  const [part] = item?.type === 'message' ? item.content : [];
  return part?.type === 'output_text' ? part.text : undefined;
}

test('a response is the answer of a run', async () => {
  const { client } = await openAiBench();
  const response = await client.responses.create(hello);
  expect(response).toMatchObject({ status: 'completed', error: null, usage: { total_tokens: 7 } });
  expect(response.output_text).toBe('You said: hello');
  expect((await client.responses.retrieve(response.id)).output_text).toBe('You said: hello');
});

test('a streamed response has every event of the sequence, and ends with the whole', async () => {
  const { client } = await openAiBench();
  const events = await all(await client.responses.create({ ...hello, stream: true }));
  const types = events.map(({ type }) => type).filter((type, index, every) => type !== every[index - 1]);
  expect(types).toEqual([
    'response.created',
    'response.in_progress',
    'response.output_item.added',
    'response.content_part.added',
    'response.output_text.delta',
    'response.output_text.done',
    'response.content_part.done',
    'response.output_item.done',
    'response.completed',
  ]);
  expect(wholeText(events)).toBe('You said: hello');
  expect(textOf(events)).toBe('You said: hello');
  const numbers = events.map(({ sequence_number }) => sequence_number);
  expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
});

test('the helper of the client accumulates a streamed response', async () => {
  const { client } = await openAiBench();
  const final = await client.responses.stream(hello).finalResponse();
  expect(final.output_text).toBe('You said: hello');
});

test('a background response is there at once, and is read from any of its numbers on while it is written', async () => {
  const { agent, goOn } = halting(['one two '], ['three four']);
  const { client } = await openAiBench({ agent });
  const begun = await client.responses.create({ ...hello, background: true });
  expect(['queued', 'in_progress']).toContain(begun.status);
  const first: ResponseStreamEvent[] = [];
  for await (const event of await client.responses.retrieve(begun.id, { stream: true })) {
    first.push(event);
    if (event.type === 'response.output_text.delta') break;
  }
  const rest = client.responses.retrieve(begun.id, {
    stream: true,
    starting_after: first.at(-1)?.sequence_number ?? 0,
  });
  goOn();
  const events = await all(await rest);
  expect(events[0]?.type).toBe('response.output_text.delta');
  expect(textOf(first) + textOf(events)).toBe('one two three four');
  const whole = await all(await client.responses.retrieve(begun.id, { stream: true }));
  // In the middle of a delta, too: the numbers count text, not events.
  for (const from of [0, 3, 6, 7, 21, whole.at(-1)?.sequence_number ?? 0]) {
    const tail = await all(await client.responses.retrieve(begun.id, { stream: true, starting_after: from }));
    expect(textOf(tail)).toBe('one two three four'.slice(Math.max(0, from - 4)));
    expect(tail.every(({ sequence_number }) => sequence_number > from)).toBe(true);
  }
});

test('after a restart of the gateway a reader gets exactly the rest', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'openai-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const halt = gate();
  async function* twoSteps({ journal }: RunContext): AsyncIterable<AgentPart> {
    if (journal.steps.length === 0) {
      yield 'Before the restart. ';
      yield step();
    }
    await halt.opened;
    yield 'After it.';
    yield end({ stopReason: 'stop' });
  }
  const start = () =>
    startGateway({
      openAi: { responses: true },
      store: sqliteStore({ directory }),
      agent: scriptedAgent(twoSteps),
    });
  const before = await start();
  const clientOf = ({ port, token }: { port: number; token: string }) =>
    new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: token, maxRetries: 0 });
  const seen: ResponseStreamEvent[] = [];
  const stream = await clientOf(before).responses.create({ ...hello, stream: true });
  for await (const event of stream) {
    seen.push(event);
    if (event.type === 'response.output_text.delta') break;
  }
  await before.close();
  const after = await start();
  onTestFinished(() => after.close());
  halt.open();
  const [created] = seen;
  const id = created?.type === 'response.created' ? created.response.id : '';
  const rest = await all(
    await clientOf(after).responses.retrieve(id, {
      stream: true,
      starting_after: seen.at(-1)?.sequence_number ?? 0,
    }),
  );
  expect(textOf(seen)).toBe('Before the restart. ');
  expect(textOf(rest)).toBe('\n\nAfter it.');
  expect(rest.at(-1)?.type).toBe('response.completed');
});

test('a stream goes on without a seam when the agent dies and its successor says the same', async () => {
  const gateway = await createGateway({ auth: { mode: 'token', token: testToken }, openAi: { responses: true } });
  onTestFinished(() => gateway.close());
  const { port } = await gateway.listen({ port: 0 });
  const attach = async (script: Script) => {
    const [inside, outside] = memoryTransportPair();
    gateway.accept(inside, { role: 'agent', id: 'main' });
    const serving = serve(scriptedAgent(script), outside);
    await serving.ready;
    return serving;
  };
  const halt = gate();
  const first = await attach(async function* () {
    yield 'one two ';
    await halt.opened;
  });
  const client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: testToken, maxRetries: 0 });
  const events: ResponseStreamEvent[] = [];
  for await (const event of await client.responses.create({ ...hello, stream: true })) {
    events.push(event);
    if (textOf(events) !== 'one two ') continue;
    await first.close();
    const second = await attach(async function* () {
      yield 'one two three';
    });
    onTestFinished(() => second.close());
  }
  halt.open();
  expect(textOf(events)).toBe('one two three');
  expect(events.at(-1)?.type).toBe('response.completed');
});

test('who asks for a long answer and takes nothing of it is cut off', async () => {
  const options = { responses: true, stallMs: 300 };
  const gateway = await createGateway({ auth: { mode: 'token', token: testToken }, openAi: options });
  const web = createServer();
  gateway.attach(web);
  const [inside, outside] = memoryTransportPair();
  gateway.accept(inside, { role: 'agent', id: 'main' });
  const serving = serve(
    scriptedAgent(async function* () {
      yield 'x'.repeat(16 * 1_024 * 1_024);
    }),
    outside,
  );
  onTestFinished(async () => {
    await serving.close();
    await gateway.close();
    web.close();
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const cut = new Promise<void>((resolve) =>
    web.once('connection', (socket: Socket) => socket.once('close', () => resolve())),
  );
  const reader = connect((web.address() as AddressInfo).port, '127.0.0.1');
  reader.on('error', () => undefined);
  onTestFinished(() => {
    reader.destroy();
  });
  const body = JSON.stringify(hello);
  const head = `authorization: Bearer ${testToken}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
  reader.write(`POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\n${head}\r\n\r\n${body}`);
  await cut;
});

test('a cancelled response stops its run and stays cancelled', async () => {
  const { agent, runs } = halting(['so far'], ['never']);
  const { client } = await openAiBench({ agent });
  const stream = await client.responses.create({ ...hello, stream: true });
  const events: ResponseStreamEvent[] = [];
  for await (const event of stream) {
    events.push(event);
    if (event.type !== 'response.output_text.delta') continue;
    const id = (events[0] as { response: { id: string } }).response.id;
    expect((await client.responses.cancel(id)).status).toBe('cancelled');
    expect((await client.responses.cancel(id)).status).toBe('cancelled');
  }
  const last = events.at(-1);
  expect(last?.type === 'response.failed' && last.response.status).toBe('cancelled');
  expect(runs[0]?.signal.aborted).toBe(true);
});

test('a response that waits in its session is cancelled before it begins', async () => {
  const { agent, goOn, runs } = halting([], ['done']);
  const { client } = await openAiBench({ agent });
  const first = await client.responses.create({ ...hello, user: 'ada', background: true });
  const second = await client.responses.create({ ...hello, user: 'ada', background: true });
  expect((await client.responses.cancel(second.id)).status).toBe('cancelled');
  goOn();
  const whole = await all(await client.responses.retrieve(first.id, { stream: true }));
  expect(textOf(whole)).toBe('done');
  expect(runs).toHaveLength(1);
});

test('a response goes on in the session of the previous one', async () => {
  const { agent, goOn, runs } = halting([], ['done']);
  goOn();
  const { client } = await openAiBench({ agent });
  const first = await client.responses.create({ ...hello, instructions: 'Be brief.' });
  const second = await client.responses.create({ model: 'openclaw', input: 'again', previous_response_id: first.id });
  expect(second.previous_response_id).toBe(first.id);
  expect(runs[1]?.messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant', 'user']);
  expect(runs[1]?.session.key).toBe(runs[0]?.session.key);
  await expect(
    client.responses.create({ ...hello, previous_response_id: `resp_${'0'.repeat(32)}` }),
  ).rejects.toMatchObject({ status: 400 });
});

test('nobody but its maker and an admin sees a response', async () => {
  const { client, server, baseURL } = await openAiBench();
  const tokenFor = (id: string, scope: string) =>
    server.gateway.createToken({ role: 'operator', id, scopes: ['operator.read', scope] });
  const maker = new OpenAI({ baseURL, apiKey: await tokenFor('maker', 'operator.write'), maxRetries: 0 });
  const other = new OpenAI({ baseURL, apiKey: await tokenFor('other', 'operator.write'), maxRetries: 0 });
  const { id } = await maker.responses.create(hello);
  expect((await maker.responses.retrieve(id)).id).toBe(id);
  expect((await client.responses.retrieve(id)).id).toBe(id);
  await expect(other.responses.retrieve(id)).rejects.toMatchObject({ status: 404 });
  await expect(other.responses.cancel(id)).rejects.toMatchObject({ status: 404 });
  await expect(other.responses.create({ ...hello, previous_response_id: id })).rejects.toMatchObject({ status: 400 });
});

test('an answer that is begun anew closes its message and begins another', async () => {
  const halt = gate();
  async function* twice(): AsyncIterable<AgentPart> {
    yield 'The first try';
    await halt.opened;
    yield { type: 'text', text: 'Something else', replace: true };
    yield end({ stopReason: 'stop' });
  }
  const { client } = await openAiBench({ agent: scriptedAgent(twice) });
  const stream = await client.responses.create({ ...hello, stream: true });
  const events: ResponseStreamEvent[] = [];
  for await (const event of stream) {
    events.push(event);
    if (event.type === 'response.output_text.delta') halt.open();
  }
  const items = events.flatMap((event) => (event.type === 'response.output_item.done' ? [event.item] : []));
  expect(items.map((item) => item.type === 'message' && item.status)).toEqual(['incomplete', 'completed']);
  const last = events.at(-1);
  expect(wholeText(events)).toBe('Something else');
  const id = (events[0] as { response: { id: string } }).response.id;
  const replayed = await all(await client.responses.retrieve(id, { stream: true, starting_after: 10 }));
  expect(replayed.at(-1)?.sequence_number).toBe(last?.sequence_number);
});
