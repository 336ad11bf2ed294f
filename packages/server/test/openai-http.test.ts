import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { memoryTransportPair } from '@openclaw/protocol';
import { settle, VirtualClock } from '@openclaw/protocol/testing';
import { expect, onTestFinished, test } from 'vitest';
import { createGateway, memoryStore, type OpenAiOptions } from '../src/index.ts';
import { type Door, openDoor, ownerToken } from './door-fixture.ts';
import { type AnyFrame, connectFrame } from './raw-client.ts';

const on: OpenAiOptions = { chatCompletions: true, responses: true };
const hello = { model: 'openclaw', messages: [{ role: 'user', content: 'hello' }] };

function post({ fetch }: Door, path: string, body: unknown, init: Parameters<Door['fetch']>[1] = {}) {
  const { headers, ...rest } = init;
  return fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...rest,
  });
}

async function refusal(response: Response) {
  const { error } = (await response.json()) as { error: Record<string, unknown> };
  expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type']);
  return { status: response.status, type: error.type, message: String(error.message) };
}

/** Reads a stream until what came holds `wanted`. */
async function heard(reader: ReadableStreamDefaultReader<Uint8Array>, wanted: string): Promise<string> {
  let text = '';
  while (!text.includes(wanted)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`ended without ${wanted}: ${text}`);
    text += new TextDecoder().decode(value);
  }
  return text;
}

test('everything is off until it is turned on, and can be turned on while the gateway runs', async () => {
  const door = await openDoor();
  for (const path of ['/v1/models', `/v1/responses/resp_${'0'.repeat(32)}`])
    expect(await refusal(await door.fetch(path))).toMatchObject({ status: 404 });
  for (const path of ['/v1/chat/completions', '/v1/responses'])
    expect(await refusal(await post(door, path, hello))).toMatchObject({ status: 404 });
  door.gateway.reconfigure({ auth: { mode: 'token', token: 'the-token-of-the-owner' }, openAi: { responses: true } });
  expect((await door.fetch('/v1/models')).status).toBe(200);
  expect((await post(door, '/v1/chat/completions', hello)).status).toBe(404);
});

test('who has no valid token is refused, and who may only read asks nothing', async () => {
  const door = await openDoor({ openAi: on });
  expect(await refusal(await post(door, '/v1/chat/completions', hello, { token: 'wrong' }))).toMatchObject({
    status: 401,
    type: 'unauthorized',
  });
  expect((await door.fetch('/v1/models', { token: '' })).status).toBe(401);
  const token = await door.gateway.createToken({ role: 'operator', id: 'reader', scopes: ['operator.read'] });
  expect((await door.fetch('/v1/models', { token })).status).toBe(200);
  expect((await post(door, '/v1/responses', { model: 'openclaw', input: 'x' }, { token })).status).toBe(403);
});

test('a wrong method is answered with the right one', async () => {
  const door = await openDoor({ openAi: on });
  const id = `resp_${'0'.repeat(32)}`;
  for (const [method, path, allow] of [
    ['GET', '/v1/chat/completions', 'POST'],
    ['GET', '/v1/responses', 'POST'],
    ['GET', `/v1/responses/${id}/cancel`, 'POST'],
    ['POST', `/v1/responses/${id}`, 'GET, HEAD'],
    ['DELETE', '/v1/models', 'GET, HEAD'],
  ] as const) {
    const response = await door.fetch(path, { method });
    expect([path, response.status, response.headers.get('allow')]).toEqual([path, 405, allow]);
  }
});

const user = (content: unknown) => ({ model: 'openclaw', messages: [{ role: 'user', content }] });

test.each([
  ['no messages', '/v1/chat/completions', { model: 'openclaw', messages: [] }, 'messages'],
  ['no model', '/v1/chat/completions', { messages: hello.messages }, 'model'],
  ['an unknown model', '/v1/chat/completions', { ...hello, model: 'gpt-5' }, 'gpt-5'],
  ['an unknown agent', '/v1/chat/completions', { ...hello, model: 'openclaw/nobody' }, 'nobody'],
  ['nothing said', '/v1/chat/completions', user(''), 'message or attachment required'],
  [
    'an answer at the end',
    '/v1/chat/completions',
    { ...hello, messages: [{ role: 'assistant', content: 'a' }] },
    'role `user`',
  ],
  ['tools', '/v1/chat/completions', { ...hello, tools: [{ type: 'function' }] }, 'tools'],
  ['several answers', '/v1/chat/completions', { ...hello, n: 2 }, '`n`'],
  ['log probabilities', '/v1/chat/completions', { ...hello, logprobs: true }, 'logprobs'],
  ['a schema', '/v1/chat/completions', { ...hello, response_format: { type: 'json_schema' } }, 'response_format'],
  [
    'an image elsewhere',
    '/v1/chat/completions',
    user([{ type: 'image_url', image_url: { url: 'https://x.test/a.png' } }]),
    'fetches nothing',
  ],
  ['a file by id', '/v1/chat/completions', user([{ type: 'file', file: { file_id: 'f' } }]), 'file_data'],
  [
    'bytes that are none',
    '/v1/chat/completions',
    user([{ type: 'image_url', image_url: { url: 'data:image/png;base64,*' } }]),
    'base64',
  ],
  [
    'a tool message',
    '/v1/chat/completions',
    { ...hello, messages: [{ role: 'tool', content: 'a' }, ...hello.messages] },
    'tool calls',
  ],
  ['no JSON', '/v1/chat/completions', '{', 'no JSON'],
  ['a list', '/v1/chat/completions', '[]', 'must be object'],
  ['a key of prototypes', '/v1/chat/completions', '{"__proto__": {}}', '__proto__'],
  ['a conversation', '/v1/responses', { model: 'openclaw', input: 'x', conversation: 'c' }, 'conversation'],
  [
    'a function call',
    '/v1/responses',
    { model: 'openclaw', input: [{ type: 'function_call_output' }] },
    'function_call_output',
  ],
  ['an unknown previous one', '/v1/responses', { model: 'openclaw', input: 'x', previous_response_id: '../x' }, '../x'],
])('%s is a bad request, and leaves nothing', async (_, path, body, words) => {
  const door = await openDoor({ openAi: on });
  const refused = await refusal(await post(door, path, body));
  expect(refused).toMatchObject({ status: 400, type: 'invalid_request_error' });
  expect(refused.message).toContain(words);
  expect((await (await door.dial()).ask('sessions.list', {})).payload.totalCount).toBe(0);
});

test('a body that is no JSON by its type, or too large, is refused', async () => {
  const door = await openDoor({ openAi: { ...on, maxBodyBytes: 100 } });
  const plain = { headers: { 'content-type': 'text/plain' } };
  expect((await refusal(await post(door, '/v1/chat/completions', hello, plain))).status).toBe(415);
  expect((await refusal(await post(door, '/v1/chat/completions', user('x'.repeat(100))))).status).toBe(413);
});

test('a session key of another agent than the model names is refused', async () => {
  const door = await openDoor({ openAi: on, agents: [{ id: 'main' }, { id: 'other' }] });
  const headers = { 'x-openclaw-session-key': 'agent:other:notes' };
  const refused = await refusal(
    await post(door, '/v1/chat/completions', { ...hello, model: 'openclaw/main' }, { headers }),
  );
  expect(refused).toMatchObject({ status: 400, message: expect.stringContaining('another agent') });
});

test('more answers than are allowed at a time are refused for a while, and one that is left makes room', async () => {
  const door = await openDoor({ openAi: { ...on, maxOpenAnswers: 1 } });
  const leaver = new AbortController();
  const first = await post(door, '/v1/chat/completions', { ...hello, stream: true }, { signal: leaver.signal });
  const refused = await post(door, '/v1/chat/completions', hello);
  expect(refused.headers.get('retry-after')).toBe('5');
  expect((await refusal(refused)).status).toBe(429);
  leaver.abort();
  await expect(first.text()).rejects.toThrow();
  const background = () => post(door, '/v1/responses', { model: 'openclaw', input: 'x', background: true });
  let last = await background();
  for (let turn = 0; turn < 100 && last.status === 429; turn++) last = await background();
  expect(last.status).toBe(200);
});

test('a stream that has nothing to say shows that it lives', async () => {
  const door = await openDoor({ openAi: on });
  const response = await post(door, '/v1/chat/completions', { ...hello, stream: true });
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  await heard(reader, '"role":"assistant"');
  await settle();
  await door.clock.advance(15_000);
  expect(await heard(reader, ': still here')).toBe(': still here\n\n');
  await reader.cancel();
});

test('a gateway that is closed cuts its streams off, also on a server that goes on', async () => {
  const clock = new VirtualClock();
  const gateway = await createGateway({ auth: { mode: 'token', token: ownerToken }, clock, openAi: on });
  const server = createServer();
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  gateway.attach(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/v1/responses`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ownerToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'openclaw', input: 'x', stream: true }),
  });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  await heard(reader, 'response.in_progress');
  await gateway.close();
  await expect(heard(reader, 'anything more')).rejects.toThrow();
  expect(clock.timerCount).toBe(0);
});

test('a session that is deleted ends its streams with an error', async () => {
  const door = await openDoor({ openAi: on });
  const operator = await door.dial();
  const response = await post(door, '/v1/responses', { model: 'openclaw', input: 'x', user: 'ada', stream: true });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const begun = await heard(reader, 'response.in_progress');
  const id = /resp_[0-9a-f]{32}/.exec(begun)?.[0];
  await operator.ask('sessions.delete', { key: 'openai:ada', idempotencyKey: 'd1' });
  expect(await heard(reader, 'response.failed')).toContain('"status":"cancelled"');
  expect((await door.fetch(`/v1/responses/${id}`)).status).toBe(404);
});

test('the same key is the same run over both ways to wait for it', async () => {
  const door = await openDoor({ openAi: on });
  const headers = { 'idempotency-key': 'k1' };
  const body = { model: 'openclaw', input: 'x', background: true };
  const ids = [];
  for (let count = 0; count < 3; count++)
    ids.push(((await (await post(door, '/v1/responses', body, { headers })).json()) as { id: string }).id);
  expect(new Set(ids).size).toBe(1);
  expect((await (await door.dial()).ask('sessions.list', { archived: true })).payload.totalCount).toBe(1);
});

test('the trace of a request reaches the agent with its run, and so does its source', async () => {
  const door = await openDoor({ openAi: on });
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const body = { model: 'openclaw', input: 'x', background: true };
  await post(door, '/v1/responses', body, { headers: { traceparent } });
  const [inside, outside] = memoryTransportPair();
  door.gateway.accept(inside, { role: 'agent', id: 'main' });
  const work = new Promise<unknown>((resolve) => {
    const message = (text: string) => {
      const frame = JSON.parse(text) as AnyFrame;
      if (frame.event === 'stream.reset') resolve(frame.payload.state.runs[0]);
    };
    outside.open({ message, drained: () => {}, closed: () => {} });
  });
  outside.send(JSON.stringify(connectFrame({ role: 'agent', caps: ['streams'] })));
  const params = { streams: [{ stream: 'agent:main' }] };
  outside.send(JSON.stringify({ type: 'req', id: 's', method: 'streams.subscribe', params }));
  expect(await work).toMatchObject({ traceparent, effects: 'ask' });
});

test('a request that could not be committed is refused for now, and leaves its key free', async () => {
  const store = memoryStore();
  let isBroken = false;
  const commit = store.commit.bind(store);
  store.commit = (batch) => (isBroken ? Promise.reject(new Error('the disk is full')) : commit(batch));
  const door = await openDoor({ openAi: on }, { store });
  const headers = { 'idempotency-key': 'k1' };
  const ask = () => post(door, '/v1/responses', { model: 'openclaw', input: 'x', background: true }, { headers });
  isBroken = true;
  const refused = await ask();
  expect(refused.headers.get('retry-after')).toBe('1');
  expect(await refusal(refused)).toMatchObject({ status: 503, type: 'unavailable' });
  isBroken = false;
  expect((await ask()).status).toBe(200);
});
