import { settle } from '@openclaw/protocol/testing';
import { describe, expect, test, vi } from 'vitest';
import { collect, FakeGateway } from './fake-gateway.ts';

async function live() {
  const fake = new FakeGateway();
  fake.hasStreams = false;
  fake.tickIntervalMs = 30_000;
  fake.handlers.set('chat.history', () => ({ payload: { sessionKey: 'main', messages: [] } }));
  const { gateway } = fake.connect();
  // What stands in for streams is loaded when such a gateway is met.
  await vi.waitFor(() => expect(gateway.state).toBe('live'));
  const run = { sessionKey: 'agent:main:main', agentId: 'main', seq: 1, ts: 1 };
  const chat = (runId: string, more: object) =>
    fake.last.send({ type: 'event', event: 'chat', payload: { ...run, runId, ...more } });
  const delta = (runId: string, text: string) =>
    chat(runId, { state: 'delta', message: { role: 'assistant', content: [{ type: 'text', text }], timestamp: 1 } });
  const agent = (runId: string, stream: string, data: object) =>
    fake.last.send({ type: 'event', event: 'agent', payload: { ...run, runId, stream, data } });
  return { fake, gateway, session: gateway.session('main'), chat, delta, agent };
}

describe('against a gateway without streams', () => {
  test('a run gives the same parts and resolves with the final message', async () => {
    const { fake, session, chat, delta, agent } = await live();
    const run = session.send('hi');
    const seen = collect(run);
    await settle();
    agent(run.id, 'lifecycle', { phase: 'start' });
    delta(run.id, 'Hel');
    agent(run.id, 'tool', { phase: 'start', toolCallId: 'c1', name: 'clock' });
    delta(run.id, 'Hello');
    agent(run.id, 'lifecycle', { phase: 'end' });
    chat(run.id, {
      state: 'final',
      message: { role: 'assistant', content: [{ type: 'text', text: 'Hello' }], timestamp: 1 },
    });
    expect(await run.final).toMatchObject({ runId: run.id, content: [{ text: 'Hello' }] });
    await seen.done;
    expect(seen.items.map((part) => ('delta' in part ? part.delta : part.type))).toEqual([
      'status',
      'Hel',
      'tool',
      'lo',
    ]);
    expect(fake.last.methods).not.toContain('streams.subscribe');
  });

  test('text that was missed in a drop heals by the cumulative text', async () => {
    const { fake, session, chat, delta } = await live();
    const run = session.send('hi');
    const seen = collect(run);
    await settle();
    delta(run.id, 'one ');
    await settle();
    fake.handlers.set('chat.history', () => ({
      payload: { sessionKey: 'main', messages: [], inFlightRun: { runId: run.id, text: 'one two ' } },
    }));
    fake.last.drop();
    await fake.clock.advance(1_000);
    delta(run.id, 'one two three');
    chat(run.id, { state: 'final', message: { role: 'assistant', content: 'one two three' } });
    await seen.done;
    const deltas = seen.items.flatMap((part) => ('delta' in part ? [part.delta] : []));
    expect(deltas).toEqual(['one ', 'two ', 'three']);
    expect(seen.items).toContainEqual({ type: 'reset', reason: 'no_position' });
  });

  test('a run that ended in a drop is found by agent.wait and the history', async () => {
    const { fake, session, delta } = await live();
    const run = session.send('hi');
    await settle();
    delta(run.id, 'one ');
    await settle();
    const row = {
      role: 'assistant',
      content: [{ type: 'text', text: 'one two' }],
      timestamp: 1,
      __openclaw: { id: 'm1', runId: run.id },
    };
    fake.handlers.set('chat.history', () => ({ payload: { sessionKey: 'main', messages: [row] } }));
    fake.handlers.set('agent.wait', () => ({ payload: { runId: run.id, status: 'ok' } }));
    fake.last.drop();
    await fake.clock.advance(1_000);
    expect(await run.final).toMatchObject({ id: 'm1' });
  });

  test.each([
    [{ state: 'aborted', stopReason: 'rpc' }, 'ABORTED'],
    [{ state: 'error', errorMessage: 'no credit' }, 'RUN_FAILED'],
  ])('%o rejects with %s', async (end, code) => {
    const { session, chat } = await live();
    const run = session.send('hi');
    await settle();
    chat(run.id, end);
    await expect(run.final).rejects.toMatchObject({ code });
  });

  test('events() gives what v4 sends, with a reset after every reconnect', async () => {
    const { fake, session, delta } = await live();
    const seen = collect(session.events());
    await settle();
    delta('r1', 'x');
    await settle();
    fake.last.drop();
    await fake.clock.advance(1_000);
    expect(seen.items.map((item) => (item.type === 'reset' ? item.reason : item.event))).toEqual([
      'no_position',
      'agent',
      'no_position',
    ]);
  });

  test('streams that v4 does not have are refused with UNSUPPORTED', async () => {
    const { gateway } = await live();
    const seen = collect(gateway.stream('approvals').events());
    await seen.done;
    expect(seen.error).toMatchObject({ code: 'UNSUPPORTED' });
  });
});
