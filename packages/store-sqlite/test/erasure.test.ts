import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom, VirtualClock } from '@openclaw/protocol/testing';
import type { EventStore } from '@openclaw/server';
import { expect, test, vi } from 'vitest';
import { encodeBody } from '../src/commit-body.ts';
import { StoreEngine } from '../src/store-engine.ts';
import { defaultLimits } from '../src/upkeep.ts';
import {
  appendTo,
  batch,
  countInFiles,
  killedCopy,
  openStore,
  readAll,
  temporaryDirectory,
} from './state-directory.ts';

const canary = 'CANARY-7f3a';

/** Streams whose records lie side by side on the disk; every third one is secret. */
async function fillMixed(store: EventStore, directory: string): Promise<{ secret: string[]; open: string[] }> {
  const random = seededRandom(3);
  const names = Array.from({ length: 30 }, (_, index) => `session:${index}`);
  const secret = names.filter((_, index) => index % 3 === 0);
  const heads = new Map<string, number>();
  for (let round = 0; round < 400; round++) {
    const name = names[Math.floor(random() * names.length)] as string;
    const offset = (heads.get(name) ?? 0) + 1;
    heads.set(name, offset);
    const text = (secret.includes(name) ? canary : 'plain').repeat(1 + Math.floor(random() ** 4 * 900));
    await store.commit(appendTo([name], offset, text));
    if (round % 130 === 0) {
      const states = secret.flatMap((stream) => {
        const at = heads.get(stream);
        return at ? [{ stream, offset: at, state: { kind: 'plain' as const, note: canary } }] : [];
      });
      await store.checkpoint(states);
    }
  }
  const bytes = Buffer.from(canary.repeat(50));
  const id = createHash('sha256').update(bytes).digest('hex');
  const medium = { id, stream: secret[0] as string, mimeType: 'text/plain', fileName: `${canary}.txt`, bytes };
  const document = { kind: 'index', id: 'one', value: canary };
  await store.commit(batch({ media: [medium], documents: [document] }));
  expect(countInFiles(directory, canary)).toBeGreaterThan(100);
  return { secret, open: names.filter((name) => !secret.includes(name)) };
}

test('after scrub no file holds a byte of a deleted stream, and the others are whole', async () => {
  const directory = temporaryDirectory();
  const { store } = await openStore({ directory, limits: { foldRows: 60, erasureDelayMs: 1e9 } });
  const { secret, open } = await fillMixed(store, directory);
  const before = await Promise.all(open.map((stream) => readAll(store, stream)));
  // One by one, so that pages are merged and moved between the deletes.
  for (const stream of secret) await store.commit(batch({ deletes: [stream] }));
  await store.commit(batch({ documents: [{ kind: 'index', id: 'one', value: null }] }));
  await store.scrub();
  expect(countInFiles(directory, canary)).toBe(0);
  expect(readdirSync(join(directory, 'media'))).toEqual([]);
  expect(await Promise.all(open.map((stream) => readAll(store, stream)))).toEqual(before);
});

test('deleted bytes are gone within 60 s when nobody asks', async () => {
  const directory = temporaryDirectory();
  const clock = new VirtualClock();
  const { engine } = await StoreEngine.open({ directory, bootId: 'b', clock, sliceMs: 4, limits: defaultLimits });
  await engine.commit({ body: encodeBody(appendTo(['session:a'], 1, canary)), media: [], durable: true });
  await engine.commit({ body: encodeBody(batch({ deletes: ['session:a'] })), media: [], durable: true });
  expect(countInFiles(directory, canary)).toBeGreaterThan(0);
  await clock.advance(60_000);
  await vi.waitFor(() => expect(countInFiles(directory, canary)).toBe(0), { timeout: 10_000 });
  await engine.close();
});

test('a stop in between leaves nothing of what was deleted', async () => {
  const directory = temporaryDirectory();
  const { store } = await openStore({ directory });
  await store.commit(appendTo(['session:a'], 1, canary));
  await store.commit(batch({ deletes: ['session:a'] }));
  await store.close();
  expect(countInFiles(directory, canary)).toBe(0);
});

test('a delete that a kill interrupted is finished by the next gateway', async () => {
  const directory = temporaryDirectory();
  const { store } = await openStore({ directory, limits: { foldRows: 5, erasureDelayMs: 1e9 } });
  for (let offset = 1; offset <= 30; offset++) await store.commit(appendTo(['session:a'], offset, canary));
  await store.commit(batch({ deletes: ['session:a'] }));
  const copy = killedCopy(directory);
  expect(countInFiles(copy, canary)).toBeGreaterThan(0);
  const clock = new VirtualClock();
  const { engine, contents } = await StoreEngine.open({
    directory: copy,
    bootId: 'b',
    clock,
    sliceMs: 4,
    limits: defaultLimits,
  });
  expect(contents.heads).toEqual([]);
  await clock.advance(60_000);
  await vi.waitFor(() => expect(countInFiles(copy, canary)).toBe(0), { timeout: 10_000 });
  await engine.close();
});

test('documents that were deleted leave no stale copy in the unused space of a page', async () => {
  const directory = temporaryDirectory();
  const { store } = await openStore({ directory, limits: { erasureDelayMs: 1e9 } });
  const random = seededRandom(1);
  for (let round = 0; round < 6; round++) {
    const documents = Array.from({ length: 600 }, (_, index) => ({
      kind: `index ${round}`,
      id: `k${Math.floor(random() * 1e9)}`,
      value: (index % 3 === 0 ? canary : 'plain').repeat(1 + Math.floor(random() * 60)),
    }));
    await store.commit({ ...appendTo(['session:a'], 1, canary), documents });
    await store.checkpoint([]);
    const deleted = documents.filter((_, index) => index % 3 === 0).map((document) => ({ ...document, value: null }));
    await store.commit(batch({ documents: deleted, deletes: ['session:a'] }));
  }
  await store.scrub();
  expect(countInFiles(directory, canary)).toBe(0);
});
