import type { DatabaseSync } from 'node:sqlite';
import { transaction } from './database.ts';
import { StreamTable } from './stream-table.ts';

/**
 * Tables whose rows may hold words of a deleted stream, or of what a session left elsewhere. SQLite zeroes what it deletes, but not the copies that its
 * B-trees leave in unused space when they move rows between pages; a table that is made anew leaves whole zeroed pages.
 */
const rebuiltTables = ['journal', 'ledger', 'documents', 'streams', 'media', 'media_streams'];

/** Takes a stream out of the tables within the caller's transaction; its records follow in slices. */
export function doomStream(database: DatabaseSync, name: string): void {
  database.prepare('INSERT INTO doomed SELECT id FROM streams WHERE name = ?').run(name);
  database.prepare('DELETE FROM streams WHERE name = ?').run(name);
  database.prepare('DELETE FROM media_streams WHERE stream = ?').run(name);
  database.exec('DELETE FROM media WHERE id NOT IN (SELECT id FROM media_streams)');
  setErasureDue(database, true);
}

/**
 * Gives a stream a table of its own anew, with its state and what it holds from `low` on, within the caller's transaction.
 * The old one follows in slices. Returns the id of the new one.
 */
export function doomRecords(database: DatabaseSync, table: StreamTable, low: number): number {
  const id = StreamTable.nextId(database);
  table.copyTo(StreamTable.create(database, id), low);
  database.prepare('UPDATE streams SET id = ?, low = ? WHERE id = ?').run(id, low, table.id);
  database.prepare('INSERT INTO doomed VALUES (?)').run(table.id);
  setErasureDue(database, true);
  return id;
}

/** Whether something was deleted that may still lie in a file. */
export function isErasureDue(database: DatabaseSync): boolean {
  return database.prepare("SELECT value FROM meta WHERE name = 'erasure'").get()?.value === 'due';
}

export function setErasureDue(database: DatabaseSync, isDue: boolean): void {
  database.prepare("INSERT OR REPLACE INTO meta VALUES ('erasure', ?)").run(isDue ? 'due' : 'done');
}

/** Erases the records of doomed streams, in slices between which commits go on. */
export async function eraseDoomed(database: DatabaseSync): Promise<void> {
  for (;;) {
    const id = database.prepare('SELECT id FROM doomed LIMIT 1').get()?.id as number | undefined;
    if (id === undefined) return;
    const table = new StreamTable(database, id);
    while (transaction(database, () => table.eraseSlice())) await new Promise<void>((resolve) => setImmediate(resolve));
    transaction(database, () => {
      table.drop();
      database.prepare('DELETE FROM doomed WHERE id = ?').run(id);
    });
  }
}

/** Makes the small tables anew, so that no page keeps a stale copy of a deleted row. */
export function rebuildTables(database: DatabaseSync): void {
  for (const name of rebuiltTables) {
    transaction(database, () => {
      const own = database
        .prepare('SELECT type, sql FROM sqlite_schema WHERE tbl_name = ? AND sql IS NOT NULL')
        .all(name);
      const make = (type: string) => own.filter((row) => row.type === type).map((row) => String(row.sql));
      const indexes = database.prepare(
        "SELECT name FROM sqlite_schema WHERE tbl_name = ? AND type = 'index' AND sql IS NOT NULL",
      );
      for (const index of indexes.all(name)) database.exec(`DROP INDEX ${index.name}`);
      database.exec(`ALTER TABLE ${name} RENAME TO stale_${name}`);
      for (const sql of make('table')) database.exec(sql);
      database.exec(`INSERT INTO ${name} SELECT * FROM stale_${name}; DROP TABLE stale_${name}`);
      for (const sql of make('index')) database.exec(sql);
    });
  }
}
