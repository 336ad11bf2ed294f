import {
  createSessionProjection,
  reduceSessionProjection,
  reduceSessionProjectionRunEvent,
  type SessionProjectionState,
} from '@openclaw/gateway-client';
import { afterEach, expect, test } from 'vitest';
import { gate, type Script, scriptedAgent } from '../gateway.ts';
import { InteropBench } from './bench.ts';
import { type ChatPayload, chatText, type PublishedClient } from './published-client.ts';

let bench: InteropBench;

afterEach(async () => {
  await bench.close();
  expect(bench.tap.violations).toEqual([]);
  expect(bench.tap.frames.length).toBeGreaterThan(2);
});

const sessionKey = 'agent:main:main';
const send = (client: PublishedClient, idempotencyKey: string, message: string, more: object = {}) =>
  client.request('chat.send', { sessionKey: 'main', message, idempotencyKey, ...more });

/** Says `first`, waits for the test, then says `rest`. */
function heldAnswer(first: string, rest: string) {
  const held = gate();
  const script: Script = async function* ({ signal }) {
    yield first;
    await Promise.race([held.opened, new Promise((resolve) => signal.addEventListener('abort', resolve))]);
    yield rest;
  };
  return { held, agent: scriptedAgent(script) };
}

test('connects: hello-ok names protocol 4, the granted scopes, and methods that work', async () => {
  bench = await InteropBench.start();
  const client = await bench.connected();
  const hello = client.hellos[0];
  expect(hello?.protocol).toBe(4);
  expect(hello?.auth.scopes).toEqual(expect.arrayContaining(['operator.read', 'operator.write', 'operator.admin']));
  for (const method of [
    'health',
    'status',
    'models.list',
    'agents.list',
    'system-presence',
    'config.get',
    'sessions.list',
  ]) {
    expect(hello?.features.methods).toContain(method);
    await client.request(method, {});
  }
});

test('sends and streams: a run comes as status, agent and chat events whose pieces join to the final text', async () => {
  bench = await InteropBench.start();
  const client = await bench.connected({ caps: ['tool-events'] });
  expect(await send(client, 'run-1', 'all is well')).toMatchObject({ runId: 'run-1', status: 'started' });
  const final = await client.untilChat('run-1', 'final');
  expect(chatText(final)).toBe('You said: all is well');
  expect(final).toMatchObject({ sessionKey, stopReason: 'stop' });

  const chat = client.payloads<ChatPayload>('chat');
  expect(chat[0]).toMatchObject({ state: 'status', phase: 'preparing_context' });
  let joined = '';
  for (const { state, deltaText, replace } of chat)
    if (state === 'delta') joined = replace ? `${deltaText}` : joined + deltaText;
  expect(joined).toBe('You said: all is well');

  const agent = client.payloads<{ stream: string; seq: number; runId: string; data: Record<string, unknown> }>('agent');
  expect(agent.every(({ runId }) => runId === 'run-1')).toBe(true);
  const streams = agent.map(({ stream, data }) => (data.phase === undefined ? stream : `${stream} ${data.phase}`));
  expect(streams.filter((name, index) => streams.indexOf(name) === index)).toEqual([
    'run_status preparing_context',
    'lifecycle start',
    'thinking',
    'tool start',
    'tool result',
    'item',
    'assistant',
    'usage',
    'lifecycle end',
  ]);
  const seqs = agent.map(({ seq }) => seq);
  expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
  expect(agent.findLast(({ stream }) => stream === 'assistant')?.data.text).toBe('You said: all is well');
  expect(client.gaps).toEqual([]);
});

test('reads history: rows in v4 form, older pages by offset, what came since by cursor', async () => {
  bench = await InteropBench.start();
  const client = await bench.connected();
  for (const run of ['run-1', 'run-2']) {
    await send(client, run, `message of ${run}`);
    await client.untilChat(run, 'final');
  }
  const history = await client.request<{ messages: unknown[]; deltaCursor: string; sessionKey: string }>(
    'chat.history',
    { sessionKey: 'main' },
  );
  expect(history.sessionKey).toBe('main');
  expect(history.messages).toMatchObject([
    { role: 'user', content: 'message of run-1', idempotencyKey: 'run-1:user', __openclaw: { seq: 1, runId: 'run-1' } },
    { role: 'assistant', stopReason: 'stop', __openclaw: { seq: 2, runId: 'run-1' } },
    { role: 'user', content: 'message of run-2', __openclaw: { seq: 3 } },
    { role: 'assistant', __openclaw: { seq: 4 } },
  ]);
  expect(history.messages[1]).toMatchObject({
    content: expect.arrayContaining([{ type: 'text', text: 'You said: message of run-1' }]),
  });
  const page = await client.request<{ messages: unknown[] }>('chat.history', {
    sessionKey: 'main',
    limit: 1,
    offset: 1,
  });
  expect(page.messages).toMatchObject([{ __openclaw: { seq: 3 } }]);
  await send(client, 'run-3', 'third');
  await client.untilChat('run-3', 'final');
  const since = await client.request<{ kind: string; messages: { message?: unknown; messageSeq?: number }[] }>(
    'chat.history',
    {
      sessionKey: 'main',
      cursor: history.deltaCursor,
    },
  );
  expect(since.kind).toBe('delta');
  expect(since.messages).toHaveLength(2);
  expect(since.messages[0]).toMatchObject({ messageSeq: 5, message: { role: 'user', content: 'third' } });
  const bad = await client.request<{ kind: string }>('chat.history', { sessionKey: 'main', cursor: 'nonsense' });
  expect(bad.kind).toBe('reset');
});

test('aborts: the run ends at once with its partial text; a second abort finds nothing', async () => {
  const { agent } = heldAnswer('Half of ', 'it.');
  bench = await InteropBench.start({ agent });
  const client = await bench.connected();
  await send(client, 'run-1', 'go');
  await client.untilChat('run-1', 'delta');
  expect(await client.request('chat.abort', { sessionKey: 'main', runId: 'run-1' })).toEqual({
    ok: true,
    aborted: true,
    runIds: ['run-1'],
  });
  const aborted = await client.untilChat('run-1', 'aborted');
  expect(aborted.stopReason).toBe('rpc');
  expect(chatText(aborted)).toBe('Half of ');
  expect(await client.request('chat.abort', { sessionKey: 'main', runId: 'run-1' })).toEqual({
    ok: true,
    aborted: false,
    runIds: [],
  });
  expect(
    client.payloads<{ stream: string; data: object }>('agent').findLast(({ stream }) => stream === 'lifecycle')?.data,
  ).toMatchObject({
    phase: 'error',
    aborted: true,
  });
  expect(await send(client, 'run-1', 'go')).toMatchObject({
    runId: 'run-1',
    status: 'timeout',
    summary: 'aborted',
    stopReason: 'rpc',
  });
});

test('a run that fails ends in chat error with words for a person', async () => {
  const script: Script = async function* () {
    yield 'I try. ';
    yield { type: 'fail', error: 'The model refused; choose another.', errorKind: 'refusal' };
  };
  bench = await InteropBench.start({ agent: scriptedAgent(script) });
  const client = await bench.connected();
  await send(client, 'run-1', 'go');
  const failed = await client.untilChat('run-1', 'error');
  expect(failed).toMatchObject({ errorMessage: 'The model refused; choose another.', errorKind: 'refusal' });
  expect(chatText(failed)).toBe('I try. ');
});

test('sending again with the same key executes once: in_flight, then ok, and a conflict for another text', async () => {
  const { held, agent } = heldAnswer('One ', 'answer.');
  bench = await InteropBench.start({ agent });
  const client = await bench.connected();
  expect(await send(client, 'run-1', 'go')).toMatchObject({ status: 'started' });
  expect(await send(client, 'run-1', 'go')).toMatchObject({ runId: 'run-1', status: 'in_flight' });
  await expect(send(client, 'run-1', 'other')).rejects.toMatchObject({
    gatewayCode: 'INVALID_REQUEST',
    details: { reason: 'chat-request-conflict' },
  });
  held.open();
  await client.untilChat('run-1', 'final');
  expect(await send(client, 'run-1', 'go')).toMatchObject({ runId: 'run-1', status: 'ok' });
  const { messages } = await client.request<{ messages: unknown[] }>('chat.history', { sessionKey: 'main' });
  expect(messages).toHaveLength(2);
});

test('a message that comes during a run waits for its turn, is listed as pending, and is answered after it', async () => {
  const { held, agent } = heldAnswer('First ', 'answer.');
  bench = await InteropBench.start({ agent });
  const client = await bench.connected();
  await send(client, 'run-1', 'one');
  await client.untilChat('run-1', 'delta');
  const { deltaCursor } = await client.request<{ deltaCursor: string }>('chat.history', { sessionKey: 'main' });
  expect(await send(client, 'run-2', 'two')).toMatchObject({ runId: 'run-2', status: 'started' });
  const since = await client.request<{ pendingInputs: unknown }>('chat.history', {
    sessionKey: 'main',
    cursor: deltaCursor,
  });
  expect(since.pendingInputs).toMatchObject({
    total: 1,
    items: [
      { runId: 'run-2', state: 'queued', message: { role: 'user', content: 'two', idempotencyKey: 'run-2:user' } },
    ],
  });
  held.open();
  await client.untilChat('run-2', 'final');
  const ends = client.payloads<ChatPayload>('chat').filter(({ state }) => state === 'final');
  expect(ends.map(({ runId }) => runId)).toEqual(['run-1', 'run-2']);
  const { messages } = await client.request<{ messages: { role: string }[] }>('chat.history', { sessionKey: 'main' });
  expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user', 'assistant']);
});

test('a cursor from which more came than one page holds is answered with reset, never with a gap', async () => {
  bench = await InteropBench.start();
  const client = await bench.connected();
  await send(client, 'run-0', 'first');
  await client.untilChat('run-0', 'final');
  const { deltaCursor: cursor } = await client.request<{ deltaCursor: string }>('chat.history', { sessionKey: 'main' });
  for (const run of ['run-1', 'run-2']) {
    await send(client, run, 'more');
    await client.untilChat(run, 'final');
  }
  const short = await client.request<{ kind: string }>('chat.history', { sessionKey: 'main', cursor, limit: 3 });
  expect(short.kind).toBe('reset');
  const whole = await client.request<{ kind: string; messages: unknown[] }>('chat.history', {
    sessionKey: 'main',
    cursor,
    limit: 5,
  });
  expect(whole).toMatchObject({
    kind: 'delta',
    messages: [{ messageSeq: 3 }, { messageSeq: 4 }, { messageSeq: 5 }, { messageSeq: 6 }],
  });
});

test("the client's own session projection ends with the transcript of the history", async () => {
  bench = await InteropBench.start();
  const client = await bench.connected();
  expect(await client.request('sessions.messages.subscribe', { key: sessionKey })).toMatchObject({
    subscribed: true,
    key: sessionKey,
  });
  await client.request('sessions.subscribe', {});
  for (const run of ['run-1', 'run-2']) {
    await send(client, run, `message of ${run}`);
    await client.untilChat(run, 'final');
  }
  expect(client.payloads('sessions.changed').length).toBeGreaterThan(0);
  let state: SessionProjectionState = createSessionProjection({ sessionKey });
  for (const { event, payload } of client.events) {
    if (event === 'chat') state = reduceSessionProjectionRunEvent(state, payload as never)?.projection ?? state;
    if (event !== 'session.message') continue;
    const { message, messageSeq } = payload as { message: unknown; messageSeq: number };
    state = reduceSessionProjection(state, { type: 'messagePersisted', message, messageSeq, sessionKey } as never);
  }
  const { messages } = await client.request<{ messages: unknown[] }>('chat.history', { sessionKey: 'main' });
  expect(state.messages).toEqual(messages);
  expect(Object.values(state.runs).map(({ status }) => status)).toEqual(['completed', 'completed']);
  expect(await client.request('sessions.messages.unsubscribe', { key: sessionKey })).toMatchObject({
    subscribed: false,
    key: sessionKey,
  });
});

test('agent answers twice with one id, and agent.wait with the end; both know a run that is over', async () => {
  const { held, agent } = heldAnswer('Slow ', 'work.');
  bench = await InteropBench.start({ agent });
  const client = await bench.connected();
  const accepted: unknown[] = [];
  const params = { message: 'work', sessionKey: 'main', idempotencyKey: 'run-1' };
  const answer = client.request('agent', params, {
    expectFinal: true,
    onAccepted: (payload) => accepted.push(payload),
  });
  await client.untilChat('run-1', 'delta');
  expect(accepted).toMatchObject([{ runId: 'run-1', status: 'accepted', sessionKey, agentId: 'main' }]);
  expect(await client.request('agent.wait', { runId: 'run-1', timeoutMs: 1 })).toMatchObject({
    runId: 'run-1',
    status: 'timeout',
  });
  const waiting = client.request('agent.wait', { runId: 'run-1', timeoutMs: 10_000 });
  held.open();
  expect(await answer).toMatchObject({
    runId: 'run-1',
    status: 'ok',
    summary: 'completed',
    result: { payloads: [{ text: 'Slow work.' }] },
  });
  expect(await waiting).toMatchObject({ runId: 'run-1', status: 'ok', stopReason: 'stop' });
  expect(await client.request('agent.wait', { runId: 'run-1', timeoutMs: 0 })).toMatchObject({ status: 'ok' });
  expect(await client.request('agent', params, { expectFinal: true })).toMatchObject({
    status: 'ok',
    result: { payloads: [{ text: 'Slow work.' }] },
  });
});

test('sessions are made, changed, listed, reset and deleted in v4 words', async () => {
  bench = await InteropBench.start();
  const client = await bench.connected();
  const key = 'agent:main:notes';
  expect(await client.request('sessions.create', { key })).toMatchObject({ ok: true, key });
  expect(await client.request('sessions.patch', { key, label: 'Notes' })).toMatchObject({
    ok: true,
    key,
    entry: { label: 'Notes' },
  });
  const list = await client.request<{ sessions: { key: string }[] }>('sessions.list', { limit: 5 });
  expect(list.sessions).toMatchObject([{ key, kind: 'direct', label: 'Notes', agentId: 'main' }]);
  expect(await client.request('sessions.describe', { key })).toMatchObject({ session: { key } });
  expect(await client.request('sessions.reset', { key })).toMatchObject({ ok: true, key });
  expect(await client.request('sessions.delete', { key })).toMatchObject({ ok: true, key, deleted: true });
  expect(await client.request('sessions.describe', { key })).toMatchObject({ session: null });
});
