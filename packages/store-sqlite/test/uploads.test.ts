import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { VirtualClock } from '@openclaw/protocol/testing';
import type { EventStore, StoreUpload } from '@openclaw/server';
import { expect, onTestFinished, test, vi } from 'vitest';
import { StoreEngine } from '../src/store-engine.ts';
import { defaultLimits } from '../src/upkeep.ts';
import { appendTo, batch, countInFiles, killedCopy, openStore, temporaryDirectory } from './state-directory.ts';

const canary = 'CANARY-41ce';

async function finished(store: EventStore, text: string): Promise<{ id: string; upload: StoreUpload }> {
  const upload = await store.openUpload();
  await upload.write(Buffer.from(text));
  return { id: (await upload.finish()).id, upload };
}

const named = (stream: string, id: string) => ({ stream, id, mimeType: 'text/plain' });
const mediaOf = (directory: string) => readdirSync(join(directory, 'media'));

test('pieces of any size make one file, which only its owner can open', async () => {
  const directory = temporaryDirectory();
  const { store } = await openStore({ directory });
  const whole = randomBytes(1_000_003);
  const upload = await store.openUpload();
  expect(mediaOf(directory)).toEqual(['upload-1.part']);
  for (let at = 0, size = 1; at < whole.length; at += size, size = (size * 7) % 300_000) {
    await upload.write(whole.subarray(at, at + size));
  }
  const { id, sizeBytes } = await upload.finish();
  expect({ id, sizeBytes }).toEqual({ id: createHash('sha256').update(whole).digest('hex'), sizeBytes: whole.length });
  expect(Buffer.from(await upload.read(0, 2_000_000)).equals(whole)).toBe(true);
  expect(mediaOf(directory)).toEqual([id]);
  expect(statSync(join(directory, 'media', id)).mode & 0o777).toBe(0o600);
  await upload.discard();
  expect(mediaOf(directory)).toEqual([]);
});

test('an upload that is not done yet survives an erasure, and its discard leaves nothing', async () => {
  const directory = temporaryDirectory();
  const { store } = await openStore({ directory, limits: { erasureDelayMs: 1e9 } });
  const open = await store.openUpload();
  await open.write(Buffer.from('half'));
  const { upload: done } = await finished(store, 'done');
  await store.commit(appendTo(['session:a'], 1));
  await store.commit(batch({ deletes: ['session:a'] }));
  await store.scrub();
  expect(mediaOf(directory)).toHaveLength(2);
  await open.write(Buffer.from(' and half'));
  expect((await open.finish()).sizeBytes).toBe(13);
  await open.discard();
  await done.discard();
  expect(mediaOf(directory)).toEqual([]);
});

test('the last session that uses an upload takes it from the disk when it is deleted', async () => {
  const directory = temporaryDirectory();
  const { store } = await openStore({ directory, limits: { erasureDelayMs: 1e9 } });
  const { id, upload } = await finished(store, canary);
  await store.commit({ ...appendTo(['session:a', 'session:b'], 1), media: [named('session:a', id)] });
  await upload.discard();
  await store.commit(batch({ media: [named('session:b', id)] }));
  await store.commit(batch({ deletes: ['session:a'] }));
  await store.scrub();
  expect(mediaOf(directory)).toEqual([id]);
  await store.commit(batch({ deletes: ['session:b'] }));
  await store.scrub();
  expect(countInFiles(directory, canary)).toBe(0);
});

test('a medium whose erasure is under way can not be named again', async () => {
  const directory = temporaryDirectory();
  const { store } = await openStore({ directory, limits: { erasureDelayMs: 1e9 } });
  const { id, upload } = await finished(store, canary);
  await store.commit({ ...appendTo(['session:a'], 1), media: [named('session:a', id)] });
  await upload.discard();
  await store.commit(batch({ deletes: ['session:a'] }));
  expect(mediaOf(directory)).toEqual([id]);
  await expect(store.commit(batch({ media: [named('session:b', id)] }))).rejects.toMatchObject({ code: 'INTERNAL' });
});

test('a commit that fails leaves no file of its own, and no file that an erasure had to leave to it', async () => {
  const directory = temporaryDirectory();
  const { store } = await openStore({ directory, limits: { erasureDelayMs: 1e9 } });
  await store.commit(appendTo(['session:a'], 1));
  const bytes = Buffer.from(canary);
  const inline = { ...named('session:a', createHash('sha256').update(bytes).digest('hex')), bytes };
  const notNext = appendTo(['session:a'], 9);
  await expect(store.commit({ ...notNext, media: [inline] })).rejects.toMatchObject({ code: 'INTERNAL' });
  await expect(store.commit({ ...notNext, media: [inline, named('a', 'f'.repeat(64))] })).rejects.toThrow();
  expect(mediaOf(directory)).toEqual([]);
  const { id, upload } = await finished(store, canary);
  await expect(store.commit({ ...notNext, media: [named('session:a', id)] })).rejects.toThrow();
  expect(mediaOf(directory)).toEqual([id]);
  await store.commit({ ...appendTo(['session:a'], 2), media: [named('session:a', id)] });
  await upload.discard();
  await store.commit(batch({ deletes: ['session:a'] }));
  await expect(store.commit(batch({ media: [named('session:b', id)] }))).rejects.toThrow();
  expect(countInFiles(join(directory, 'media'), canary)).toBe(0);
});

test('a kill leaves what was used, and at most files that the next start removes', async () => {
  const directory = temporaryDirectory();
  const { store } = await openStore({ directory });
  const { id: used } = await finished(store, 'used');
  await store.commit({ ...appendTo(['session:a'], 1), media: [named('session:a', used)], durable: true });
  await finished(store, 'never used');
  const open = await store.openUpload();
  await open.write(Buffer.from('never finished'));
  const copy = killedCopy(directory);
  expect(mediaOf(copy)).toHaveLength(3);
  const clock = new VirtualClock();
  const settings = { directory: copy, bootId: 'b', clock, sliceMs: 4, limits: defaultLimits };
  const { engine } = await StoreEngine.open(settings);
  await clock.advance(60_000);
  await vi.waitFor(() => expect(mediaOf(copy)).toEqual([used]), { timeout: 10_000 });
  expect(Buffer.from((await engine.readMedia(used, 0, 99))?.bytes ?? []).toString()).toBe('used');
  await engine.close();
});

test('an upload of 200 MB needs no more memory than its pieces', { timeout: 120_000 }, async () => {
  const token = 'a-token-that-is-long-enough';
  const { ask, port } = await startGateway(temporaryDirectory(), token);
  const send = (mebibytes: number) => {
    const piece = randomBytes(1_048_576);
    let left = mebibytes;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (left-- > 0) controller.enqueue(new Uint8Array(piece));
        else controller.close();
      },
    });
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'video/mp4' };
    return fetch(`http://127.0.0.1:${port}/media`, { method: 'POST', body, headers, duplex: 'half' } as RequestInit);
  };
  // What the first one loads is not the file's.
  expect((await send(8)).status).toBe(201);
  const before = await ask('begin');
  const answer = await send(200);
  expect(answer.status).toBe(201);
  const { id, sizeBytes } = (await answer.json()) as { id: string; sizeBytes: number };
  expect(sizeBytes).toBe(200 * 1_048_576);
  const read = await fetch(`http://127.0.0.1:${port}/media/${id}`, { headers: { authorization: `Bearer ${token}` } });
  const hash = createHash('sha256');
  for await (const chunk of read.body as unknown as AsyncIterable<Uint8Array>) hash.update(chunk);
  expect(hash.digest('hex')).toBe(id);
  const grownMebibytes = ((await ask('end')) - before) / 1_048_576;
  expect(grownMebibytes).toBeLessThan(40);
});

/** A gateway in a process of its own; `ask` tells the most memory that it had since `begin`, in bytes. */
async function startGateway(directory: string, token: string) {
  const program = join(import.meta.dirname, 'upload-gateway.ts');
  const child: ChildProcess = spawn(process.execPath, ['--conditions=@openclaw/source', program, directory, token], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value ?? '{}') as { port: number; peak: number };
  const { port } = await next();
  const ask = async (line: string) => {
    child.stdin?.write(`${line}\n`);
    return (await next()).peak;
  };
  return { port, ask };
}
