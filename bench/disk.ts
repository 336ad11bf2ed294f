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
  await store.open();
  await store.scrub();
  const empty = filesOf(directory);
  const frames = Array.from({ length: deltaCount }, (_, index) => deltaFrame(index + 1));
  for (const frame of frames) {
    const records = [recordOf(frame)];
    await store.commit({
      appends: [{ stream, epoch: 'epoch', records }],
      ledger: [],
      documents: [],
      media: [],
      deletes: [],
      durable: false,
    });
  }
  const live = filesOf(directory);
  await store.checkpoint([]);
  await store.scrub();
  const folded = filesOf(directory);
  const merged = frames.reduce((joined, frame) => mergeDeltas(joined, frame) ?? joined);
  await store.rewrite(stream, 1, deltaCount, [{ ...recordOf(merged), from: 1 }]);
  await store.scrub();
  await store.close();
  const frameBytes = frames.reduce((sum, frame) => sum + recordOf(frame).bytes.length, 0);
  const used = usedBytes(directory);
  return [
    {
      what: 'disk per 1,000 deltas, while they come',
      value: kilobytes(live.all - empty.all),
      goal: '300 / 150 kB',
      note: `${kilobytes(live.wal - empty.wal)} of it WAL; the frames alone are ${kilobytes(frameBytes)}; a commit for each delta`,
    },
    { what: 'the same, folded', value: kilobytes(folded.all - empty.all), note: 'WAL cut' },
    {
      what: 'the same, merged',
      value: kilobytes(used - empty.used),
      goal: '20 / 10 kB',
      note: 'pages in use; the file keeps its free pages for what comes',
    },
  ];

  function filesOf(path: string): { all: number; wal: number; used: number } {
    const sizes = readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => ({ name, bytes: statSync(join(path, name)).size }));
    const sum = (of: typeof sizes) => of.reduce((bytes, file) => bytes + file.bytes, 0);
    return { all: sum(sizes), wal: sum(sizes.filter(({ name }) => name.endsWith('-wal'))), used: sum(sizes) };
  }
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
