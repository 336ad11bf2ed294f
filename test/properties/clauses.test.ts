import { connect } from '@openclaw/client';
import { memoryTransportPair, type RunPart } from '@openclaw/protocol';
import { describe, expect, test } from 'vitest';
import { type RawPeer, type Received, Stage } from './raw-peer.ts';
import { Process } from './simulation.ts';

const main = 'session:agent:main:main';
const notes = 'session:agent:main:notes';

const say = (delta: string, at: number): RunPart => ({ stream: 'assistant', data: { itemId: 'text-1', at, delta } });
const end: RunPart = { stream: 'lifecycle', data: { phase: 'end' } };

function offsetsOf(peer: RawPeer, stream: string): (number | undefined)[] {
  return peer.eventsOf(stream).map(({ offset }) => offset);
}

function lifecycleOf(peer: RawPeer, runId: string): Record<string, unknown>[] {
  return peer
    .eventsOf(main)
    .map(({ payload }) => payload as { runId?: string; stream?: string; data?: Record<string, unknown> })
    .filter((payload) => payload.runId === runId && payload.stream === 'lifecycle')
    .map(({ data }) => data ?? {});
}

async function staged(options?: ConstructorParameters<typeof Stage>[0]): Promise<Stage> {
  return new Stage(options).start();
}

describe('on the wire', () => {
  test('S5: an event frame has its stream and offset, no seq, and the same bytes for every subscriber', async () => {
    const stage = await staged();
    const [ann, bob] = [await stage.peer(), await stage.peer({ id: 'bob' })];
    for (const peer of [ann, bob])
      await stage.ask(peer, 'streams.subscribe', { streams: [{ stream: 'session:main' }] });
    await stage.ask(ann, 'chat.send', { sessionKey: 'main', message: 'hé', idempotencyKey: 'r1' });
    const textsOf = (peer: RawPeer) => peer.texts.filter((text) => text.includes(`"stream":"${main}","offset"`));
    expect(textsOf(ann)).toHaveLength(3);
    expect(textsOf(bob)).toEqual(textsOf(ann));
    expect(ann.eventsOf(main).every(({ seq, offset }) => seq === undefined && offset !== undefined)).toBe(true);
  });

  test('S6, S22: a tick comes every 5 s and belongs to no stream', async () => {
    const stage = await staged();
    const ann = await stage.peer();
    await stage.advance(30_000);
    const ticks = ann.frames.filter(({ event }) => event === 'tick');
    expect(ticks.length).toBeGreaterThanOrEqual(5);
    expect(
      ticks.every(({ stream, offset, seq }) => stream === undefined && offset === undefined && seq === undefined),
    ).toBe(true);
  });

  test('S7: answers come in request order with canonical names; what may not be read is forbidden before it exists', async () => {
    const stage = await staged();
    const reader = await stage.peer({ scopes: ['operator.read'] });
    const { streams } = await stage.ask(reader, 'streams.subscribe', {
      streams: [
        { stream: 'session:notes' },
        { stream: 'approvals' },
        { stream: 'agent:main' },
        { stream: 'agent:nobody' },
        { stream: 'session:main' },
      ],
    });
    expect(streams.map(({ stream, result }) => [stream, result])).toEqual([
      [notes, 'snapshot'],
      ['approvals', 'forbidden'],
      ['agent:main', 'forbidden'],
      ['agent:nobody', 'forbidden'],
      [main, 'snapshot'],
    ]);
    expect(
      streams.filter(({ result }) => result === 'forbidden').every(({ epoch, head }) => epoch === '' && head === 0),
    ).toBe(true);
  });

  test('S7: a session that does not exist is empty at 0, keeps that epoch with its first event, and is gone from any other place', async () => {
    const stage = await staged();
    const ann = await stage.peer();
    const unborn = await stage.ask(ann, 'streams.subscribe', { streams: [{ stream: main }] });
    expect(unborn.streams[0]).toMatchObject({ head: 0, result: 'snapshot' });
    const gone = await stage.ask(ann, 'streams.subscribe', {
      streams: [{ stream: notes, after: { epoch: 'x', offset: 7 } }],
    });
    expect(gone.streams[0]).toMatchObject({ result: 'gone', reason: 'deleted' });
    await stage.ask(ann, 'chat.send', { sessionKey: 'main', message: 'hello', idempotencyKey: 'r1' });
    const epoch = unborn.streams[0]?.epoch ?? '';
    const again = await stage.ask(ann, 'streams.subscribe', {
      streams: [{ stream: main, after: { epoch, offset: 0 } }],
    });
    expect(again.streams[0]).toMatchObject({ epoch, result: 'resumed' });
    expect(offsetsOf(ann, main)).toEqual([1, 2, 3, 1, 2, 3]);
  });

  test('S8: no live event overtakes the replay, and stream.live comes once, for every stream of the call', async () => {
    const stage = await staged();
    const [ann, agent] = [await stage.peer(), await stage.agent('instance-a')];
    await stage.runOf(ann, agent, 'r1');
    let at = 0;
    for (let n = 1; n <= 300; n++) {
      agent.send('run.emit', { runId: 'r1', n, parts: [say(`${n} `, at)] });
      at += `${n} `.length;
      if (n % 50 === 0) await stage.advance(20);
    }
    stage.host.crash();
    await stage.start();
    const again = await stage.agent('instance-a');
    const late = await stage.peer();
    const { epoch } = (await stage.ask(late, 'streams.subscribe', { streams: [{ stream: 'system' }] })).streams[0] ?? {
      epoch: '',
    };
    expect(epoch).not.toBe('');
    const life = stage.truth.current(main);
    const asked = late.send('streams.subscribe', {
      streams: [
        { stream: main, after: { epoch: [...(life?.epochs ?? [])][0] ?? '', offset: 0 } },
        { stream: 'approvals' },
      ],
    });
    for (let n = 301; n <= 310; n++) {
      again.send('run.emit', { runId: 'r1', n, parts: [say(`${n} `, at)] });
      at += `${n} `.length;
      await stage.advance(1);
    }
    await stage.advance(200);
    expect(late.answer(asked)?.ok).toBe(true);
    expect(offsetsOf(late, main)).toEqual(Array.from({ length: life?.head ?? 0 }, (_, index) => index + 1));
    const live = late.payloadsOf('stream.live').map(({ stream }) => stream);
    expect(live.filter((stream) => stream === main)).toHaveLength(1);
    expect(live.filter((stream) => stream === 'approvals')).toHaveLength(1);
  });

  test('S9: deleting a session ends its runs, then says deleted, without a state; the same key later is a new stream', async () => {
    const stage = await staged();
    const ann = await stage.peer();
    await stage.ask(ann, 'streams.subscribe', { streams: [{ stream: notes }] });
    await stage.ask(ann, 'chat.send', { sessionKey: 'notes', message: 'hello', idempotencyKey: 'r1' });
    const before = stage.truth.current(notes);
    await stage.ask(ann, 'sessions.delete', { key: 'notes', idempotencyKey: 'd1' });
    const reset = ann.payloadsOf('stream.reset').at(-1);
    expect(reset).toMatchObject({ stream: notes, reason: 'deleted' });
    expect(reset).not.toHaveProperty('state');
    const last = ann.eventsOf(notes).at(-1)?.payload as { data?: { phase?: string } };
    expect(last.data?.phase).toBe('error');
    const told = ann.eventsOf(notes).length;
    await stage.ask(ann, 'chat.send', { sessionKey: 'notes', message: 'again', idempotencyKey: 'r2' });
    expect(ann.eventsOf(notes)).toHaveLength(told);
    expect([...(stage.truth.current(notes)?.epochs ?? [])][0]).not.toBe([...(before?.epochs ?? [])][0]);
  });
});

describe('writing', () => {
  test('S13: a commit that fails sends nothing, changes nothing, and says UNAVAILABLE with a time', async () => {
    const stage = await staged();
    const ann = await stage.peer();
    await stage.ask(ann, 'streams.subscribe', { streams: [{ stream: main }] });
    stage.store.failureRate = 1;
    const refused = await stage.try(ann, 'chat.send', { sessionKey: 'main', message: 'hello', idempotencyKey: 'r1' });
    expect(refused).toMatchObject({
      ok: false,
      error: { code: 'UNAVAILABLE', retryable: true, retryAfterMs: expect.any(Number) },
    });
    expect(ann.eventsOf(main)).toEqual([]);
    stage.store.failureRate = 0;
    const taken = await stage.ask(ann, 'chat.send', { sessionKey: 'main', message: 'hello', idempotencyKey: 'r1' });
    expect(taken).toEqual({ runId: 'r1', status: 'started' });
    expect(offsetsOf(ann, main)).toEqual([1, 2, 3]);
  });

  test('S16: a position below what is kept is offset_expired, and nothing of an open run expires', async () => {
    const stage = await staged({ retention: { maxEvents: 2 } });
    const [ann, agent] = [await stage.peer(), await stage.agent('instance-a')];
    await stage.runOf(ann, agent, 'r1');
    await stage.advance(70_000);
    const epoch = [...(stage.truth.current(main)?.epochs ?? [])][0] ?? '';
    const whileOpen = await stage.ask(ann, 'streams.subscribe', {
      streams: [{ stream: main, after: { epoch, offset: 0 } }],
    });
    expect(whileOpen.streams[0]).toMatchObject({ result: 'resumed' });
    await stage.ask(agent, 'run.emit', { runId: 'r1', n: 1, parts: [say('done', 0), end] });
    await stage.advance(70_000);
    const late = await stage.peer();
    const after = await stage.ask(late, 'streams.subscribe', {
      streams: [{ stream: main, after: { epoch, offset: 0 } }],
    });
    expect(after.streams[0]).toMatchObject({ result: 'snapshot', reason: 'offset_expired' });
    const { state } = late.payloadsOf('stream.reset')[0] as { state: { messages: { role: string }[] } };
    expect(state.messages.map(({ role }) => role)).toEqual(['user', 'assistant']);
  });
});

describe('requests', () => {
  test('S18: sent again it attaches while it runs, and gets the stored answer when it is done', async () => {
    const stage = await staged();
    const [ann, agent] = [await stage.peer(), await stage.agent('instance-a')];
    const request = { sessionKey: 'main', message: 'hello', idempotencyKey: 'r1' };
    expect(await stage.ask(ann, 'chat.send', request)).toEqual({ runId: 'r1', status: 'started' });
    const other = await stage.peer();
    expect(await stage.ask(other, 'chat.send', request)).toEqual({ runId: 'r1', status: 'in_flight', replayed: true });
    await stage.ask(agent, 'run.start', { runId: 'r1' });
    await stage.ask(agent, 'run.emit', { runId: 'r1', n: 1, parts: [end] });
    expect(await stage.ask(other, 'chat.send', request)).toEqual({ runId: 'r1', status: 'ok', replayed: true });
    const life = stage.truth.current(main);
    expect(life?.events.filter(({ event }) => event === 'session.message')).toHaveLength(1);
  });

  test('S18: a key of another principal is refused in the words of any conflict, and reveals nothing', async () => {
    const stage = await staged();
    const [ann, bob] = [await stage.peer(), await stage.peer({ id: 'bob' })];
    await stage.ask(ann, 'chat.send', { sessionKey: 'main', message: 'hello', idempotencyKey: 'r1' });
    const own = await stage.try(ann, 'chat.send', { sessionKey: 'main', message: 'other', idempotencyKey: 'r1' });
    const foreign = await stage.try(bob, 'chat.send', { sessionKey: 'main', message: 'hello', idempotencyKey: 'r1' });
    expect(own.error).toMatchObject({
      code: 'INVALID_REQUEST',
      details: { code: 'IDEMPOTENCY_CONFLICT', reason: 'chat-request-conflict' },
    });
    expect(foreign.error).toEqual(own.error);
  });

  test('S18: a request that the last process left without a run is UNKNOWN_OUTCOME from the start on', async () => {
    const stage = new Stage();
    const early = stage.store.openedBy(new Process(stage.simulation, 'before'));
    const opened = early.open().then(() =>
      early.commit({
        appends: [],
        documents: [],
        media: [],
        deletes: [],
        durable: true,
        ledger: [
          { principal: 'local:operator:ann', method: 'sessions.patch', key: 'p1', paramsHash: 'unknown', createdAt: 0 },
        ],
      }),
    );
    await stage.advance(50);
    await opened;
    await stage.start();
    const [row] = [...stage.truth.ledger.values()];
    expect(row?.answer).toContain('UNKNOWN_OUTCOME');
  });
});

describe('runs', () => {
  test('S21: before the first hello a run that was active is recovering; a local agent’s is offered again, the next attempt', async () => {
    const stage = await staged();
    const [ann, agent] = [await stage.peer(), await stage.agent('instance-a', { isLocal: true })];
    await stage.runOf(ann, agent, 'r1');
    await stage.ask(agent, 'run.emit', { runId: 'r1', n: 1, parts: [say('Once ', 0)] });
    stage.host.crash();
    await stage.start();
    const late = await stage.peer();
    await stage.ask(late, 'streams.subscribe', { streams: [{ stream: main }] });
    const { state } = late.payloadsOf('stream.reset')[0] as { state: { runs: { status: string; parts: unknown[] }[] } };
    expect(state.runs).toMatchObject([{ status: 'recovering', parts: [{ text: 'Once ' }] }]);
    const next = await stage.agent('instance-b', { isLocal: true });
    const started = await stage.ask(next, 'run.start', { runId: 'r1' });
    expect(started).toMatchObject({ attempt: 2, n: 1, journal: [{ stream: 'assistant', data: { delta: 'Once ' } }] });
  });

  test('S21: an agent that can not continue ends a run that another began: one interrupted, and no second work', async () => {
    const stage = await staged();
    const [ann, agent] = [await stage.peer(), await stage.agent('instance-a', { isLocal: true, resumable: false })];
    await stage.ask(ann, 'streams.subscribe', { streams: [{ stream: main }] });
    await stage.runOf(ann, agent, 'r1');
    agent.leave();
    await stage.advance(50);
    await stage.agent('instance-b', { isLocal: true, resumable: false });
    await stage.advance(50);
    const phases = lifecycleOf(ann, 'r1');
    expect(phases.map(({ phase }) => phase)).toEqual(['queued', 'start', 'recovering', 'error']);
    expect(phases.at(-1)).toMatchObject({ reason: 'interrupted' });
  });

  test('S28: an emit that was committed is acknowledged without effect, a jump is refused with what is expected', async () => {
    const stage = await staged();
    const [ann, agent] = [await stage.peer(), await stage.agent('instance-a')];
    await stage.runOf(ann, agent, 'r1');
    expect(await stage.ask(agent, 'run.emit', { runId: 'r1', n: 1, parts: [say('a', 0)] })).toEqual({ n: 1 });
    const head = stage.truth.current(main)?.head;
    expect(await stage.ask(agent, 'run.emit', { runId: 'r1', n: 1, parts: [say('a', 0)] })).toEqual({ n: 1 });
    const jump = await stage.try(agent, 'run.emit', { runId: 'r1', n: 3, parts: [say('c', 1)] });
    expect(jump).toMatchObject({ ok: false, error: { details: { expected: 2 } } });
    expect(stage.truth.current(main)?.head).toBe(head);
  });

  test('S28: the same instance on a new connection replaces the old one and keeps its runs', async () => {
    const stage = await staged();
    const [ann, old] = [await stage.peer(), await stage.agent('instance-a')];
    await stage.runOf(ann, old, 'r1');
    const next = await stage.peer({ role: 'agent', id: 'main', isLocal: false });
    const attached = await stage.ask(next, 'agent.attach', { instance: 'instance-a', resumable: true });
    expect(attached.runs).toEqual(['r1']);
    expect(old.closed?.code).toBe(4409);
    expect(await stage.ask(next, 'run.emit', { runId: 'r1', n: 1, parts: [end] })).toEqual({ n: 1 });
  });

  test('S28: a second instance is refused with a time while the first lives or has its grace, then takes over', async () => {
    const stage = await staged();
    const [ann, first] = [await stage.peer(), await stage.agent('instance-a')];
    await stage.runOf(ann, first, 'r1');
    const second = await stage.peer({ role: 'agent', id: 'main', isLocal: false });
    const attach = { instance: 'instance-b', resumable: true };
    const refusal = { ok: false, error: { code: 'UNAVAILABLE', retryable: true, retryAfterMs: expect.any(Number) } };
    expect(await stage.try(second, 'agent.attach', attach)).toMatchObject(refusal);
    first.leave();
    await stage.advance(20_000);
    expect(await stage.try(second, 'agent.attach', attach)).toMatchObject(refusal);
    expect(second.closed).toBeUndefined();
    await stage.advance(15_000);
    expect(await stage.ask(second, 'agent.attach', attach)).toMatchObject({ agentId: 'main' });
    expect(await stage.ask(second, 'run.start', { runId: 'r1' })).toMatchObject({ attempt: 2 });
  });

  test('S28: an abort is the end at once; what the agent says then is RUN_ENDED, and a second abort ends nothing', async () => {
    const stage = await staged();
    const [ann, agent] = [await stage.peer(), await stage.agent('instance-a')];
    await stage.ask(ann, 'streams.subscribe', { streams: [{ stream: main }] });
    await stage.runOf(ann, agent, 'r1');
    const abort = (key: string) =>
      stage.ask(ann, 'chat.abort', { sessionKey: 'main', runId: 'r1', idempotencyKey: key });
    expect(await abort('a1')).toEqual({ ok: true, aborted: true, runIds: ['r1'] });
    expect(await stage.try(agent, 'run.emit', { runId: 'r1', n: 1, parts: [end] })).toMatchObject({
      ok: false,
      error: { code: 'RUN_ENDED' },
    });
    expect(await abort('a2')).toEqual({ ok: true, aborted: false, runIds: [] });
    expect(await abort('a1')).toMatchObject({ aborted: true, replayed: true });
    expect(lifecycleOf(ann, 'r1').map(({ phase }) => phase)).toEqual(['queued', 'start', 'error']);
  });

  test('S28: a run without a sign of its agent for 10 min has timed out; a sign without parts keeps it alive', async () => {
    const stage = await staged();
    const [ann, agent] = [await stage.peer(), await stage.agent('instance-a')];
    await stage.ask(ann, 'streams.subscribe', { streams: [{ stream: main }] });
    await stage.runOf(ann, agent, 'r1');
    await stage.advance(9 * 60_000);
    expect(await stage.ask(agent, 'run.emit', { runId: 'r1', n: 0, parts: [] })).toEqual({ n: 0 });
    await stage.advance(9 * 60_000);
    expect(lifecycleOf(ann, 'r1').at(-1)).toMatchObject({ phase: 'start' });
    await stage.advance(2 * 60_000);
    expect(lifecycleOf(ann, 'r1').at(-1)).toMatchObject({ phase: 'error', reason: 'timeout' });
  });

  test('S28: a run that no agent comes for within 10 min ends as agent_unavailable', async () => {
    const stage = await staged();
    const ann = await stage.peer();
    await stage.ask(ann, 'streams.subscribe', { streams: [{ stream: main }] });
    await stage.ask(ann, 'chat.send', { sessionKey: 'main', message: 'hello', idempotencyKey: 'r1' });
    await stage.advance(9.5 * 60_000);
    expect(lifecycleOf(ann, 'r1')).toHaveLength(1);
    await stage.advance(60_000);
    expect(lifecycleOf(ann, 'r1').at(-1)).toMatchObject({ phase: 'error', reason: 'agent_unavailable' });
  });

  test('S28: an agent that does not wait for its acknowledgements is cut off', async () => {
    const stage = await staged();
    const [ann, agent] = [await stage.peer(), await stage.agent('instance-a')];
    await stage.runOf(ann, agent, 'r1');
    for (let n = 1; n <= 100; n++) agent.send('run.emit', { runId: 'r1', n, parts: [say('x', n - 1)] });
    await stage.advance(100);
    expect(agent.closed).toBeDefined();
    expect(stage.findings.problems).toEqual([]);
  });
});

describe('liveness and drain', () => {
  test('S22: the client finds a half-open connection within 7.5 s', async () => {
    const stage = await staged();
    const process = new Process(stage.simulation, 'client');
    const states: string[] = [];
    let isSilent = false;
    const client = connect({
      clock: process,
      random: stage.simulation.random,
      page: {},
      dialer: () => {
        const [mine, theirs] = memoryTransportPair((task) => {
          stage.simulation.schedule(() => {
            if (!isSilent) task();
          }, 0);
        });
        stage.host.gateway?.accept(theirs, { role: 'operator', id: 'ann', scopes: ['operator.read'] });
        return mine;
      },
    });
    client.on('state', ({ state, code }) => states.push(`${state} ${code}`));
    await stage.advance(12_000);
    expect(states.at(-1)).toBe('live resumed');
    isSilent = true;
    await stage.advance(7_600);
    expect(states).toContain('backoff silent');
    client.close();
  });

  test('S25: a drain is announced, refuses new runs for later, lets reads go on, and closes with 4102', async () => {
    const stage = await staged();
    const ann = await stage.peer();
    const { gateway } = stage.host;
    const drained = gateway?.drain({ restartExpectedMs: 2_000 });
    await stage.advance(100);
    await drained;
    expect(ann.payloadsOf('shutdown')).toEqual([
      { reason: expect.any(String), restartExpectedMs: 2_000, spreadMs: expect.any(Number) },
    ]);
    const refused: Received = await stage.try(ann, 'chat.send', {
      sessionKey: 'main',
      message: 'hello',
      idempotencyKey: 'r1',
    });
    expect(refused).toMatchObject({
      ok: false,
      error: { code: 'UNAVAILABLE', retryable: true, retryAfterMs: expect.any(Number) },
    });
    expect(await stage.ask(ann, 'sessions.list', {})).toMatchObject({ count: 0 });
    const closed = gateway?.close();
    await stage.advance(2_000);
    await closed;
    expect(ann.closed?.code).toBe(4102);
    expect(stage.truth.ledger.size).toBe(0);
  });
});
