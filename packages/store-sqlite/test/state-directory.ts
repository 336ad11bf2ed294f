import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommitBatch, EventRecord, EventStore } from '@openclaw/server';
import { onTestFinished } from 'vitest';
import { type SqliteStoreOptions, sqliteStore } from '../src/index.ts';

/** An empty directory that is removed when the test ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'store-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** What `kill -9` would leave of an open store: its files as they are now, and a lock of nobody. */
export function killedCopy(directory: string): string {
  const copy = temporaryDirectory();
  cpSync(directory, copy, { recursive: true });
  rmSync(join(copy, 'lock'), { force: true });
  return copy;
}

/** An open store that is closed when the test ends. */
export async function openStore(options: SqliteStoreOptions) {
  const store = sqliteStore(options);
  const contents = await store.open();
  onTestFinished(() => store.close());
  return { store, contents };
}

/** Opens a store, hands over what it holds, and closes it again. */
export async function look(options: SqliteStoreOptions) {
  const store = sqliteStore(options);
  const contents = await store.open();
  const records = new Map<string, string[]>();
  for (const { stream } of contents.heads) records.set(stream, (await readAll(store, stream)).map(textOf));
  await store.close();
  return { ...contents, records };
}

export function readAll(store: EventStore, stream: string): Promise<EventRecord[]> {
  return store.read(stream, { after: 0, maxCount: 1e6, maxBytes: 1e9 });
}

export function textOf({ bytes }: EventRecord): string {
  return Buffer.from(bytes).toString();
}

export function batch(part: Partial<CommitBatch>): CommitBatch {
  return { appends: [], ledger: [], documents: [], media: [], deletes: [], durable: false, ...part };
}

/** One record for each of `streams`, at `offset`, with `text` in it. */
export function appendTo(streams: string[], offset: number, text = ''): CommitBatch {
  const bytes = Buffer.from(`{"offset":${offset},"text":"${text}"}`);
  return batch({
    appends: streams.map((stream) => ({ stream, epoch: `epoch of ${stream}`, records: [{ offset, bytes }] })),
  });
}

/** How often `text` lies in the files of a directory. */
export function countInFiles(directory: string, text: string): number {
  let count = 0;
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const bytes = readFileSync(join(entry.parentPath, entry.name));
    for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) count++;
    if (entry.name.includes(text)) count++;
  }
  return count;
}
