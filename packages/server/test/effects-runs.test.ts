import { memoryTransportPair } from '@openclaw/protocol';
import { settle } from '@openclaw/protocol/testing';
import { expect, onTestFinished, test } from 'vitest';
import { type GatewayOptions, memoryStore } from '../src/index.ts';
import { type Caller, type Door, messagesOf, openDoor } from './door-fixture.ts';
import type { AnyFrame } from './raw-client.ts';

const token = 'a-token-for-hooks';

const open = (options: Partial<GatewayOptions> = {}, store = memoryStore()) =>
  openDoor({ hooks: { token, defaultSessionKey: 'main' }, ...options }, { store });

async function hook(door: Door, path: string, body: object): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  const answer = await door.fetch(`/hooks/${path}`, { method: 'POST', token, headers, body: JSON.stringify(body) });
  return ((await answer.json()) as { runId: string }).runId;
}

/** An agent in the process that speaks frames; `ask` gives the answer's frame. */
async function attach({ gateway }: Door, instance = 'instance-one') {
  const [inside, outside] = memoryTransportPair();
  gateway.accept(inside, { role: 'agent', id: 'main' });
  const frames: AnyFrame[] = [];
  outside.open({ message: (text) => frames.push(JSON.parse(text)), drained: () => {}, closed: () => {} });
  onTestFinished(() => outside.close(1000, 'done'));
  let count = 0;
  const ask = async (method: string, params: object): Promise<AnyFrame> => {
    const id = `a${++count}`;
    outside.send(JSON.stringify({ type: 'req', id, method, params }));
    const answer = () => frames.find((frame) => frame.type === 'res' && frame.id === id);
    await expect.poll(answer).toBeDefined();
    return answer() as AnyFrame;
  };
  const client = { id: 't', version: '1', platform: 't', mode: 'backend' };
  await ask('connect', { minProtocol: 4, maxProtocol: 4, client, caps: ['streams'], role: 'agent' });
  await ask('agent.attach', { instance, resumable: true });
  return { ask, leave: () => outside.close(1000, 'gone') };
}

const send = (caller: Caller, key: string, rest: object = {}) =>
  caller.ask('chat.send', { sessionKey: 'main', message: key, idempotencyKey: key, ...rest });
const mail = (toolCallId = 'c1', args: object = {}) => ({
  stream: 'tool',
  data: { phase: 'start', toolCallId, name: 'mail', args },
});
const question = (toolCallId = 'c1') => ({
  stream: 'approval',
  data: { phase: 'requested', approvalId: `q-${toolCallId}`, title: 'Mail', toolCallId },
});
const end = { stream: 'lifecycle', data: { phase: 'end' } };
const refusal = { ok: false, error: { code: 'FORBIDDEN', details: { code: 'EFFECT_NOT_ALLOWED' } } };

test('a question in the same emit, an answer to another call, and an agent that resolves its own question allow nothing', async () => {
  const door = await open();
  const agent = await attach(door);
  const caller = await door.dial();
  const runId = await hook(door, 'agent', { message: 'mail everyone' });
  expect((await agent.ask('run.start', { runId })).payload.effects).toBe('ask');
  const emit = (n: number, ...parts: object[]) => agent.ask('run.emit', { runId, n, parts });
  expect(await emit(1, question(), mail())).toMatchObject(refusal);
  const resolved = { ...question().data, phase: 'resolved', decision: 'allow', reason: 'resolved' };
  expect(await emit(1, { stream: 'approval', data: resolved })).toMatchObject({ ok: true });
  expect(await emit(2, mail())).toMatchObject(refusal);
  expect(await agent.ask('approvals.resolve', { id: 'q-c1', decision: 'allow', idempotencyKey: 'x' })).toMatchObject({
    ok: false,
  });
  expect(await emit(2, question('c2'))).toMatchObject({ ok: true });
  expect(await caller.ask('approvals.resolve', { id: 'q-c2', decision: 'allow', idempotencyKey: 'k' })).toMatchObject({
    ok: true,
  });
  expect(await emit(3, mail('c1'))).toMatchObject(refusal);
  expect(await emit(3, mail('c2'), mail('c2', { to: 'everyone' }))).toMatchObject(refusal);
  expect(await emit(3, mail('c2'))).toMatchObject({ ok: true });
  expect(await emit(4, mail('c2', { to: 'everyone' }))).toMatchObject(refusal);
});

test('an answer is for one call over the death of the agent and of the gateway, and the bounds of a run stay', async () => {
  const store = memoryStore();
  const door = await open({}, store);
  const agent = await attach(door);
  const caller = await door.dial();
  const runId = await hook(door, 'agent', { message: 'mail everyone' });
  await agent.ask('run.start', { runId });
  await agent.ask('run.emit', { runId, n: 1, parts: [question()] });
  await caller.ask('approvals.resolve', { id: 'q-c1', decision: 'allow', idempotencyKey: 'k' });
  await agent.ask('run.emit', { runId, n: 2, parts: [mail()] });
  agent.leave();
  await settle(5);
  const second = await attach(door, 'instance-two');
  expect((await second.ask('run.start', { runId })).payload).toMatchObject({ attempt: 2, effects: 'ask' });
  expect(await second.ask('run.emit', { runId, n: 3, parts: [mail()] })).toMatchObject(refusal);
  await door.gateway.close();
  // What is granted now counts for runs to come.
  const next = await open({ effects: { hook: 'allow' } }, store);
  const third = await attach(next, 'instance-three');
  expect((await third.ask('run.start', { runId })).payload).toMatchObject({ attempt: 3, effects: 'ask' });
  expect(await third.ask('run.emit', { runId, n: 3, parts: [mail()] })).toMatchObject(refusal);
  expect(await third.ask('run.emit', { runId, n: 3, parts: [mail('c2')] })).toMatchObject(refusal);
});

test('what comes from outside while an operator’s run is at work waits for a run of its own, whatever its mode and its agent say', async () => {
  const store = memoryStore();
  const door = await open({}, store);
  const agent = await attach(door);
  const caller = await door.dial();
  await send(caller, 'r1');
  for (const queueMode of ['steer', 'interrupt', 'collect']) {
    await caller.ask('sessions.patch', { key: 'main', queueMode, idempotencyKey: `p-${queueMode}` });
    await hook(door, 'agent', { message: `from outside, ${queueMode}` });
  }
  await send(caller, 'r2', { queueMode: 'collect' });
  expect((await agent.ask('run.start', { runId: 'r1' })).payload.effects).toBeUndefined();
  const { pendingInputs } = (await caller.ask('chat.history', { sessionKey: 'main' })).payload;
  const inputs = pendingInputs.items as { runId: string }[];
  expect(inputs).toHaveLength(4);
  const taken = inputs.map(({ runId: inputId }) => ({
    stream: 'item',
    data: { itemId: inputId, kind: 'steered', inputId },
  }));
  await agent.ask('run.emit', { runId: 'r1', n: 1, parts: taken });
  expect(await messagesOf(caller, 'main')).toHaveLength(1);
  expect(await agent.ask('run.emit', { runId: 'r1', n: 2, parts: [mail(), end] })).toMatchObject({ ok: true });
  agent.leave();
  await door.gateway.close();
  const next = await open({}, store);
  const later = await attach(next, 'instance-two');
  const effects: unknown[] = [];
  for (const { runId } of inputs) {
    effects.push((await later.ask('run.start', { runId })).payload.effects ?? 'allow');
    await later.ask('run.emit', { runId, n: 1, parts: [end] });
  }
  expect(effects).toEqual(['ask', 'ask', 'ask', 'allow']);
});

test('a note from outside in front of an operator’s message makes its run ask, also one that interrupts or was queued', async () => {
  const door = await open();
  const agent = await attach(door);
  const caller = await door.dial();
  const note = (text: string) => hook(door, 'wake', { text, mode: 'next-heartbeat' });
  const effectsOf = async (runId: string) => (await agent.ask('run.start', { runId })).payload.effects ?? 'allow';
  await send(caller, 'r1');
  expect(await effectsOf('r1')).toBe('allow');
  await note('one');
  await send(caller, 'r2', { queueMode: 'interrupt' });
  expect(await effectsOf('r2')).toBe('ask');
  await send(caller, 'r3');
  await note('two');
  await agent.ask('run.emit', { runId: 'r2', n: 1, parts: [end] });
  expect(await effectsOf('r3')).toBe('ask');
  await agent.ask('run.emit', { runId: 'r3', n: 1, parts: [end] });
  await send(caller, 'r4');
  expect(await effectsOf('r4')).toBe('allow');
});
