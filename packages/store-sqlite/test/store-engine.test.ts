import { createHash } from 'node:crypto';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@openclaw/protocol/wire';
import { expect, test } from 'vitest';
import { encodeBody } from '../src/commit-body.ts';
import { StoreEngine } from '../src/store-engine.ts';
import { defaultLimits } from '../src/upkeep.ts';
import { appendTo, countInFiles, killedCopy, look, openStore, readAll, temporaryDirectory } from './state-directory.ts';

function medium(stream: string, text: string) {
  const bytes = Buffer.from(text);
  return { id: createHash('sha256').update(bytes).digest('hex'), stream, mimeType: 'text/plain', bytes };
}

test('the directory is for its owner alone, and so is every file', async () => {
  const directory = join(temporaryDirectory(), 'state');
  const { store } = await openStore({ directory });
  await store.commit({ ...appendTo(['session:a'], 1), media: [medium('session:a', 'picture')] });
  const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
  expect(mode(directory)).toBe('700');
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  expect(names).toEqual(expect.arrayContaining(['gateway.sqlite', 'gateway.sqlite-wal', 'lock', 'witness', 'media']));
  for (const name of names)
    expect([name, mode(join(directory, name))]).toEqual([name, name === 'media' ? '700' : '600']);
});

test('a commit for which there is no room changes nothing, and a later one may fit', async () => {
  const directory = temporaryDirectory();
  const { store } = await openStore({ directory, maxPageCount: 60 });
  await store.commit(appendTo(['session:a'], 1));
  const large = { ...appendTo(['session:a', 'session:b'], 2, 'x'.repeat(400_000)), deletes: ['session:b'] };
  large.appends[1] = { stream: 'session:b', epoch: 'e', records: [{ offset: 1, bytes: Buffer.from('b') }] };
  const refused = store.commit(large);
  await expect(refused).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
  await expect(refused).rejects.toThrow(directory);
  expect(await readAll(store, 'session:b')).toEqual([]);
  await store.commit(appendTo(['session:a'], 2));
  await store.close();
  const { heads, isContinuous } = await look({ directory });
  expect([heads.map(({ stream, head }) => [stream, head]), isContinuous]).toEqual([[['session:a', 2]], true]);
});

test('commits that follow one with media wait for it, so that the order stays', async () => {
  const { store } = await openStore({ directory: temporaryDirectory() });
  const order: number[] = [];
  const commits = [1, 2, 3, 4].map((offset) => {
    const media = offset === 2 ? [medium('session:a', 'm'.repeat(100_000))] : [];
    const commit = store.commit({ ...appendTo(['session:a'], offset), media, durable: offset === 1 });
    return commit.then(() => order.push(offset));
  });
  await Promise.all(commits);
  expect(order).toEqual([1, 2, 3, 4]);
});

test('media that no commit came to name are removed after a kill', async () => {
  const directory = temporaryDirectory();
  const { store } = await openStore({ directory });
  const kept = medium('session:a', 'kept');
  await store.commit({ ...appendTo(['session:a'], 1), media: [kept] });
  const copy = killedCopy(directory);
  writeFileSync(join(copy, 'media', medium('x', 'orphan').id), 'orphan');
  const next = await openStore({ directory: copy });
  await next.store.scrub();
  expect(countInFiles(copy, 'orphan')).toBe(0);
  expect((await next.store.readMedia(kept.id, 0, 99))?.sizeBytes).toBe(4);
});

test('the journal stays within 4,000 rows however fast commits come', { timeout: 60_000 }, async () => {
  const directory = temporaryDirectory();
  const limits = { ...defaultLimits, foldRows: 1e9 };
  const { engine } = await StoreEngine.open({
    directory,
    bootId: 'b',
    clock: systemClock({ unref: true }),
    sliceMs: 1,
    limits,
  });
  const streams = Array.from({ length: 40 }, (_, index) => `session:${index}`);
  let most = 0;
  for (let round = 0; round < 6_000; round++) {
    const body = encodeBody(appendTo([streams[round % 40] as string], Math.floor(round / 40) + 1));
    engine.commit({ body, media: [], durable: false }).catch(() => undefined);
    most = Math.max(most, engine.journalRows);
  }
  expect(most).toBeGreaterThan(3_000);
  expect(most).toBeLessThanOrEqual(4_000);
  for (const stream of streams) {
    expect(engine.read(stream, { after: 0, maxCount: 1e6, maxBytes: 1e9 })).toHaveLength(150);
  }
  await engine.close();
});

test('a kill between two slices of folding neither loses nor doubles a record', async () => {
  const directory = temporaryDirectory();
  const limits = { ...defaultLimits, foldRows: 1e9 };
  let elapsed = 0;
  const clock = { now: () => 0, elapsed: () => elapsed++, schedule: () => () => undefined };
  const { engine } = await StoreEngine.open({ directory, bootId: 'b', clock, sliceMs: 1, limits });
  const streams = ['session:a', 'session:b', 'session:c'];
  const commit = (part: Parameters<typeof encodeBody>[0]) =>
    engine.commit({ body: encodeBody(part), media: [], durable: false });
  for (let offset = 1; offset <= 5; offset++) await commit(appendTo(streams, offset));
  // Made anew under the same name: rows of the old one are still in the journal when the new one is folded.
  await commit({ ...appendTo(['session:b'], 1, 'anew'), deletes: ['session:b'] });
  for (let offset = 6; offset <= 200; offset++) await commit(appendTo(['session:a', 'session:c'], offset));
  const expected = await look({ directory: killedCopy(directory), bootId: 'b' });
  let isFolding = true;
  const folded = engine.checkpoint([]).finally(() => {
    isFolding = false;
  });
  const copies: string[] = [];
  while (isFolding) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    copies.push(killedCopy(directory));
  }
  await folded;
  expect(copies.length).toBeGreaterThan(3);
  for (const copy of copies) {
    const seen = await look({ directory: copy, bootId: 'b' });
    expect(seen.records).toEqual(expected.records);
    expect(seen.isContinuous).toBe(true);
  }
  await engine.close();
});
