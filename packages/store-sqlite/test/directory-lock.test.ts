import { spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { assertUnlocked, processStart } from '../src/directory-lock.ts';
import { sqliteStore } from '../src/index.ts';
import { look, openStore, temporaryDirectory } from './state-directory.ts';

test('a second gateway is refused with the pid of the first, until that is killed', async () => {
  const directory = temporaryDirectory();
  const child = spawn(
    process.execPath,
    ['--conditions=@openclaw/source', join(import.meta.dirname, 'kill-child.ts'), directory, '3'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await new Promise((resolve) => child.stdout.once('data', resolve));
  try {
    const refused = sqliteStore({ directory }).open();
    await expect(refused).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      details: { reason: 'store_in_use', pid: child.pid },
    });
    await expect(refused).rejects.toThrow(`pid ${child.pid}`);
    rmSync(join(directory, 'lock'));
    await expect(sqliteStore({ directory }).open()).rejects.toMatchObject({ details: { reason: 'store_in_use' } });
  } finally {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
  expect((await look({ directory })).isContinuous).toBe(true);
});

test('two stores in one process do not share a directory, and the refused one harms nothing', async () => {
  const directory = temporaryDirectory();
  const { store } = await openStore({ directory });
  const second = sqliteStore({ directory });
  await expect(second.open()).rejects.toMatchObject({ details: { pid: process.pid } });
  await store.close();
  await second.open();
  await second.close();
});

test('a lock whose pid was given anew to another process is no lock', () => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, 'lock'), JSON.stringify({ pid: process.pid, startedAt: '1' }));
  expect(() => assertUnlocked(directory)).not.toThrow();
  writeFileSync(join(directory, 'lock'), JSON.stringify({ pid: process.pid, startedAt: 'then' }));
  expect(() => assertUnlocked(directory, () => 'then')).toThrow(`pid ${process.pid}`);
  expect(() => assertUnlocked(directory, () => undefined)).not.toThrow();
  writeFileSync(join(directory, 'lock'), 'torn {');
  expect(() => assertUnlocked(directory)).not.toThrow();
});

test.runIf(process.platform === 'linux')('the start of a process is known while it lives', () => {
  expect(processStart('self')).toBe(processStart(process.pid));
  expect(processStart('self')).toMatch(/^\d+$/);
  expect(processStart(2 ** 30)).toBeUndefined();
});
