import { statSync } from 'node:fs';
import { join } from 'node:path';
import { VirtualClock } from '@openclaw/protocol/testing';
import { expect, test, vi } from 'vitest';
import { encodeBody } from '../src/commit-body.ts';
import { StoreEngine } from '../src/store-engine.ts';
import { defaultLimits } from '../src/upkeep.ts';
import { appendTo, temporaryDirectory } from './state-directory.ts';

async function writing(limits: Partial<typeof defaultLimits>) {
  const directory = temporaryDirectory();
  const clock = new VirtualClock();
  const settings = { directory, bootId: 'b', clock, sliceMs: 4, limits: { ...defaultLimits, ...limits } };
  const { engine } = await StoreEngine.open(settings);
  let offset = 0;
  return {
    engine,
    clock,
    walBytes: () => statSync(join(directory, 'gateway.sqlite-wal')).size,
    async commit(count: number) {
      for (const end = offset + count; offset < end; ) {
        await engine.commit({ body: encodeBody(appendTo(['session:a'], ++offset)), media: [], durable: false });
      }
    },
  };
}

test('the WAL is cut to nothing at a quiet moment, and not before', async () => {
  const { engine, clock, walBytes, commit } = await writing({ walQuietBytes: 100_000 });
  await commit(100);
  expect(walBytes()).toBeGreaterThan(100_000);
  await clock.advance(200);
  await commit(1);
  await clock.advance(50);
  expect(walBytes()).toBeGreaterThan(100_000);
  await clock.advance(250);
  await vi.waitFor(() => expect(walBytes()).toBe(0));
  await commit(1);
  expect(engine.read('session:a', { after: 0, maxCount: 999, maxBytes: 1e9 })).toHaveLength(102);
  await engine.close();
});

test('the WAL is bounded even when no moment is quiet', async () => {
  const { engine, clock, walBytes, commit } = await writing({ walQuietBytes: 100_000, walMaxBytes: 400_000 });
  let most = 0;
  for (let round = 0; round < 40; round++) {
    await commit(20);
    await clock.advance(50);
    // What the watch began ends on the disk's time, not on the clock's.
    await engine.commit({
      body: encodeBody({ appends: [], ledger: [], documents: [], deletes: [] }),
      media: [],
      durable: true,
    });
    most = Math.max(most, walBytes());
  }
  expect(most).toBeLessThan(1_500_000);
  await engine.close();
});

test('an idle store has no timer', async () => {
  const { engine, clock, commit } = await writing({});
  await commit(3);
  await clock.advance(1_000);
  expect(clock.timerCount).toBe(0);
  await engine.close();
});
