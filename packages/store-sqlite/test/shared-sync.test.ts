import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SharedSync } from '../src/shared-sync.ts';
import { temporaryDirectory } from './state-directory.ts';

function controlled() {
  const path = join(temporaryDirectory(), 'file');
  writeFileSync(path, '');
  const runs: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const sync = new SharedSync(path, () => new Promise((resolve, reject) => runs.push({ resolve, reject })));
  return { sync, runs };
}

test('calls that come while a sync runs share the next one, since the running one may have missed their bytes', async () => {
  const { sync, runs } = controlled();
  const done: string[] = [];
  const calls = ['first', 'second', 'third'].map((name) => sync.sync().then(() => done.push(name)));
  expect(runs).toHaveLength(1);
  runs[0]?.resolve();
  await calls[0];
  expect(done).toEqual(['first']);
  expect(runs).toHaveLength(2);
  runs[1]?.resolve();
  await Promise.all(calls);
  expect(runs).toHaveLength(2);
  await sync.close();
});

test('a sync that fails is told to its callers, and the next one is tried', async () => {
  const { sync, runs } = controlled();
  const first = sync.sync();
  const second = sync.sync();
  runs[0]?.reject(new Error('the disk is gone'));
  await expect(first).rejects.toThrow('the disk is gone');
  runs[1]?.resolve();
  await second;
  await sync.close();
});
