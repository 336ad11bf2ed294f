import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { EventRecord } from '@openclaw/server';
import { keepCode, keepOf } from './commit-body.ts';

interface Row {
  offset: number;
  span: number;
  keep: number;
  bytes: Uint8Array;
}

/** Where a stream's checkpointed state lies among its records. */
const stateRow = -1;
const sliceRows = 500;
const messageCode = keepCode('message');

/** The folded records of one stream, and its state. A B-tree of its own, so that erasing it leaves nothing behind. */
export class StreamTable {
  readonly id: number;
  #database: DatabaseSync;
  #insert: StatementSync | undefined;

  constructor(database: DatabaseSync, id: number) {
    this.#database = database;
    this.id = id;
  }

  static create(database: DatabaseSync, id: number): StreamTable {
    database.exec(`CREATE TABLE r${id} (offset INTEGER PRIMARY KEY, span INTEGER, keep INTEGER, bytes BLOB)`);
    return new StreamTable(database, id);
  }

  /** An id that no stream has or had whose records are not erased yet. */
  static nextId(database: DatabaseSync): number {
    const sql =
      'SELECT max(coalesce((SELECT max(id) FROM streams), 0), coalesce((SELECT max(id) FROM doomed), 0)) + 1 AS id';
    return database.prepare(sql).get()?.id as number;
  }

  /** Copies the state, and the records from `low` on, into an empty table. */
  copyTo({ id }: StreamTable, low: number): void {
    this.#database
      .prepare(`INSERT INTO r${id} SELECT * FROM r${this.id} WHERE offset >= ? OR offset = ?`)
      .run(low, stateRow);
    this.#database
      .prepare('UPDATE messages SET stream_id = ? WHERE stream_id = ? AND offset >= ?')
      .run(id, this.id, low);
  }

  insert(offset: number, span: number, keep: number, bytes: Uint8Array): void {
    this.#insert ??= this.#database.prepare(`INSERT INTO r${this.id} (offset, span, keep, bytes) VALUES (?, ?, ?, ?)`);
    this.#insert.run(offset, span, keep, bytes);
    if (keep === messageCode) {
      this.#database.prepare('INSERT INTO messages (stream_id, offset) VALUES (?, ?)').run(this.id, offset);
    }
  }

  /** Records after an offset, oldest first, read as they are taken. */
  *after(offset: number): Generator<EventRecord> {
    const sql = `SELECT offset, span, keep, bytes FROM r${this.id} WHERE offset > ? ORDER BY offset`;
    const rows = this.#database.prepare(sql).iterate(Math.max(0, offset)) as Iterable<unknown>;
    for (const row of rows) yield toRecord(row as Row);
  }

  /** Messages before an offset, newest first, read as they are taken. */
  *messagesBefore(offset: number): Generator<EventRecord> {
    const sql = `SELECT r.offset, span, keep, bytes FROM messages AS m CROSS JOIN r${this.id} AS r ON r.offset = m.offset
      WHERE m.stream_id = ? AND m.offset < ? ORDER BY m.offset DESC`;
    const rows = this.#database.prepare(sql).iterate(this.id, offset) as Iterable<unknown>;
    for (const row of rows) yield toRecord(row as Row);
  }

  /** True when records begin at `from` and end at `to`, and all between is there. */
  covers(from: number, to: number): boolean {
    const sql = `SELECT offset, span FROM r${this.id} WHERE offset >= ? ORDER BY offset`;
    let next = from;
    for (const row of this.#database.prepare(sql).iterate(Math.max(1, from)) as Iterable<unknown>) {
      const { offset, span } = row as Row;
      if (offset - span + 1 !== next || offset > to) return false;
      next = offset + 1;
      if (offset === to) return true;
    }
    return false;
  }

  replace(from: number, to: number, records: EventRecord[]): void {
    this.#database.prepare(`DELETE FROM r${this.id} WHERE offset BETWEEN ? AND ?`).run(from, to);
    this.#database
      .prepare('DELETE FROM messages WHERE stream_id = ? AND offset BETWEEN ? AND ?')
      .run(this.id, from, to);
    for (const { offset, from: first = offset, keep, bytes } of records) {
      this.insert(offset, offset - first + 1, keepCode(keep), bytes);
    }
  }

  state(): { offset: number; json: string } | undefined {
    const row = this.#database.prepare(`SELECT span, bytes FROM r${this.id} WHERE offset = ?`).get(stateRow);
    if (!row) return undefined;
    const { span, bytes } = row as unknown as Row;
    return { offset: span, json: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString() };
  }

  /** Keeps a state unless a newer one is kept. */
  setState(offset: number, json: string): void {
    const sql = `INSERT INTO r${this.id} (offset, span, keep, bytes) VALUES (?, ?, 0, ?)
      ON CONFLICT (offset) DO UPDATE SET span = excluded.span, bytes = excluded.bytes WHERE excluded.span >= span`;
    this.#database.prepare(sql).run(stateRow, offset, Buffer.from(json));
  }

  /** Drops some records below `low` that are not kept; false when none is left. */
  trimSlice(low: number): boolean {
    const doomed = `SELECT offset FROM r${this.id} WHERE offset > 0 AND offset < ? AND keep = 0 ORDER BY offset LIMIT ${sliceRows}`;
    const { changes } = this.#database.prepare(`DELETE FROM r${this.id} WHERE offset IN (${doomed})`).run(low);
    return Number(changes) === sliceRows;
  }

  /** Drops some records; false when none is left. */
  eraseSlice(): boolean {
    const doomed = `SELECT offset FROM r${this.id} ORDER BY offset LIMIT ${sliceRows}`;
    const { changes } = this.#database.prepare(`DELETE FROM r${this.id} WHERE offset IN (${doomed})`).run();
    return Number(changes) === sliceRows;
  }

  drop(): void {
    this.#database.exec(`DROP TABLE r${this.id}`);
    this.#database.prepare('DELETE FROM messages WHERE stream_id = ?').run(this.id);
  }
}

function toRecord({ offset, span, keep, bytes }: Row): EventRecord {
  return makeRecord(offset, span, keep, bytes);
}

/** A record of the port from what the disk holds. */
export function makeRecord(offset: number, span: number, keep: number, bytes: Uint8Array): EventRecord {
  const mark = keepOf(keep);
  return {
    offset,
    ...(span === 1 ? {} : { from: offset - span + 1 }),
    ...(mark === undefined ? {} : { keep: mark }),
    bytes,
  };
}
