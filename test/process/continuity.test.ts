import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { seededRandom } from '@openclaw/protocol/testing';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { PlainFrame } from './plain-reader.ts';
import { ResumedStream } from './resumed-stream.ts';
import { Station } from './station.ts';
import { countTo, textOf } from './words.ts';

const slow = { timeout: 60_000 };

async function open(options: { copyOf?: string } = {}) {
  const station = await Station.open(options);
  onTestFinished(() => station.dispose());
  return station;
}

/** A gateway that was killed in the middle of a run, and what a reader had seen of it until then. */
async function killedInTheMiddle() {
  const station = await open();
  const seen = new ResumedStream(station, 'main');
  await seen.until(() => seen.rows.length > 0);
  const client = station.client();
  await client.session('main').send('count to 30').final;
  const run = client.session('main').send('count to 60');
  run.final.catch(() => undefined);
  await seen.until(() => seen.textOf(run.id).length > 60);
  await station.kill();
  await seen.stop();
  client.close();
  return { directory: station.stateDirectory, seen };
}

/**
 * Reads everything that a gateway tells someone who comes back with a position, up to one answer more: that one waits for what
 * is left of the open run, so that it also shows that no run stays open for ever (S21).
 */
async function comeBack(station: Station, after: { epoch: string; offset: number } | undefined) {
  const reader = await station.reader();
  const row = await reader.subscribe('session:main', after);
  if (row.result === 'gone') return { reader, row, resets: [] };
  await reader.until(({ event }) => event === 'stream.live');
  await reader.request('chat.send', { sessionKey: 'main', message: 'count to 2', idempotencyKey: 'after-it' });
  await reader.until(
    ({ event, payload }) =>
      event === 'agent' && payload?.runId === 'after-it' && (payload.data as { phase?: string }).phase === 'end',
  );
  const resets = reader.frames.filter(({ event }) => event === 'stream.reset');
  return { reader, row, resets };
}

/** Whether the events follow one another from just after `offset`. */
function follows(events: readonly PlainFrame[], offset: number): boolean {
  let last = offset;
  for (const { offset: at = 0, from = at } of events) {
    if (from !== last + 1) return false;
    last = at;
  }
  return true;
}

describe('a log whose tail was damaged', () => {
  const seed = 20_261_122;
  test(`is never passed over in silence (seed ${seed})`, slow, async () => {
    const random = seededRandom(seed);
    const { directory, seen } = await killedInTheMiddle();
    const outcomes: string[] = [];
    for (const damage of ['none', 'cut', 'cut', 'cut', 'flip', 'flip', 'flip', 'gone']) {
      const station = new Station({ copyOf: directory });
      // For a test that is out of time; else each is gone before the next one comes.
      onTestFinished(() => station.dispose());
      try {
        const wal = join(station.stateDirectory, 'gateway.sqlite-wal');
        const bytes = readFileSync(wal);
        const at = Math.floor(random() * bytes.length);
        if (damage === 'cut') truncateSync(wal, at);
        if (damage === 'flip') {
          bytes[at] = (bytes[at] as number) ^ (1 + Math.floor(random() * 255));
          writeFileSync(wal, bytes);
        }
        if (damage === 'gone') rmSync(wal);
        await station.start();
        const { reader, row, resets } = await comeBack(station, seen.position);
        outcomes.push(`${damage}: ${row.result} ${row.reason ?? ''}`);
        if (row.result === 'resumed') {
          // Then nothing that was seen is missing: read again from the first event, it is all there, byte for byte.
          expect(resets).toEqual([]);
          expect(follows(reader.events, seen.position?.offset ?? 0)).toBe(true);
          const again = await station.reader();
          await again.subscribe('session:main', { epoch: row.epoch, offset: 0 });
          await again.until(({ event }) => event === 'stream.live');
          expect(again.events.slice(0, seen.events.length)).toEqual(seen.events);
          expect(row.epoch).toBe(seen.position?.epoch);
        } else {
          // `gone` where the damage took the whole session.
          expect(row).toMatchObject(
            row.result === 'gone' ? { reason: 'deleted' } : { result: 'snapshot', reason: 'epoch_changed' },
          );
          if (row.result === 'snapshot') {
            expect(resets).toHaveLength(1);
            expect(resets[0]?.payload).toMatchObject({ reason: 'epoch_changed', epoch: row.epoch });
            expect(row.epoch).not.toBe(seen.position?.epoch);
            expect(follows(reader.events, resets[0]?.payload?.offset as number)).toBe(true);
          }
        }
      } finally {
        await station.dispose();
      }
    }
    expect(outcomes[0]).toBe('none: resumed ');
    expect(outcomes.filter((outcome) => outcome.includes('epoch_changed')).length).toBeGreaterThan(2);
  });
});

describe('a backup that was restored', () => {
  const contents = (directory: string) => readdirSync(directory).filter((name) => name !== 'lock');

  test.each([
    ['the database alone', (name: string) => name.startsWith('gateway.sqlite')],
    ['the whole directory', () => true],
  ])('is told by a new epoch, though others wrote past the reader’s place: %s', slow, async (_what, isRestored) => {
    const station = await open();
    const first = station.client();
    await first.session('main').send('count to 5').final;
    await station.stop();
    const backup = join(station.directory, 'backup');
    cpSync(station.stateDirectory, backup, { recursive: true });

    await station.start();
    const client = station.client();
    let bookmark: Parameters<ReturnType<typeof client.session>['events']>[0];
    const run = client.session('main').send('count to 8');
    await run.final;
    for await (const item of client.session('main').events()) {
      bookmark = { after: item.bookmark };
      break;
    }
    client.close();
    first.close();
    const ended = await station.stop();
    expect(ended).toEqual({ code: 0, signal: null });

    for (const name of contents(station.stateDirectory).filter(isRestored))
      rmSync(join(station.stateDirectory, name), { recursive: true });
    for (const name of contents(backup).filter(isRestored))
      cpSync(join(backup, name), join(station.stateDirectory, name), { recursive: true });
    await station.start();
    // Someone else writes on until the old place is passed.
    const other = station.client();
    for (const count of [20, 21])
      expect(textOf(await other.session('main').send(`count to ${count}`).final)).toBe(countTo(count));
    const back = station.client();
    for await (const item of back.session('main').events(bookmark)) {
      expect(item).toMatchObject({ type: 'reset', reason: 'epoch_changed' });
      break;
    }
  });
});

test('a store that a newer gateway wrote is refused with both versions, untouched', slow, async () => {
  const station = await open();
  await station.client().session('main').send('count to 2').final;
  await station.stop();
  const path = join(station.stateDirectory, 'gateway.sqlite');
  const database = new DatabaseSync(path);
  database.exec('PRAGMA user_version = 99');
  database.close();
  const before = readFileSync(path);
  const child = station.launch();
  expect(await child.exited).toEqual({ code: 78, signal: null });
  expect(child.output.trim().split('\n')).toHaveLength(1);
  expect(child.output).toMatch(/gateway\.sqlite.*schema version 99.*up to \d+/);
  expect(readFileSync(path).equals(before)).toBe(true);
});

test(
  'two gateways at the same instant on one state directory: one serves, the other ends with 75 and its pid',
  slow,
  async () => {
    const station = new Station();
    onTestFinished(() => station.dispose());
    const both = [station.launch(), station.launch()];
    const loser = await Promise.race(both.map(async (child) => child.exited.then(() => child)));
    const winner = both.find((child) => child !== loser) as (typeof both)[number];
    await winner.printed(/ at http/);
    expect((await loser.exited).code).toBe(75);
    expect(loser.output).toContain(`pid ${winner.pid}`);
    expect(loser.output.trim().split('\n')).toHaveLength(1);
    // Killed, it leaves a lock of nobody: the next one starts at once.
    await winner.kill();
    const next = station.launch();
    await next.printed(/ at http/);
  },
);
