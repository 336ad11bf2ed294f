import { expect, onTestFinished, test } from 'vitest';
import { Station } from './station.ts';
import { countTo, textOf } from './words.ts';

const slow = { timeout: 60_000 };

async function open() {
  const station = await Station.open();
  onTestFinished(() => station.dispose());
  return station;
}

const isText = ({ event, payload }: { event?: string; payload?: { stream?: unknown } }) =>
  event === 'agent' && payload?.stream === 'assistant';

test(
  'SIGTERM lets answers end, refuses new ones with when to come back, and says goodbye to each in its words',
  slow,
  async () => {
    const station = await open();
    const streams = await station.reader();
    const v4 = await station.reader({ caps: ['tool-events'] });
    await streams.subscribe('session:main');
    await streams.request('chat.send', { sessionKey: 'main', message: 'count to 60', idempotencyKey: 'the-run' });
    await streams.request('chat.send', { sessionKey: 'main', message: 'count to 3', idempotencyKey: 'behind-it' });
    await streams.until(isText);
    station.gateway.signal('SIGTERM');
    const goodbye = await streams.until(({ event }) => event === 'shutdown');
    expect(goodbye.payload).toEqual({
      reason: expect.any(String),
      restartExpectedMs: expect.any(Number),
      spreadMs: expect.any(Number),
    });
    const goodbyeV4 = await v4.until(({ event }) => event === 'shutdown');
    expect(goodbyeV4.payload).toEqual({ reason: expect.any(String), restartExpectedMs: expect.any(Number) });
    for (const reader of [streams, v4]) {
      const params = { sessionKey: 'main', message: 'too late', idempotencyKey: 'too-late' };
      expect(await reader.request('chat.send', params)).toMatchObject({
        ok: false,
        error: { code: 'UNAVAILABLE', retryable: true, retryAfterMs: expect.any(Number) },
      });
      // Reads go on.
      expect(await reader.request('chat.history', { sessionKey: 'main' })).toMatchObject({ ok: true });
    }
    expect(await streams.ended()).toMatchObject({ code: 4102, reason: expect.stringMatching(/\w+/) });
    expect(await v4.ended()).toMatchObject({ code: 1012 });
    expect(await station.gateway.exited).toEqual({ code: 0, signal: null });
    const ends = streams.events.flatMap(({ event, payload }) => {
      const { runId, data } = payload as { runId: string; data?: { phase?: string } };
      return event === 'agent' && (data?.phase === 'end' || data?.phase === 'error') ? [[runId, data.phase]] : [];
    });
    expect(ends).toEqual([
      ['the-run', 'end'],
      ['behind-it', 'end'],
    ]);
    // What was refused left no trace: with the same key it is new after the restart.
    await station.start();
    const again = await station.reader();
    const params = { sessionKey: 'main', message: 'count to 2', idempotencyKey: 'too-late' };
    expect(await again.request('chat.send', params)).toMatchObject({ ok: true, payload: { status: 'started' } });
  },
);

test(
  'what our client sends while the gateway drains is done by the next one, and its positions stay good',
  slow,
  async () => {
    const station = await open();
    const client = station.client();
    const resets: string[] = [];
    const stop = new AbortController();
    const reading = (async () => {
      for await (const item of client.session('main').events({ signal: stop.signal }))
        if (item.type === 'reset') resets.push(item.reason);
    })();
    const run = client.session('main').send('count to 40');
    for await (const part of run) if (part.type === 'text') break;
    const closed = new Promise<number | undefined>((resolve) =>
      client.on('state', ({ closeCode }) => closeCode !== undefined && resolve(closeCode)),
    );
    station.gateway.signal('SIGTERM');
    await station.gateway.printed(/Stopping/);
    const late = client.session('main').send('count to 4');
    expect(textOf(await run.final)).toBe(countTo(40));
    expect(await closed).toBe(4102);
    await station.gateway.exited;
    await station.start();
    expect(textOf(await late.final)).toBe(countTo(4));
    stop.abort();
    await reading;
    expect(resets).toEqual(['no_position']);
  },
);

test('a second SIGTERM ends it at once, and the run goes on after the next start', slow, async () => {
  const station = await open();
  const client = station.client();
  const run = client.session('main').send('count to 100');
  for await (const part of run) if (part.type === 'text' && part.text.length > 40) break;
  station.gateway.signal('SIGTERM');
  await station.gateway.printed(/Stopping/);
  station.gateway.signal('SIGTERM');
  expect(await station.gateway.exited).toEqual({ code: 143, signal: null });
  await station.start();
  expect(textOf(await run.final)).toBe(countTo(100));
});
