import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type EventFrame, mergeDeltas } from '@openclaw/protocol';
import type { EventRecord } from '@openclaw/server';
import { sqliteStore } from '@openclaw/store-sqlite';
import type { Figure } from './figure.ts';
import type { Workplace } from './workplace.ts';

const deltaCount = 1_000;
const stream = 'session:agent:main:main';

/** What a thousand deltas, a commit each, take in the state directory: while they come, folded, and merged. */
export async function diskFigures(workplace: Workplace): Promise<Figure[]> {
  const directory = workplace.directory();
  const store = sqliteStore({ directory });
  /** Opens the store for `task`; a clean stop then folds its journal and cuts the WAL. Returns the bytes in use. */
  const use = async (task: () => Promise<unknown> | undefined) => {
    await store.open();
    await task();
    await store.close();
    return usedBytes(directory);
  };
  const frames = Array.from({ length: deltaCount }, (_, index) => deltaFrame(index + 1));
  const merged = frames.reduce((joined, frame) => mergeDeltas(joined, frame) ?? joined);
  const frameBytes = frames.reduce((sum, frame) => sum + recordOf(frame).bytes.length, 0);
  let before = { all: 0, wal: 0 };
  let live = { all: 0, wal: 0 };

  const empty = await use(() => undefined);
  const folded = await use(async () => {
    before = fileBytes(directory);
    for (const frame of frames) {
      const appends = [{ stream, epoch: 'epoch', records: [recordOf(frame)] }];
      await store.commit({ appends, ledger: [], documents: [], media: [], deletes: [], durable: false });
    }
    live = fileBytes(directory);
  });
  const rewritten = await use(() => store.rewrite(stream, 1, deltaCount, [{ ...recordOf(merged), from: 1 }]));
  return [
    {
      what: 'disk per 1,000 deltas, while they come',
      value: kilobytes(live.all - before.all),
      goal: '300 / 150 kB',
      note: `a commit each; ${kilobytes(live.wal - before.wal)} of it WAL, which a quiet moment cuts from 1 MiB on; the frames alone are ${kilobytes(frameBytes)}`,
    },
    { what: 'the same, folded, WAL cut', value: kilobytes(folded - empty), note: 'pages in use' },
    {
      what: 'the same, merged',
      value: kilobytes(rewritten - empty),
      goal: '20 / 10 kB',
      note: 'pages in use; the file keeps its free pages for what comes',
    },
  ];
}

function fileBytes(directory: string): { all: number; wal: number } {
  const files = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isFile());
  const sum = (names: string[]) => names.reduce((bytes, name) => bytes + statSync(join(directory, name)).size, 0);
  const names = files.map(({ name }) => name);
  return { all: sum(names), wal: sum(names.filter((name) => name.endsWith('-wal'))) };
}

function usedBytes(directory: string): number {
  const database = new DatabaseSync(join(directory, 'gateway.sqlite'), { readOnly: true });
  const pragma = (name: string) => Number(database.prepare(`PRAGMA ${name}`).get()?.[name]);
  const bytes = (pragma('page_count') - pragma('freelist_count')) * pragma('page_size');
  database.close();
  return bytes;
}

/** A delta as a run's is: some six letters of text. */
function deltaFrame(offset: number): EventFrame {
  const payload = {
    runId: '0f8fad5b-d9cb-469f-a165-70867728950e',
    seq: offset,
    ts: 1_790_000_000_000 + offset * 20,
    sessionKey: 'agent:main:main',
    sessionId: '7c9e6679-7425-40de-944b-e07fc1f90ae7',
    agentId: 'main',
    stream: 'assistant',
    data: { itemId: 'text-1', at: (offset - 1) * 6, delta: ' words' },
  };
  return { type: 'event', event: 'agent', payload, stream, offset } as EventFrame;
}

function recordOf(frame: EventFrame): EventRecord {
  return { offset: frame.offset as number, bytes: Buffer.from(JSON.stringify(frame)) };
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1000).toFixed(0)} kB`;
}
