import { cpSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { seededRandom } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { isContinuous, isSameBoot } from '../src/continuity.ts';
import { sqliteStore } from '../src/index.ts';
import { appendTo, killedCopy, look, openStore, temporaryDirectory } from './state-directory.ts';

const streams = ['session:a', 'session:b', 'system'];

/** A store with `count` commits to each stream, still open. */
async function filled(count: number, options: { bootId?: string } = {}) {
  const directory = temporaryDirectory();
  const { store } = await openStore({ directory, ...options });
  for (let offset = 1; offset <= count; offset++) {
    await store.commit({ ...appendTo(streams, offset, `word ${offset}`), durable: offset === count });
  }
  return { directory, store };
}

function expectNewEpochs(heads: { stream: string; epoch: string }[]): void {
  for (const { stream, epoch } of heads) expect(epoch).not.toBe(`epoch of ${stream}`);
  expect(new Set(heads.map(({ epoch }) => epoch)).size).toBe(heads.length);
}

describe('a store that was killed', () => {
  test('keeps its epochs when the machine went on', async () => {
    const { directory } = await filled(20);
    const { heads, isContinuous } = await look({ directory: killedCopy(directory) });
    expect(isContinuous).toBe(true);
    expect(heads.map(({ head }) => head)).toEqual([20, 20, 20]);
    for (const { stream, epoch } of heads) expect(epoch).toBe(`epoch of ${stream}`);
  });

  test('gives every stream a new epoch when the machine was started anew', async () => {
    const { directory, store } = await filled(20, { bootId: 'first' });
    // The files as they were at the last sync; what came after it is lost with the power.
    const copy = killedCopy(directory);
    await store.commit(appendTo(streams, 21));
    const { heads, isContinuous, records } = await look({ directory: copy, bootId: 'second' });
    expect(isContinuous).toBe(false);
    expectNewEpochs(heads);
    expect(heads.map(({ head }) => head)).toEqual([20, 20, 20]);
    expect(records.get('session:a')).toHaveLength(20);
    const again = await look({ directory: copy, bootId: 'third' });
    expect(again.isContinuous).toBe(true);
    expect(again.heads).toEqual(heads);
  });

  test('never hides a journal that was cut, wherever the cut is', { timeout: 60_000 }, async () => {
    const { directory } = await filled(30);
    const whole = await look({ directory: killedCopy(directory) });
    const random = seededRandom(7);
    let lossCount = 0;
    for (let round = 0; round < 15; round++) {
      const copy = killedCopy(directory);
      const wal = join(copy, 'gateway.sqlite-wal');
      truncateSync(wal, Math.floor(random() * statSync(wal).size));
      const { heads, isContinuous, records } = await look({ directory: copy });
      if (isContinuous) expect(records).toEqual(whole.records);
      else {
        lossCount++;
        expectNewEpochs(heads);
      }
    }
    expect(lossCount).toBeGreaterThan(10);
  });

  test('keeps what lies before a journal row that is damaged, and tells', async () => {
    const { directory } = await filled(30);
    const copy = killedCopy(directory);
    const database = new DatabaseSync(join(copy, 'gateway.sqlite'));
    database.exec("UPDATE journal SET body = CAST(replace(body, 'word 20', 'worD 20') AS BLOB) WHERE number = 20");
    database.close();
    const { heads, isContinuous, records } = await look({ directory: copy });
    expect(isContinuous).toBe(false);
    expectNewEpochs(heads);
    expect(heads.map(({ head }) => head)).toEqual([19, 19, 19]);
    expect(records.get('system')).toHaveLength(19);
  });

  test('tells when a row is missing from the journal', async () => {
    const { directory } = await filled(30);
    const copy = killedCopy(directory);
    const database = new DatabaseSync(join(copy, 'gateway.sqlite'));
    database.exec('DELETE FROM journal WHERE number = 30');
    database.close();
    expect((await look({ directory: copy })).isContinuous).toBe(false);
  });
});

describe('a store that was closed', () => {
  test('keeps its epochs when the machine was started anew, and has no journal', async () => {
    const { directory, store } = await filled(20, { bootId: 'first' });
    await store.close();
    const database = new DatabaseSync(join(directory, 'gateway.sqlite'));
    expect(database.prepare('SELECT count(*) AS count FROM journal').get()?.count).toBe(0);
    database.close();
    const { heads, isContinuous } = await look({ directory, bootId: 'second' });
    expect(isContinuous).toBe(true);
    for (const { stream, epoch } of heads) expect(epoch).toBe(`epoch of ${stream}`);
  });

  test('tells when a backup of the database was put in its place', async () => {
    const { directory, store } = await filled(20);
    await store.close();
    const backup = temporaryDirectory();
    cpSync(join(directory, 'gateway.sqlite'), join(backup, 'gateway.sqlite'));
    const later = sqliteStore({ directory });
    await later.open();
    await later.commit(appendTo(streams, 21));
    await later.close();
    cpSync(join(backup, 'gateway.sqlite'), join(directory, 'gateway.sqlite'));
    const { heads, isContinuous } = await look({ directory });
    expect(isContinuous).toBe(false);
    expectNewEpochs(heads);
  });

  test('tells when a backup of the whole directory, its witness included, was put in its place', async () => {
    const { directory, store } = await filled(20);
    await store.close();
    const backup = temporaryDirectory();
    cpSync(directory, backup, { recursive: true, preserveTimestamps: true });
    const later = sqliteStore({ directory });
    await later.open();
    await later.commit(appendTo(streams, 21));
    await later.close();
    cpSync(backup, directory, { recursive: true, preserveTimestamps: true });
    const { heads, isContinuous } = await look({ directory });
    expect(isContinuous).toBe(false);
    expectNewEpochs(heads);
    expect((await look({ directory })).isContinuous).toBe(true);
  });

  test('tells when its witness is gone or broken, or the database is', async () => {
    const { directory, store } = await filled(3);
    await store.close();
    rmSync(join(directory, 'witness'));
    expect((await look({ directory })).isContinuous).toBe(false);
    writeFileSync(join(directory, 'witness'), 'abc');
    expect((await look({ directory })).isContinuous).toBe(false);
    expect((await look({ directory })).isContinuous).toBe(true);
    rmSync(join(directory, 'gateway.sqlite'));
    const { heads, isContinuous } = await look({ directory });
    expect([heads, isContinuous]).toEqual([[], false]);
  });
});

test('a clean mark does not outweigh a witness or a cut', () => {
  const sound = {
    lastNumber: 5,
    witness: 5,
    wasClosed: true,
    isSealed: true,
    bootId: 'b',
    lastBootId: 'a',
    wasCut: false,
  };
  expect(isContinuous(sound)).toBe(true);
  expect(isContinuous({ ...sound, witness: 4 })).toBe(true);
  expect(isContinuous({ ...sound, witness: 6 })).toBe(false);
  expect(isContinuous({ ...sound, wasCut: true })).toBe(false);
  expect(isContinuous({ ...sound, isSealed: false })).toBe(false);
  expect(isContinuous({ ...sound, wasClosed: false })).toBe(false);
  expect(isContinuous({ ...sound, wasClosed: false, lastBootId: 'b' })).toBe(true);
});

test('where there is no boot id, boots are told apart by their time', () => {
  expect(isSameBoot('time:1000', 'time:1002')).toBe(true);
  expect(isSameBoot('time:1000', 'time:1030')).toBe(false);
  expect(isSameBoot('time:1000', 'abc')).toBe(false);
});
