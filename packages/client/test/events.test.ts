import type { Bookmark, StreamEvent, StreamReset } from '@openclaw/client';
import { settle } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { collect, FakeGateway } from './fake-gateway.ts';

const main = 'session:agent:main:main';
type Item = StreamEvent | StreamReset;

async function live(limits = {}) {
  const fake = new FakeGateway();
  const { gateway } = fake.connect({ limits });
  await settle();
  return { fake, gateway };
}

function offsets(items: Item[]): number[] {
  return items.filter((item): item is StreamEvent => item.type === 'event').map(({ offset }) => offset);
}

describe('events()', () => {
  test('without a bookmark begins with the state and goes on with what follows', async () => {
    const { fake, gateway } = await live();
    fake.start('r1');
    const seen = collect(gateway.session('main').events());
    await settle();
    fake.text('r1', 0, 'a');
    await settle();
    expect(seen.items[0]).toMatchObject({ type: 'reset', reason: 'no_position', state: { kind: 'session' } });
    expect(offsets(seen.items as Item[])).toEqual([2]);
  });

  test('after a bookmark gives everything after it, once, through drops', async () => {
    const { fake, gateway } = await live();
    for (let n = 1; n <= 3; n++) fake.append('system', 'sessions.changed', { sessionKey: `k${n}` });
    const after: Bookmark = { stream: 'system', epoch: 'e1', offset: 1, open: {} };
    const seen = collect(gateway.stream('system').events({ after }));
    await settle();
    fake.last.drop();
    fake.append('system', 'sessions.changed', { sessionKey: 'k4' });
    await fake.clock.advance(2_000);
    fake.append('system', 'sessions.changed', { sessionKey: 'k5' });
    await settle();
    expect(offsets(seen.items)).toEqual([2, 3, 4, 5]);
    expect(seen.items.some(({ type }) => type === 'reset')).toBe(false);
  });

  test('moves its bookmark only after the handler of an event has returned', async () => {
    const { fake, gateway } = await live();
    const after: Bookmark = { stream: 'system', epoch: 'e1', offset: 0, open: {} };
    const events = gateway.stream('system').events({ after });
    fake.append('system', 'sessions.changed', { sessionKey: 'k1' });
    const iterator = events[Symbol.asyncIterator]();
    const first = await iterator.next();
    expect(first.value).toMatchObject({ bookmark: { offset: 1 } });
    expect(events.bookmark).toEqual(after);
    void iterator.next();
    await settle();
    expect(events.bookmark).toMatchObject({ offset: 1 });
  });

  test('goes on in the middle of a part: only the rest of a merged delta is given', async () => {
    const { fake, gateway } = await live();
    fake.start('r1');
    fake.text('r1', 0, 'abc');
    const seen = collect(gateway.session('main').events({ after: { stream: main, epoch: 'e1', offset: 1, open: {} } }));
    await settle();
    const { bookmark } = seen.items.at(-1) as StreamEvent;
    expect(JSON.parse(JSON.stringify(bookmark))).toEqual(bookmark);
    fake.text('r1', 3, 'def');
    await settle();
    const merged = { ...fake.stream(main).events[2], from: 2 };
    (merged.payload as { data: object }) = {
      ...(merged.payload as object),
      data: { itemId: 't1', at: 0, delta: 'abcdef' },
    } as never;
    fake.stream(main).events.splice(1, 2, merged as never, merged as never);
    const again = collect(gateway.session('main').events({ after: bookmark }));
    await settle();
    expect(again.items[0]).toMatchObject({ offset: 3, from: 3, payload: { data: { at: 3, delta: 'def' } } });
  });

  test('asks again where it stands when a frame is missing', async () => {
    const { fake, gateway } = await live();
    const seen = collect(
      gateway.stream('system').events({ after: { stream: 'system', epoch: 'e1', offset: 0, open: {} } }),
    );
    await settle();
    fake.append('system', 'a', {});
    fake.last.subscribed.delete('system');
    fake.append('system', 'b', {});
    fake.last.subscribed.add('system');
    fake.append('system', 'c', {});
    await settle();
    expect(offsets(seen.items)).toEqual([1, 2, 3]);
    expect(fake.last.sent.filter(({ method }) => method === 'streams.subscribe').at(-1)?.params).toEqual({
      streams: [{ stream: 'system', after: { epoch: 'e1', offset: 1 } }],
    });
  });

  test('asks without a position when the same gap opens again, and says so', async () => {
    const { fake, gateway } = await live();
    const seen = collect(
      gateway.stream('system').events({ after: { stream: 'system', epoch: 'e1', offset: 0, open: {} } }),
    );
    await settle();
    fake.append('system', 'a', {});
    fake.append('system', 'b', {});
    // A log that lost its second event for good.
    fake.stream('system').events[1] = fake.stream('system').events[0] as never;
    fake.append('system', 'c', {});
    fake.last.drop();
    await settle();
    const later = collect(
      gateway.stream('system').events({ after: { stream: 'system', epoch: 'e1', offset: 1, open: {} } }),
    );
    await fake.clock.advance(2_000);
    expect(later.items[0]).toMatchObject({ type: 'reset', reason: 'no_position' });
    expect(seen.isDone).toBe(false);
  });

  test('tells a new epoch by a reset with the state', async () => {
    const { fake, gateway } = await live();
    const seen = collect(gateway.stream('system').events());
    await settle();
    fake.last.drop();
    fake.stream('system').epoch = 'e2';
    await fake.clock.advance(2_000);
    expect(seen.items.at(-1)).toMatchObject({ type: 'reset', reason: 'epoch_changed', bookmark: { epoch: 'e2' } });
  });

  test.each(['deleted', 'scope_lost'] as const)('ends after telling that the stream is %s', async (reason) => {
    const { fake, gateway } = await live();
    const seen = collect(gateway.stream('system').events());
    await settle();
    fake.last.send({
      type: 'event',
      event: 'stream.reset',
      payload: { stream: 'system', epoch: 'e1', offset: 0, reason },
    });
    await seen.done;
    expect(seen.error).toBeUndefined();
    expect(seen.items.at(-1)).toMatchObject({ type: 'reset', reason });
    expect((seen.items.at(-1) as StreamReset).state).toBeUndefined();
  });

  test('throws FORBIDDEN where reading is not allowed', async () => {
    const { fake, gateway } = await live();
    fake.handlers.set('streams.subscribe', () => ({
      payload: { streams: [{ stream: 'audit', epoch: '', head: 0, result: 'forbidden' }] },
    }));
    const seen = collect(gateway.stream('audit').events());
    await seen.done;
    expect(seen.error).toMatchObject({ code: 'FORBIDDEN' });
  });

  test('two readers at different places of one stream get the same events, each in order', async () => {
    const { fake, gateway } = await live();
    for (let n = 0; n < 5; n++) fake.append('system', 'x', { n });
    const early = collect(
      gateway.stream('system').events({ after: { stream: 'system', epoch: 'e1', offset: 3, open: {} } }),
    );
    await settle();
    const late = collect(
      gateway.stream('system').events({ after: { stream: 'system', epoch: 'e1', offset: 0, open: {} } }),
    );
    const snapshot = collect(gateway.stream('system').events());
    await settle();
    fake.append('system', 'x', { n: 5 });
    await settle();
    expect(offsets(early.items)).toEqual([4, 5, 6]);
    expect(offsets(late.items)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(offsets(snapshot.items)).toEqual([6]);
    for (const { items } of [early, late]) expect(items.every(({ type }) => type === 'event')).toBe(true);
  });

  test('holds no more than its buffer for a slow consumer and reads the rest by position', async () => {
    const { fake, gateway } = await live({ bufferedEvents: 8 });
    const events = gateway.stream('system').events({ after: { stream: 'system', epoch: 'e1', offset: 0, open: {} } });
    const iterator = events[Symbol.asyncIterator]();
    const first = iterator.next();
    await settle();
    for (let n = 1; n <= 50; n++) fake.append('system', 'x', { n });
    await settle();
    const got = [(await first).value as StreamEvent];
    while (got.length < 50) got.push((await iterator.next()).value as StreamEvent);
    expect(offsets(got)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
  });

  test('ends quietly by its signal, by break and by close()', async () => {
    const { fake, gateway } = await live();
    const controller = new AbortController();
    const bySignal = collect(gateway.stream('system').events({ signal: controller.signal }));
    const byClose = collect(gateway.stream('system').events());
    await settle();
    controller.abort();
    await bySignal.done;
    for await (const _ of gateway.stream('system').events()) break;
    gateway.close();
    await byClose.done;
    expect([bySignal.error, byClose.error]).toEqual([undefined, undefined]);
    expect(fake.last.closed?.code).toBe(1000);
  });

  test('a stream that nobody reads any more is left after a while', async () => {
    const { fake, gateway } = await live();
    for await (const _ of gateway.stream('system').events()) break;
    await fake.pass(31_000);
    expect(fake.last.methods).toContain('streams.unsubscribe');
  });

  test('a stream that was left while another is being asked for is left once that is answered', async () => {
    const { fake, gateway } = await live();
    fake.stream('other');
    const reader = gateway.stream('system').events()[Symbol.asyncIterator]();
    void reader.next();
    await settle();
    await reader.return?.();
    await fake.pass(29_000);
    fake.handlers.set('streams.subscribe', () => undefined);
    void gateway.stream('other').events()[Symbol.asyncIterator]().next();
    await fake.clock.advance(2_000);
    expect(fake.last.methods).not.toContain('streams.unsubscribe');
    const asked = fake.last.sent.at(-1);
    fake.last.send({
      type: 'res',
      id: asked?.id,
      ok: true,
      payload: { streams: [{ stream: 'other', epoch: 'e1', head: 0, result: 'snapshot' }] },
    });
    await fake.pass(30_000);
    expect(fake.last.sent.at(-1)).toMatchObject({ method: 'streams.unsubscribe', params: { streams: ['system'] } });
  });

  test('next() called several times at once gives the events in order, each once, and ends all of them', async () => {
    const { fake, gateway } = await live();
    const after: Bookmark = { stream: 'system', epoch: 'e1', offset: 0, open: {} };
    const reader = gateway.stream('system').events({ after })[Symbol.asyncIterator]();
    const items = [reader.next(), reader.next(), reader.next(), reader.next()];
    await settle();
    for (let n = 1; n <= 2; n++) fake.append('system', 'sessions.changed', { sessionKey: `k${n}` });
    expect(offsets((await Promise.all(items.slice(0, 2))).map(({ value }) => value as Item))).toEqual([1, 2]);
    await reader.return?.();
    expect(await Promise.all(items.slice(2))).toEqual([
      { done: true, value: undefined },
      { done: true, value: undefined },
    ]);
  });

  test('more than 256 streams are asked for in several calls', async () => {
    const fake = new FakeGateway();
    const { gateway } = fake.connect();
    for (let n = 0; n < 300; n++) collect(gateway.session(`s${n}`).events());
    await settle();
    const sizes = fake.last.sent
      .filter(({ method }) => method === 'streams.subscribe')
      .map(({ params }) => (params as { streams: unknown[] }).streams.length);
    expect(sizes).toEqual([256, 44]);
  });
});
