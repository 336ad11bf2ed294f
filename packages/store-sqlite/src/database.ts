import { chmodSync, closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { GatewayError } from '@openclaw/protocol/wire';

/** The name of the database in the state directory. */
export const databaseFile = 'gateway.sqlite';

/** `OCWS`: tells a store of this package from any other SQLite file. */
const applicationId = 0x4f435753;

/**
 * The steps from each schema version to the next: the first makes version 1 of an empty file. Steps are only ever added.
 * A stream's records and state live in a table of their own, `r<id>`: dropping it zeroes every page that ever held them.
 */
export const migrations: readonly string[] = [
  `CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
   CREATE TABLE journal (number INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, body BLOB NOT NULL);
   CREATE TABLE streams (
     id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL, since INTEGER NOT NULL,
     head INTEGER NOT NULL, low INTEGER NOT NULL
   );
   CREATE TABLE doomed (id INTEGER PRIMARY KEY);
   CREATE TABLE messages (stream_id INTEGER, offset INTEGER, PRIMARY KEY (stream_id, offset)) WITHOUT ROWID;
   CREATE TABLE ledger (
     principal TEXT, method TEXT, key TEXT, params_hash TEXT NOT NULL, answer TEXT, run_id TEXT,
     created_at INTEGER NOT NULL, ended_at INTEGER, PRIMARY KEY (principal, method, key)
   ) WITHOUT ROWID;
   CREATE TABLE documents (kind TEXT, id TEXT, value TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
   CREATE TABLE media (id TEXT PRIMARY KEY, mime_type TEXT NOT NULL, file_name TEXT, size_bytes INTEGER NOT NULL) WITHOUT ROWID;
   CREATE TABLE media_streams (stream TEXT, id TEXT, PRIMARY KEY (stream, id)) WITHOUT ROWID;
   CREATE INDEX media_streams_by_id ON media_streams (id);`,
];

/**
 * Opens the database of a state directory for this process alone, and brings its schema up to date. Throws `SQLITE_BUSY` as
 * it is when another process has it, else a {@link GatewayError} that says what to do.
 */
export function openDatabase(directory: string, { maxPageCount }: { maxPageCount?: number } = {}): DatabaseSync {
  const path = join(directory, databaseFile);
  makePrivate(path);
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    // EXCLUSIVE before anything is read: the WAL index then lives in memory, and the lock dies with the process.
    database.exec(`
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = NORMAL;
      PRAGMA wal_autocheckpoint = 0;
      PRAGMA secure_delete = ON;
      PRAGMA temp_store = MEMORY;
    `);
    if (maxPageCount !== undefined) database.exec(`PRAGMA max_page_count = ${Math.trunc(maxPageCount)}`);
    migrate(database, path, migrations);
    return database;
  } catch (error) {
    database.close();
    throw isBusy(error) ? error : unreadable(path, error);
  }
}

/** Runs the steps that `database` has not seen yet, all or none. Refuses a file that is newer, or of someone else. */
export function migrate(database: DatabaseSync, path: string, steps: readonly string[]): void {
  const version = pragma(database, 'user_version');
  const owner = pragma(database, 'application_id');
  const isEmpty = database.prepare('SELECT count(*) AS count FROM sqlite_schema').get()?.count === 0;
  if (owner !== applicationId && !(isEmpty && owner === 0)) {
    throw new GatewayError(
      'INTERNAL',
      `${path} is an SQLite file, but not a store of this gateway. Choose another state directory, or move the file away.`,
      { details: { reason: 'store_unreadable' } },
    );
  }
  if (version > steps.length) {
    throw new GatewayError(
      'UNSUPPORTED',
      `${path} has schema version ${version}, and this gateway supports up to ${steps.length}. Start the newer gateway that wrote it, or choose another state directory.`,
      { details: { reason: 'store_newer', found: version, supported: steps.length } },
    );
  }
  if (version === steps.length) return;
  transaction(database, () => {
    for (const step of steps.slice(version)) database.exec(step);
    database.exec(`PRAGMA user_version = ${steps.length}; PRAGMA application_id = ${applicationId}`);
  });
}

/** Runs `change` in one transaction; what it throws takes all back. */
export function transaction<T>(database: DatabaseSync, change: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = change();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    try {
      database.exec('ROLLBACK');
    } catch {
      // SQLite has taken the transaction back by itself, as it does when the disk is full.
    }
    throw error;
  }
}

/** True for SQLite's word that another connection has the file. */
export function isBusy(error: unknown): boolean {
  return ((error as { errcode?: number } | undefined)?.errcode ?? 0) % 256 === 5;
}

/** The refusal of a file that SQLite can't work with; a {@link GatewayError} stays as it is. */
export function unreadable(path: string, error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new GatewayError(
    'INTERNAL',
    `${path} can't be read (${reason}). Restore it from a backup, or move it away to start with an empty store.`,
    { details: { reason: 'store_unreadable' }, cause: error },
  );
}

function pragma(database: DatabaseSync, name: string): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0);
}

function makePrivate(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw unreadable(path, error);
    // By path: opening and closing the file would drop the locks that this process may hold on it.
    chmodSync(path, 0o600);
  }
}
