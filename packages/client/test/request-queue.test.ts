import type { QueueStore, StoredRequest } from '@openclaw/client';
import { settle } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { FakeGateway } from './fake-gateway.ts';

const refused = (retryAfterMs: number) => ({
  error: { code: 'UNAVAILABLE', message: 'draining', retryable: true, retryAfterMs },
});

async function live(options = {}) {
  const fake = new FakeGateway();
  const { gateway } = fake.connect(options);
  await settle();
  return { fake, gateway };
}

function memoryStore(initial: StoredRequest[] = []) {
  const kept = new Map(initial.map((request) => [request.id, request]));
  const store: QueueStore = {
    load: () => [...kept.values()],
    put: (request) => void kept.set(request.id, request),
    remove: (id) => void kept.delete(id),
  };
  return { kept, store };
}

describe('a request', () => {
  test('is answered, typed by the contract, and its key is filled in', async () => {
    const { fake, gateway } = await live();
    const health = await gateway.request('health');
    const patched = await gateway.request('sessions.patch', { key: 'main', label: 'x' });
    expect(health.ok).toBeUndefined();
    expect(patched.ok).toBe(true);
    expect(fake.last.sent.at(-1)?.params).toMatchObject({
      key: 'main',
      label: 'x',
      idempotencyKey: expect.any(String),
    });
  });

  test('that the gateway refuses rejects with its code, details and retry time', async () => {
    const { fake, gateway } = await live();
    const details = { code: 'MISSING_SCOPE', missingScope: 'operator.write' };
    fake.handlers.set('status', () => ({ error: { code: 'FORBIDDEN', message: 'missing scope', details } }));
    await expect(gateway.request('status')).rejects.toMatchObject({ code: 'FORBIDDEN', details, retryable: false });
  });

  test('that is safe or keyed is sent again after a drop, in order, with the same id', async () => {
    const { fake, gateway } = await live();
    fake.handlers.set('status', () => undefined);
    fake.handlers.set('sessions.patch', () => undefined);
    const requests = [
      gateway.request('status'),
      gateway.request('sessions.patch', { key: 'main' }),
      gateway.request('status'),
    ];
    await settle();
    const before = fake.last.sent.slice(1);
    fake.last.drop();
    fake.handlers.clear();
    await fake.clock.advance(1_000);
    expect(fake.last.sent.slice(1)).toEqual(before);
    await Promise.all(requests);
  });

  test('that may not be repeated ends with UNKNOWN_OUTCOME when it was cut off, but waits while it never left', async () => {
    const { fake, gateway } = await live();
    fake.handlers.set('custom.do', () => undefined);
    const cut = gateway.request('custom.do', {});
    await settle();
    fake.last.drop();
    await expect(cut).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME' });
    const queued = gateway.request('custom.do', {});
    fake.handlers.clear();
    await fake.clock.advance(1_000);
    expect(await queued).toEqual({ method: 'custom.do' });
  });

  test('of a custom method is repeated when it was declared so', async () => {
    const { fake, gateway } = await live({ methods: { 'notes.add': 'keyed' } });
    fake.handlers.set('notes.add', () => undefined);
    const added = gateway.request<{ method: string }>('notes.add', { text: 'x' });
    await settle();
    fake.last.drop();
    fake.handlers.clear();
    await fake.clock.advance(1_000);
    expect((await added).method).toBe('notes.add');
  });

  test('never has more than 32 others in flight', async () => {
    const { fake, gateway } = await live();
    const held: string[] = [];
    fake.handlers.set('status', (_params, frame) => {
      held.push(frame.id);
      return undefined;
    });
    for (let n = 0; n < 40; n++) void gateway.request('status').catch(() => {});
    await settle();
    expect(held).toHaveLength(32);
    fake.last.send({ type: 'res', id: held[0], ok: true, payload: {} });
    await settle();
    expect(held).toHaveLength(33);
    gateway.close();
  });

  test('refused for now is tried again when the gateway says, and holds back later ones of its session only', async () => {
    const { fake, gateway } = await live();
    let isDraining = true;
    const order: unknown[] = [];
    fake.handlers.set('sessions.patch', (params) => {
      if (isDraining && params.label === 'a') return refused(1_000);
      order.push(`${params.key} ${params.label}`);
      return { payload: { ok: true, key: 'k' } };
    });
    const patch = (key: string, label: string) => gateway.request('sessions.patch', { key, label });
    const first = patch('one', 'a');
    await settle();
    const others = [patch('one', 'b'), patch('two', 'c')];
    await settle();
    expect(order).toEqual(['two c']);
    isDraining = false;
    await fake.clock.advance(999);
    expect(order).toEqual(['two c']);
    await fake.clock.advance(200);
    await Promise.all([first, ...others]);
    expect(order).toEqual(['two c', 'one a', 'one b']);
  });

  test('beyond 256 waiting ones, or 1 MiB, is refused with QUEUE_FULL', async () => {
    const fake = new FakeGateway();
    fake.isDown = true;
    const { gateway } = fake.connect();
    await settle();
    const waiting = Array.from({ length: 256 }, () => gateway.request('status'));
    for (const request of waiting) request.catch(() => {});
    await expect(gateway.request('status')).rejects.toMatchObject({ code: 'QUEUE_FULL', retryable: true });
    gateway.close();
    const other = fake.connect().gateway;
    await expect(
      other.request('chat.send', { sessionKey: 'main', message: 'x'.repeat(1_048_577) }),
    ).rejects.toMatchObject({
      code: 'QUEUE_FULL',
    });
    other.close();
  });

  test('past its deadline ends with DEADLINE if it never left, else with UNKNOWN_OUTCOME', async () => {
    const { fake, gateway } = await live();
    fake.handlers.set('status', () => undefined);
    const sent = gateway.request('status', {}, { timeoutMs: 1_000 });
    sent.catch(() => {});
    await fake.clock.advance(1_000);
    await expect(sent).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME' });
    fake.isDown = true;
    fake.last.drop();
    await settle();
    const unsent = gateway.request('status', {}, { timeoutMs: 1_000 });
    unsent.catch(() => {});
    await fake.clock.advance(1_000);
    await expect(unsent).rejects.toMatchObject({ code: 'DEADLINE' });
  });

  test('without a deadline of its own is given up after 12 h, never later than after 24 h', async () => {
    const { fake, gateway } = await live({ limits: { inFlight: 0 } });
    const outcomes: string[] = [];
    const note = (name: string) => (error: unknown) => outcomes.push(`${name} ${(error as { code: string }).code}`);
    gateway.request('status').catch(note('default'));
    gateway.request('status', {}, { timeoutMs: 1e12 }).catch(note('endless'));
    gateway.stream('unread');
    fake.isDown = true;
    fake.last.drop();
    // Nothing else needs a turn: only the two deadlines are watched.
    const { schedule } = fake.clock;
    fake.clock.schedule = (task, delayMs) =>
      delayMs < 3_600_000 ? () => {} : schedule.call(fake.clock, task, delayMs);
    await fake.clock.advance(12 * 3_600_000 - 1);
    expect(outcomes).toEqual([]);
    await fake.clock.advance(1);
    expect(outcomes).toEqual(['default DEADLINE']);
    await fake.clock.advance(12 * 3_600_000);
    expect(outcomes).toEqual(['default DEADLINE', 'endless DEADLINE']);
  });

  test('is given up by its signal', async () => {
    const { fake, gateway } = await live();
    fake.handlers.set('status', () => undefined);
    const controller = new AbortController();
    const request = gateway.request('status', {}, { signal: controller.signal });
    controller.abort('enough');
    await expect(request).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' });
    await expect(gateway.request('status', {}, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });

  test('larger than the gateway takes is refused here, and the connection lives on', async () => {
    const fake = new FakeGateway();
    fake.maxPayload = 1_000;
    const { gateway } = fake.connect();
    await settle();
    const large = gateway.request('chat.send', { sessionKey: 'main', message: 'é'.repeat(600) });
    await expect(large).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    expect(gateway.state).toBe('live');
  });

  test('to `agent` resolves with the last answer, or with the first if that is wanted', async () => {
    const { fake, gateway } = await live();
    fake.handlers.set('agent', (_params, { id }, connection) => {
      connection.send({ type: 'res', id, ok: true, payload: { runId: 'r', status: 'accepted' } });
      return { payload: { runId: 'r', status: 'ok' } };
    });
    expect(await gateway.request('agent', { message: 'hi' })).toMatchObject({ status: 'ok' });
    expect(await gateway.request('agent', { message: 'hi' }, { expectFinal: false })).toMatchObject({
      status: 'accepted',
    });
  });

  test('carries an additive key only to a gateway with streams, and is not repeated without one', async () => {
    const fake = new FakeGateway();
    fake.hasStreams = false;
    const { gateway } = fake.connect();
    await settle();
    fake.handlers.set('sessions.reset', () => undefined);
    const reset = gateway.request('sessions.reset', { key: 'main' });
    await settle();
    expect(fake.last.sent.at(-1)?.params).toEqual({ key: 'main' });
    fake.last.drop();
    await expect(reset).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME' });
  });
});

describe('the queue store', () => {
  test('holds keyed requests until they are settled', async () => {
    const { kept, store } = memoryStore();
    const { fake, gateway } = await live({ queueStore: store });
    fake.handlers.set('sessions.patch', () => undefined);
    gateway.request('sessions.patch', { key: 'main' }, { idempotencyKey: 'k1' }).catch(() => {});
    gateway.request('status').catch(() => {});
    await settle();
    expect([...kept.values()]).toMatchObject([{ method: 'sessions.patch', idempotencyKey: 'k1', isSent: true }]);
    fake.last.send({ type: 'res', id: [...kept.keys()][0], ok: true, payload: {} });
    await settle();
    expect(kept.size).toBe(0);
  });

  test('gives a new page what the old one left, before anything newer, and tells how it ended', async () => {
    const fake = new FakeGateway();
    const { kept, store } = memoryStore([
      {
        id: 'old',
        method: 'chat.send',
        params: { sessionKey: 'main', message: 'hi', idempotencyKey: 'k1' },
        idempotencyKey: 'k1',
        expiresAt: fake.clock.now() + 60_000,
        isSent: true,
      },
    ]);
    const { gateway } = fake.connect({ queueStore: store });
    const outcomes: unknown[] = [];
    gateway.on('restored', (outcome) => outcomes.push(outcome));
    void gateway.request('status');
    await settle();
    expect(fake.last.methods).toEqual(['chat.send', 'status']);
    expect(outcomes).toEqual([
      { method: 'chat.send', idempotencyKey: 'k1', result: { runId: 'k1', status: 'started' } },
    ]);
    expect(kept.size).toBe(0);
  });

  test('that does not load holds new requests up for 2 s; what it brings later is sent all the same, once', async () => {
    const fake = new FakeGateway();
    let bring: (stored: StoredRequest[]) => void = () => {};
    const { store } = memoryStore();
    const load = () => new Promise<StoredRequest[]>((resolve) => (bring = resolve));
    const { gateway } = fake.connect({ queueStore: { ...store, load } });
    const outcomes: unknown[] = [];
    gateway.on('restored', (outcome) => outcomes.push(outcome));
    const request = gateway.request('status');
    await fake.clock.advance(1_999);
    expect(fake.last.methods).toEqual([]);
    await fake.clock.advance(1);
    expect(await request).toEqual({ method: 'status' });
    const params = { sessionKey: 'main', message: 'hi', idempotencyKey: 'k1' };
    bring([{ id: 'old', method: 'chat.send', params, idempotencyKey: 'k1', expiresAt: 1e15, isSent: true }]);
    await settle();
    expect(fake.last.methods).toEqual(['status', 'chat.send']);
    expect(outcomes).toMatchObject([{ idempotencyKey: 'k1', result: { status: 'started' } }]);
  });
});
