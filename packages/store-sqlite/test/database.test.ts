import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { migrate, migrations } from '../src/database.ts';
import { sqliteStore } from '../src/index.ts';
import { appendTo, look, openStore, temporaryDirectory } from './state-directory.ts';

const path = 'memory';

test('an older store is brought forward by the steps that it lacks, with what it holds', () => {
  const database = new DatabaseSync(':memory:');
  migrate(database, path, migrations);
  database.exec("INSERT INTO documents VALUES ('device', 'd1', '{}')");
  const later = [...migrations, 'ALTER TABLE documents ADD COLUMN label TEXT', "UPDATE documents SET label = 'old'"];
  migrate(database, path, later);
  expect({ ...database.prepare('SELECT * FROM documents').get() }).toEqual({
    kind: 'device',
    id: 'd1',
    value: '{}',
    label: 'old',
  });
  expect(database.prepare('PRAGMA user_version').get()?.user_version).toBe(later.length);
  migrate(database, path, later);
});

test('a step that fails leaves the older store as it was', () => {
  const database = new DatabaseSync(':memory:');
  migrate(database, path, migrations);
  expect(() => migrate(database, path, [...migrations, 'CREATE TABLE fresh (x)', 'nonsense'])).toThrow();
  expect(database.prepare('PRAGMA user_version').get()?.user_version).toBe(migrations.length);
  expect(database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'fresh'").get()).toBeUndefined();
});

test('a newer store is refused untouched, saying what was found and what is supported', async () => {
  const directory = temporaryDirectory();
  const { store } = await openStore({ directory });
  await store.commit(appendTo(['system'], 1));
  await store.close();
  const file = join(directory, 'gateway.sqlite');
  const database = new DatabaseSync(file);
  database.exec('PRAGMA user_version = 99');
  database.close();
  const before = readFileSync(file);
  await expect(sqliteStore({ directory }).open()).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    details: { reason: 'store_newer', found: 99, supported: migrations.length },
    message: expect.stringContaining('Start the newer gateway'),
  });
  expect(readFileSync(file).equals(before)).toBe(true);
});

test('a file that is no database, or the database of someone else, is refused untouched', async () => {
  const garbage = temporaryDirectory();
  writeFileSync(join(garbage, 'gateway.sqlite'), 'these are not the pages that you are looking for '.repeat(200));
  const unreadable = { code: 'INTERNAL', details: { reason: 'store_unreadable' } };
  await expect(sqliteStore({ directory: garbage }).open()).rejects.toMatchObject(unreadable);
  await expect(sqliteStore({ directory: garbage }).open()).rejects.toThrow(join(garbage, 'gateway.sqlite'));
  expect(readFileSync(join(garbage, 'gateway.sqlite'), 'utf8')).toMatch(/^these are not/);
  const foreign = temporaryDirectory();
  const database = new DatabaseSync(join(foreign, 'gateway.sqlite'));
  database.exec('CREATE TABLE notes (text)');
  database.close();
  await expect(sqliteStore({ directory: foreign }).open()).rejects.toMatchObject(unreadable);
});

test('a database with damaged pages is refused with words, not opened in part', async () => {
  const directory = temporaryDirectory();
  const { store } = await openStore({ directory });
  for (let offset = 1; offset <= 50; offset++)
    await store.commit(appendTo(['system', 'session:a'], offset, 'x'.repeat(500)));
  await store.close();
  const file = join(directory, 'gateway.sqlite');
  const bytes = readFileSync(file);
  bytes.fill(0xa5, 4096, 4096 * 8);
  writeFileSync(file, bytes);
  await expect(sqliteStore({ directory }).open()).rejects.toMatchObject({ details: { reason: 'store_unreadable' } });
});

test('a directory that can not be made is refused with its path', async () => {
  const parent = temporaryDirectory();
  writeFileSync(join(parent, 'file'), '');
  await expect(sqliteStore({ directory: join(parent, 'file', 'state') }).open()).rejects.toThrow(join(parent, 'file'));
});

test('a missing and an empty directory just work', async () => {
  const parent = temporaryDirectory();
  mkdirSync(join(parent, 'empty'));
  for (const name of ['empty', 'missing/deep']) {
    expect((await look({ directory: join(parent, name) })).isContinuous).toBe(true);
  }
});
