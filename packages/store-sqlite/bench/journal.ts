/**
 * What the store costs. Run: `node --conditions=@openclaw/source packages/store-sqlite/bench/journal.ts`
 * Prints µs per event in the engine and µs per commit through the worker for 1, 20 and 100 streams per commit, the bytes on
 * the disk of 1,000 deltas, and how long `open` takes after a kill with 100,000 events in 500 streams.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { systemClock } from '@openclaw/protocol/wire';
import type { CommitBatch } from '@openclaw/server';
import { encodeBody } from '../src/commit-body.ts';
import { currentBootId } from '../src/continuity.ts';
import { sqliteStore } from '../src/index.ts';
import { StoreEngine } from '../src/store-engine.ts';
import { defaultLimits } from '../src/upkeep.ts';

const delta = `{"type":"event","event":"agent","payload":{"runId":"r-1","seq":17,"ts":1700000000000,"sessionKey":"agent:main:main","sessionId":"s-1","agentId":"main","stream":"assistant","data":{"itemId":"i-1","at":120,"delta":" word"}},"stream":"session:agent:main:main","offset":`;

function commitOf(streamCount: number, offset: number, firstStream = 0): CommitBatch {
  const appends = Array.from({ length: streamCount }, (_, index) => ({
    stream: `session:agent:main:s${firstStream + index}`,
    epoch: 'epoch',
    records: [{ offset, bytes: Buffer.from(`${delta}${offset}}`) }],
  }));
  return { appends, ledger: [], documents: [], media: [], deletes: [], durable: false };
}

function directorySize(directory: string): number {
  const names = readdirSync(directory, { recursive: true, withFileTypes: true });
  return names.reduce(
    (sum, entry) => sum + (entry.isFile() ? statSync(join(entry.parentPath, entry.name)).size : 0),
    0,
  );
}

async function inDirectory(task: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    await task(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function engineCost(streamCount: number): Promise<void> {
  await inDirectory(async (directory) => {
    const clock = systemClock();
    const settings = { directory, bootId: currentBootId(), clock, sliceMs: 4, limits: defaultLimits };
    const { engine } = await StoreEngine.open(settings);
    const bodies = Array.from({ length: 1_500 }, (_, index) => encodeBody(commitOf(streamCount, index + 1)));
    const startedAt = performance.now();
    for (const body of bodies) engine.commit({ body, media: [], durable: false }).catch(() => undefined);
    const us = ((performance.now() - startedAt) * 1_000) / (bodies.length * streamCount);
    console.log(`engine, ${streamCount} stream(s) per commit: ${us.toFixed(2)} µs per event`);
    await engine.close();
  });
}

async function roundTrip(streamCount: number, isDurable: boolean): Promise<void> {
  await inDirectory(async (directory) => {
    const store = sqliteStore({ directory });
    await store.open();
    const count = isDurable ? 200 : 2_000;
    const times: number[] = [];
    for (let offset = 1; offset <= count; offset++) {
      const batch = { ...commitOf(streamCount, offset), durable: isDurable };
      const startedAt = performance.now();
      await store.commit(batch);
      times.push((performance.now() - startedAt) * 1_000);
    }
    times.sort((a, b) => a - b);
    const [p50, p99] = [0.5, 0.99].map((share) => (times[Math.floor(count * share)] as number).toFixed(0));
    console.log(
      `worker, ${streamCount} stream(s)${isDurable ? ', durable' : ''}: p50 ${p50} µs, p99 ${p99} µs per commit`,
    );
    await store.close();
  });
}

async function diskUse(): Promise<void> {
  await inDirectory(async (directory) => {
    const store = sqliteStore({ directory });
    await store.open();
    const empty = directorySize(directory);
    for (let offset = 1; offset <= 1_000; offset++) await store.commit(commitOf(1, offset));
    const live = directorySize(directory) - empty;
    await store.close();
    const database = new DatabaseSync(join(directory, 'gateway.sqlite'));
    const used = database.prepare(
      'SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count) AS pages',
    );
    const folded = Number(used.get()?.pages) * 4096;
    database.close();
    const sizes = `${live} bytes live, ${folded} in use after the fold (file: ${directorySize(directory)}, empty: ${empty})`;
    console.log(`1,000 deltas of ${delta.length + 5} bytes, a commit each: ${sizes}`);
  });
}

async function openAfterKill(): Promise<void> {
  await inDirectory(async (directory) => {
    const child = spawn(process.execPath, [...process.execArgv, import.meta.filename, 'fill', directory], {
      stdio: 'pipe',
    });
    child.stderr.pipe(process.stderr);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    const store = sqliteStore({ directory });
    const startedAt = performance.now();
    const { heads, isContinuous } = await store.open();
    const ms = (performance.now() - startedAt).toFixed(0);
    const events = heads.reduce((sum, { head }) => sum + head, 0);
    console.log(`open after kill -9: ${ms} ms, ${events} events, ${heads.length} streams, continuous ${isContinuous}`);
    await store.close();
    const closedAt = performance.now();
    await store.open();
    console.log(`open after a clean stop: ${(performance.now() - closedAt).toFixed(0)} ms`);
    await store.close();
  });
}

/** 100,000 events; folding begins only at the hard limit, so that the journal is as full as it gets. */
async function fill(directory: string): Promise<void> {
  const store = sqliteStore({ directory, limits: { foldRows: 1e9, foldBytes: 1e12 } });
  await store.open();
  for (let round = 0; round < 10_000; round++) {
    await store.commit(commitOf(10, Math.floor(round / 50) + 1, (round % 50) * 10));
  }
  console.log('filled');
}

if (process.argv[2] === 'fill') await fill(process.argv[3] as string);
else {
  for (const streamCount of [1, 20, 100]) await engineCost(streamCount);
  for (const streamCount of [1, 20, 100]) await roundTrip(streamCount, false);
  await roundTrip(1, true);
  await diskUse();
  await openAfterKill();
}
