import { describe, expect, onTestFinished, test } from 'vitest';
import { ResumedStream } from './resumed-stream.ts';
import { Station, type StationOptions } from './station.ts';
import { countTo, textOf } from './words.ts';

const slow = { timeout: 60_000 };

async function openStation(options?: StationOptions): Promise<Station> {
  const station = await Station.open(options);
  onTestFinished(() => station.dispose());
  return station;
}

/** What a reader has seen of a run when the gateway is killed. */
type Moment = (seen: ResumedStream, runId: string) => boolean;

const textUnits = (seen: ResumedStream, runId: string) => seen.textOf(runId).length;
const has = (stream: string): Moment => {
  return (seen, runId) => seen.partsOf(runId).some((part) => part.stream === stream);
};

const moments: readonly (readonly [name: string, kills: readonly Moment[]])[] = [
  ['right after the answer of the send', [() => true, () => true]],
  [
    'in thinking',
    [has('thinking'), (seen, runId) => seen.partsOf(runId).filter(({ stream }) => stream === 'thinking').length > 5],
  ],
  ['in the tool call, and right after it', [has('tool'), has('assistant')]],
  ['in text, again and again', [20, 50, 80, 110].map((units) => (seen, runId) => textUnits(seen, runId) >= units)],
  ['just before the end', [120, 138].map((units) => (seen, runId) => textUnits(seen, runId) >= units)],
];

describe('kill -9 of the gateway in the middle of an answer costs nothing:', () => {
  test.each(moments)('%s', slow, async (_name, kills) => {
    const station = await openStation();
    const seen = new ResumedStream(station, 'main');
    const client = station.client();
    await client.request('health');
    const run = client.session('main').send('count to 50', { idempotencyKey: 'the-run' });
    let streamed = '';
    const parts = (async () => {
      for await (const part of run) {
        if (part.type === 'text') streamed = part.replace ? part.delta : streamed + part.delta;
      }
    })();
    // Sent twice, the answer of the send is known to have been made.
    await client.request('chat.send', { sessionKey: 'main', message: 'count to 50' }, { idempotencyKey: 'the-run' });
    for (const isNow of kills) {
      await seen.until(() => isNow(seen, 'the-run') || seen.terminalsOf('the-run').length > 0);
      expect(seen.terminalsOf('the-run')).toEqual([]);
      await station.restart();
    }
    expect(textOf(await run.final)).toBe(countTo(50));
    await parts;
    expect(streamed).toBe(countTo(50));
    // A further run, from beginning to end, gives anything that is doubled or late the time to show.
    const last = client.session('main').send('count to 2');
    await last.final;
    await seen.until(() => seen.terminalsOf(last.id).length > 0);
    await seen.stop();
    expect(seen.isWhole).toBe(true);
    expect(seen.rows.slice(1).map(({ result }) => result)).toEqual(seen.rows.slice(1).map(() => 'resumed'));
    expect(new Set(seen.rows.map(({ epoch }) => epoch)).size).toBe(1);
    expect(seen.resets).toHaveLength(1);
    expect(seen.textOf('the-run')).toBe(countTo(50));
    expect(seen.terminalsOf('the-run')).toEqual(['end']);
    expect(station.killCount).toBe(kills.length);
    // Who comes only now sees the same, from the first event on.
    const late = await station.reader();
    const { epoch, head } = await late.subscribe('session:main', { epoch: seen.rows[0]?.epoch ?? '', offset: 0 });
    await late.until(({ event }) => event === 'stream.live');
    expect({ epoch, head }).toEqual({ epoch: seen.rows[0]?.epoch, head: seen.events.at(-1)?.offset });
    expect(late.events).toEqual(seen.events);
  });
});
