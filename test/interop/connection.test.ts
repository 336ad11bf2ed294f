import { memoryStore } from '@openclaw/server';
import { afterEach, expect, test } from 'vitest';
import { gate, type Script, scriptedAgent } from '../gateway.ts';
import { InteropBench } from './bench.ts';
import { type ChatPayload, chatText } from './published-client.ts';

let bench: InteropBench;

afterEach(async () => {
  await bench.close();
  expect(bench.tap.violations).toEqual([]);
});

/** Says one word for every gate, each time the test opens the next one. */
function wordByWord(words: string[]) {
  const gates = words.map(() => gate());
  const script: Script = async function* () {
    for (const [index, word] of words.entries()) {
      await gates[index]?.opened;
      yield word;
    }
  };
  return { gates, agent: scriptedAgent(script) };
}

test.each([
  ['cut', (bench: InteropBench) => bench.proxy.cut()],
  ['reset', (bench: InteropBench) => bench.proxy.reset()],
])(
  'a client whose connection is %s in a run comes back and has the whole text with the next delta',
  async (_name, fault) => {
    const { gates, agent } = wordByWord(['One ', 'two ', 'three.']);
    bench = await InteropBench.start({ agent });
    const client = await bench.connected();
    await client.request('chat.send', { sessionKey: 'main', message: 'count', idempotencyKey: 'run-1' });
    gates[0]?.open();
    await client.untilChat('run-1', 'delta');
    fault(bench);
    await client.until('close', () => client.closes[0]);
    gates[1]?.open();
    await client.until('second hello-ok', () => client.hellos[1]);
    const history = await client.request<{ messages: unknown[]; inFlightRun?: { runId: string; text: string } }>(
      'chat.history',
      {
        sessionKey: 'main',
      },
    );
    expect(history.inFlightRun).toMatchObject({ runId: 'run-1', text: 'One two ' });
    const before = client.events.length;
    gates[2]?.open();
    const final = await client.untilChat('run-1', 'final');
    expect(chatText(final)).toBe('One two three.');
    const late = client.events.slice(before).map(({ payload }) => payload as ChatPayload);
    expect(late.find(({ state }) => state === 'delta')).toMatchObject({
      deltaText: 'three.',
      message: { content: [{ text: 'One two three.' }] },
    });
    expect(client.gaps).toEqual([]);
    expect(
      await client.request('chat.send', { sessionKey: 'main', message: 'count', idempotencyKey: 'run-1' }),
    ).toMatchObject({ status: 'ok' });
  },
);

test('a client that was away at the end has the answer from the history, exactly once', async () => {
  const { gates, agent } = wordByWord(['One ', 'two.']);
  bench = await InteropBench.start({ agent });
  const client = await bench.connected();
  await client.request('chat.send', { sessionKey: 'main', message: 'count', idempotencyKey: 'run-1' });
  gates[0]?.open();
  await client.untilChat('run-1', 'delta');
  bench.proxy.refuse(true);
  bench.proxy.cut();
  await client.until('close', () => client.closes[0]);
  gates[1]?.open();
  bench.proxy.refuse(false);
  await client.until('second hello-ok', () => client.hellos[1]);
  expect(await client.request('agent.wait', { runId: 'run-1', timeoutMs: 10_000 })).toMatchObject({ status: 'ok' });
  const { messages, inFlightRun } = await client.request<{
    messages: { role: string; content: unknown }[];
    inFlightRun?: unknown;
  }>('chat.history', { sessionKey: 'main' });
  expect(messages).toMatchObject([
    { role: 'user', content: 'count' },
    { role: 'assistant', content: [{ type: 'text', text: 'One two.' }] },
  ]);
  expect(inFlightRun).toBeUndefined();
});

test('a run goes on over a restart of the gateway and its agent, and the client has its whole text', async () => {
  const { gates, agent } = wordByWord(['One ', 'two ', 'three.']);
  bench = await InteropBench.start({ agent, store: memoryStore() });
  const client = await bench.connected();
  await client.request('chat.send', { sessionKey: 'main', message: 'count', idempotencyKey: 'run-1' });
  gates[0]?.open();
  await client.untilChat('run-1', 'delta');
  await bench.restart();
  await client.until('second hello-ok', () => client.hellos[1]);
  const before = client.events.length;
  gates[1]?.open();
  gates[2]?.open();
  expect(chatText(await client.untilChat('run-1', 'final'))).toBe('One two three.');
  const late = client.events.slice(before).filter(({ event }) => event === 'chat');
  const deltas = late.map(({ payload }) => payload as ChatPayload).filter(({ state }) => state === 'delta');
  expect(deltas.map(({ deltaText }) => deltaText).join('')).toBe('two three.');
  expect(await client.request('agent.wait', { runId: 'run-1', timeoutMs: 0 })).toMatchObject({ status: 'ok' });
});

test('a client behind a link that breaks every message into single bytes notices nothing', async () => {
  bench = await InteropBench.start();
  bench.proxy.shape({ writeBytes: 1 });
  const client = await bench.connected();
  await client.request('chat.send', { sessionKey: 'main', message: 'ünï 🙂 code', idempotencyKey: 'run-1' });
  expect(chatText(await client.untilChat('run-1', 'final'))).toBe('You said: ünï 🙂 code');
  expect(client.gaps).toEqual([]);
});

test('a wrong token is refused with the details and the close code of v4', async () => {
  bench = await InteropBench.start();
  const client = bench.client({ token: 'wrong' });
  client.client.start();
  const error = await client.until('connect error', () => client.connectErrors[0]);
  expect(error.message).toMatch(/^unauthorized: gateway token mismatch/);
  expect(error).toMatchObject({
    gatewayCode: 'INVALID_REQUEST',
    details: {
      code: 'AUTH_TOKEN_MISMATCH',
      authReason: 'token_mismatch',
      canRetryWithDeviceToken: false,
      recommendedNextStep: 'update_auth_credentials',
    },
  });
  await client.until('close', () => client.closes[0]);
  expect(bench.tap.closes.find(({ direction }) => direction === 'toClient')).toMatchObject({ code: 1008 });
  expect(client.hellos).toEqual([]);
});

test('a missing scope is refused by name, and the connection goes on', async () => {
  bench = await InteropBench.start();
  const client = await bench.connected({ scopes: ['operator.read'] });
  await expect(
    client.request('chat.send', { sessionKey: 'main', message: 'no', idempotencyKey: 'run-1' }),
  ).rejects.toMatchObject({
    gatewayCode: 'FORBIDDEN',
    message: expect.stringContaining('missing scope: operator.write'),
    details: { code: 'MISSING_SCOPE', missingScope: 'operator.write', requiredScopes: ['operator.write'] },
  });
  await client.request('chat.history', { sessionKey: 'main' });
  expect(client.closes).toEqual([]);
});

test('wrong params, unknown methods and unknown fields are refused in v4 words, one request at a time', async () => {
  bench = await InteropBench.start();
  const client = await bench.connected();
  await expect(client.request('chat.send', { sessionKey: 'main', message: 7, idempotencyKey: 'k' })).rejects.toThrow(
    /^invalid chat\.send params: at \/message: must be string/,
  );
  await expect(
    client.request('chat.send', { sessionKey: 'main', message: 'x', idempotencyKey: 'k', mesage: 'y' }),
  ).rejects.toThrow(/^invalid chat\.send params: at root: unexpected property 'mesage'/);
  await expect(client.request('no.such.method', {})).rejects.toThrow('unknown method: no.such.method');
  await client.request('health', { anything: true });
});

test('other v4 clients see the run without subscribing; one without operator.read sees nothing of it', async () => {
  bench = await InteropBench.start();
  const [sender, reader, stranger] = await Promise.all([
    bench.connected(),
    bench.connected({ scopes: ['operator.read'] }),
    bench.connected({ scopes: ['operator.pairing'] }),
  ]);
  await sender.request('chat.send', { sessionKey: 'main', message: 'hello', idempotencyKey: 'run-1' });
  expect(chatText(await reader.untilChat('run-1', 'final'))).toBe('You said: hello');
  await stranger.request('health', {});
  expect(stranger.events.filter(({ event }) => event === 'chat' || event === 'agent')).toEqual([]);
  expect(reader.payloads<{ stream: string }>('agent').some(({ stream }) => stream === 'tool')).toBe(false);
});

test('a gateway that stops says so and closes with 1012; the client comes back to the next one', async () => {
  bench = await InteropBench.start();
  const client = await bench.connected();
  await bench.server.gateway.drain({ reason: 'gateway stopping', restartExpectedMs: 500, timeoutMs: 1_000 });
  await expect(
    client.request('chat.send', { sessionKey: 'main', message: 'late', idempotencyKey: 'run-9' }),
  ).rejects.toMatchObject({
    gatewayCode: 'UNAVAILABLE',
    retryable: true,
  });
  await bench.server.close();
  await client.until('close', () => client.closes[0]);
  expect(client.payloads('shutdown')).toEqual([{ reason: 'gateway stopping', restartExpectedMs: 500 }]);
  expect(client.closes[0]?.code).toBe(1012);
});
