import type { StreamedPart, TextPart } from '@openclaw/client';
import { settle } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { collect, FakeGateway } from './fake-gateway.ts';

const main = 'session:agent:main:main';

function textOf(parts: StreamedPart[]): string {
  const texts = new Map<string, string>();
  for (const part of parts) if (part.type === 'text') texts.set(part.itemId, part.text);
  return [...texts.values()].join('');
}

async function live() {
  const fake = new FakeGateway();
  const { gateway, states } = fake.connect();
  await settle();
  return { fake, gateway, states, session: gateway.session('main') };
}

describe('a run', () => {
  test('gives its parts in order and resolves with the message', async () => {
    const { fake, session } = await live();
    const run = session.send('hi');
    const seen = collect(run);
    await settle();
    fake.start(run.id);
    fake.text(run.id, 0, 'Hel');
    fake.text(run.id, 3, 'lo');
    fake.emit(run.id, { stream: 'tool', data: { phase: 'start', toolCallId: 'c1', name: 'clock', args: {} } });
    fake.emit(run.id, { stream: 'usage', data: { outputTokens: 3 } });
    fake.finish(run.id, 'Hello');
    expect(await run.final).toMatchObject({ role: 'assistant', runId: run.id, content: [{ text: 'Hello' }] });
    await seen.done;
    expect(seen.items.map(({ type }) => type)).toEqual(['status', 'text', 'text', 'tool', 'usage']);
    expect(seen.items[2]).toMatchObject({ delta: 'lo', text: 'Hello' });
  });

  test('has the id that the message is keyed with', async () => {
    const { fake, session } = await live();
    const run = session.send('hi', { idempotencyKey: 'key-1' });
    await settle();
    expect(run.id).toBe('key-1');
    expect(fake.last.sent.find(({ method }) => method === 'chat.send')?.params).toMatchObject({
      idempotencyKey: 'key-1',
      sessionKey: 'main',
      message: 'hi',
    });
  });

  test('subscribes to its session before the message is sent', async () => {
    const { fake, session } = await live();
    session.send('hi');
    await settle();
    expect(fake.last.methods).toEqual(['streams.subscribe', 'chat.send']);
  });

  test('iterated after its end starts at its first part, for any number of iterators', async () => {
    const { fake, session } = await live();
    const run = session.send('hi');
    await settle();
    fake.start(run.id);
    fake.text(run.id, 0, 'Hello');
    fake.finish(run.id, 'Hello');
    await run.final;
    const [first, second] = [collect(run), collect(run)];
    await Promise.all([first.done, second.done]);
    expect(first.items).toHaveLength(2);
    expect(second.items).toEqual(first.items);
  });

  test('goes on through a drop without losing or doubling text', async () => {
    const { fake, session } = await live();
    const run = session.send('hi');
    const seen = collect(run);
    await settle();
    fake.start(run.id);
    fake.text(run.id, 0, 'one ');
    await settle();
    fake.last.drop();
    fake.text(run.id, 4, 'two ');
    await settle();
    await fake.clock.advance(2_000);
    fake.text(run.id, 8, 'three');
    fake.finish(run.id, 'one two three');
    await seen.done;
    const deltas = seen.items.filter((part): part is TextPart => part.type === 'text').map(({ delta }) => delta);
    expect(deltas).toEqual(['one ', 'two ', 'three']);
    expect(fake.connections).toHaveLength(2);
  });

  test('sent while offline is queued and executed once', async () => {
    const fake = new FakeGateway();
    fake.isDown = true;
    const { gateway } = fake.connect();
    const run = gateway.session('main').send('hi');
    await fake.clock.advance(300);
    fake.isDown = false;
    await fake.clock.advance(2_000);
    expect(fake.ledger.get(run.id)?.count).toBe(1);
    fake.start(run.id);
    fake.finish(run.id, 'done');
    expect(await run.final).toMatchObject({ content: [{ text: 'done' }] });
  });

  test('cut off between sending and answer is sent again with its id and key', async () => {
    const { fake, session } = await live();
    fake.handlers.set('chat.send', () => undefined);
    const run = session.send('hi');
    await settle();
    const first = fake.last.sent.find(({ method }) => method === 'chat.send');
    fake.last.drop();
    fake.handlers.delete('chat.send');
    await fake.clock.advance(2_000);
    expect(fake.last.sent.find(({ method }) => method === 'chat.send')).toEqual(first);
    fake.start(run.id);
    fake.finish(run.id, 'ok');
    expect(await run.final).toMatchObject({ content: [{ text: 'ok' }] });
  });

  test('met by a reset in its course goes on from the state, and says so', async () => {
    const { fake, session } = await live();
    const run = session.send('hi');
    const seen = collect(run);
    await settle();
    fake.start(run.id);
    fake.text(run.id, 0, 'one ');
    await settle();
    fake.last.drop();
    fake.text(run.id, 4, 'two ');
    fake.stream(main).low = 100;
    await fake.clock.advance(2_000);
    fake.text(run.id, 8, 'three');
    fake.finish(run.id, 'one two three');
    await seen.done;
    expect(seen.items).toContainEqual({ type: 'reset', reason: 'offset_expired' });
    expect(textOf(seen.items)).toBe('one two three');
  });

  test('whose text was set back by a new epoch is shown anew', async () => {
    const { fake, session } = await live();
    const run = session.send('hi');
    const seen = collect(run);
    await settle();
    fake.start(run.id);
    fake.text(run.id, 0, 'lost with the power');
    await settle();
    fake.last.drop();
    const stream = fake.stream(main);
    stream.events.pop();
    stream.epoch = 'e2';
    fake.text(run.id, 0, 'other');
    await fake.clock.advance(2_000);
    expect(seen.items.at(-1)).toMatchObject({ type: 'text', replace: true, text: 'other' });
  });

  test('that ended out of sight is recovered from the history', async () => {
    const { fake, session } = await live();
    const run = session.send('hi');
    const seen = collect(run);
    await settle();
    fake.start(run.id);
    fake.text(run.id, 0, 'one ');
    await settle();
    fake.last.drop();
    fake.finish(run.id, 'one two');
    fake.stream(main).low = 100;
    const message = {
      id: 'm',
      role: 'assistant',
      runId: run.id,
      timestamp: 1,
      content: [{ type: 'text', text: 'one two' }],
    };
    fake.handlers.set('agent.wait', () => ({ payload: { runId: run.id, status: 'ok' } }));
    fake.handlers.set('chat.history', () => ({ payload: { sessionKey: 'main', messages: [message] } }));
    await fake.clock.advance(2_000);
    await seen.done;
    expect(textOf(seen.items)).toBe('one two');
    expect(await run.final).toMatchObject({ id: 'm' });
  });

  test('that nothing knows any more ends with UNKNOWN_OUTCOME instead of waiting for ever', async () => {
    const { fake, session } = await live();
    const run = session.send('hi');
    await settle();
    fake.last.drop();
    fake.stream(main).epoch = 'e2';
    fake.handlers.set('agent.wait', () => ({ payload: { runId: run.id, status: 'timeout' } }));
    await fake.clock.advance(2_000);
    await expect(run.final).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME' });
  });

  test.each([
    ['aborted', 'ABORTED'],
    ['failed', 'RUN_FAILED'],
    ['interrupted', 'INTERRUPTED'],
    ['timeout', 'AGENT_TIMEOUT'],
    ['agent_unavailable', 'UNAVAILABLE'],
  ] as const)('that ended %s rejects with %s, and its iteration throws the same', async (reason, code) => {
    const { fake, session } = await live();
    const run = session.send('hi');
    const seen = collect(run);
    await settle();
    fake.start(run.id);
    fake.emit(run.id, { stream: 'lifecycle', data: { phase: 'error', reason, error: 'why' } });
    await expect(run.final).rejects.toMatchObject({ code, message: 'why', details: { reason, runId: run.id } });
    await seen.done;
    expect(seen.error).toMatchObject({ code });
  });

  test('refused by the gateway rejects with its error', async () => {
    const { fake, session } = await live();
    fake.handlers.set('chat.send', () => ({ error: { code: 'INVALID_REQUEST', message: 'no' } }));
    await expect(session.send('').final).rejects.toMatchObject({ code: 'INVALID_REQUEST', message: 'no' });
  });

  test('aborted names its runId; one that was never sent is taken back', async () => {
    const { fake, session } = await live();
    const run = session.send('hi');
    await settle();
    expect(await run.abort()).toEqual({ aborted: true });
    expect(fake.last.sent.at(-1)).toMatchObject({
      method: 'chat.abort',
      params: { sessionKey: 'main', runId: run.id },
    });
    fake.isDown = true;
    fake.last.drop();
    await settle();
    const unsent = session.send('later');
    expect(await unsent.abort()).toEqual({ aborted: true });
    await expect(unsent.final).rejects.toMatchObject({ code: 'ABORTED' });
  });

  test('with more parts than its buffer holds is read again by position', async () => {
    const fake = new FakeGateway();
    const { gateway } = fake.connect({ limits: { bufferedEvents: 16 } });
    await settle();
    const run = gateway.session('main').send('hi');
    await settle();
    fake.start(run.id);
    for (let at = 0; at < 100; at++) fake.text(run.id, at, String(at % 10));
    fake.finish(run.id, 'x');
    await run.final;
    const seen = collect(run);
    await settle(400);
    expect(seen.isDone).toBe(true);
    expect(textOf(seen.items)).toBe('0123456789'.repeat(10));
    const asked = fake.last.sent.filter(({ method }) => method === 'streams.subscribe');
    expect(asked.length).toBeGreaterThan(1);
  });

  test('asks for approval by a part that answers it, keyed', async () => {
    const { fake, session } = await live();
    const run = session.send('hi');
    await settle();
    fake.start(run.id);
    fake.emit(run.id, { stream: 'approval', data: { phase: 'requested', approvalId: 'a1', title: 'rm' } });
    for await (const part of run) {
      if (part.type !== 'approval') continue;
      expect(await part.approve()).toBe('allow');
      break;
    }
    const asked = fake.last.sent.find(({ method }) => method === 'approvals.resolve');
    expect(asked?.params).toMatchObject({ id: 'a1', decision: 'allow', idempotencyKey: expect.any(String) });
  });

  test('attached after a reload begins with what the gateway holds of it', async () => {
    const fake = new FakeGateway();
    fake.append(main, 'agent', { runId: 'r1', seq: 1, agentId: 'main', stream: 'lifecycle', data: { phase: 'start' } });
    fake.text('r1', 0, 'so far ');
    const { gateway } = fake.connect();
    const run = gateway.session('main').attach('r1');
    const seen = collect(run);
    await settle();
    fake.text('r1', 7, 'and on');
    fake.finish('r1', 'so far and on');
    await seen.done;
    expect(textOf(seen.items)).toBe('so far and on');
    expect(seen.items.some(({ type }) => type === 'reset')).toBe(false);
  });

  test('taken into another run follows that one', async () => {
    const { fake, session } = await live();
    const run = session.send('also this');
    await settle();
    const input = { sessionKey: 'agent:main:main', sessionId: 's1', runId: run.id };
    fake.append(main, 'session.input', { ...input, phase: 'queued', mode: 'steer' });
    fake.append(main, 'session.input', { ...input, phase: 'taken', into: 'other' });
    fake.text('other', 0, 'both');
    fake.finish('other', 'both');
    expect(await run.final).toMatchObject({ runId: 'other' });
  });

  test('whose failure nobody awaits does not crash the process', async () => {
    const { gateway, session } = await live();
    session.send('hi');
    gateway.close();
    await settle();
    expect(gateway.state).toBe('closed');
  });
});
