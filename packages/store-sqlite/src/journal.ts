import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Clock } from '@openclaw/protocol/wire';
import type { LedgerRow, StoredDocument } from '@openclaw/server';
import { bodyChecksum, type CommitHeader, decodeBody, placedRecords } from './commit-body.ts';
import { transaction } from './database.ts';
import type { LiveStream, StreamIndex } from './stream-index.ts';
import { StreamTable } from './stream-table.ts';

/** Every commit is one row here, until it is folded into the tables of its streams in slices. */
export class Journal {
  #database: DatabaseSync;
  #index: StreamIndex;
  #clock: Clock;
  #sliceMs: number;
  #insert: StatementSync;
  #folding: Promise<void> | undefined;
  #foldTarget = 0;

  constructor(database: DatabaseSync, index: StreamIndex, { clock, sliceMs }: { clock: Clock; sliceMs: number }) {
    this.#database = database;
    this.#index = index;
    this.#clock = clock;
    this.#sliceMs = sliceMs;
    this.#insert = database.prepare('INSERT INTO journal (number, checksum, body) VALUES (?, ?, ?)');
  }

  /** Writes a row; the caller's transaction, if there is one, commits it. */
  insert(number: number, body: Uint8Array): void {
    this.#insert.run(number, bodyChecksum(body, number), body);
  }

  body(number: number): Uint8Array {
    return this.#database.prepare('SELECT body FROM journal WHERE number = ?').get(number)?.body as Uint8Array;
  }

  /**
   * Reads all rows into the index and hands their headers to `visit`. A row that is missing or does not fit its checksum
   * ends it; then true is returned, and {@link Journal.cut} must follow.
   */
  load(visit: (header: CommitHeader) => void): boolean {
    let isWhole = true;
    for (const row of this.#database.prepare('SELECT number, checksum, body FROM journal ORDER BY number').iterate()) {
      const { number, checksum, body } = row as { number: number; checksum: number; body: Uint8Array };
      isWhole = number === this.#index.lastNumber + 1 && bodyChecksum(body, number) === checksum;
      if (!isWhole) break;
      const { header, framesAt } = decodeBody(body);
      this.#index.add(number, header, framesAt, body.length);
      visit(header);
    }
    return !isWhole;
  }

  /** Deletes the rows that could not be loaded. */
  cut(): void {
    this.#database.prepare('DELETE FROM journal WHERE number > ?').run(this.#index.lastNumber);
  }

  /** Resolves when every row up to `number` is folded. Commits go on between the slices. */
  async fold(number = this.#index.lastNumber): Promise<void> {
    this.#foldTarget = Math.max(this.#foldTarget, number);
    while (this.#index.foldedNumber < number) {
      this.#folding ??= this.#foldSlices().finally(() => {
        this.#folding = undefined;
      });
      await this.#folding;
    }
  }

  async #foldSlices(): Promise<void> {
    while (this.#index.foldedNumber < this.#foldTarget) {
      this.foldSlice();
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  /** Folds the oldest rows, at least one, for as long as a slice may take. */
  foldSlice(): void {
    const endAt = this.#clock.elapsed() + this.#sliceMs;
    const next = this.#database.prepare('SELECT body FROM journal WHERE number = ?');
    const tables = new Map<LiveStream, StreamTable>();
    let number = this.#index.foldedNumber;
    let bodyBytes = 0;
    transaction(this.#database, () => {
      do {
        const body = next.get(number + 1)?.body as Uint8Array | undefined;
        if (!body) break;
        number++;
        bodyBytes += body.length;
        this.#foldRow(number, body, tables);
      } while (this.#clock.elapsed() < endAt);
      this.#database.prepare('DELETE FROM journal WHERE number <= ?').run(number);
      this.#database.prepare("INSERT OR REPLACE INTO meta VALUES ('folded', ?)").run(String(number));
    });
    for (const [stream, { id }] of tables) stream.id = id;
    this.#index.fold(number, tables.keys(), bodyBytes);
  }

  #foldRow(number: number, body: Uint8Array, tables: Map<LiveStream, StreamTable>): void {
    const { header, framesAt } = decodeBody(body);
    for (const [append, records] of placedRecords(header, framesAt)) {
      const stream = this.#index.streams.get(append.stream);
      // Deleted since, or a later stream of the same name: what this row says of it is not kept.
      if (!stream || number < stream.since) continue;
      let table = tables.get(stream);
      if (!table) {
        table =
          stream.id === undefined
            ? this.#createTable(stream, append.epoch)
            : new StreamTable(this.#database, stream.id);
        tables.set(stream, table);
      }
      for (const { offset, span, keep, at, length } of records) {
        table.insert(offset, span, keep, body.subarray(at, at + length));
      }
      const head = records.at(-1)?.offset ?? 0;
      this.#database
        .prepare('UPDATE streams SET epoch = ?, head = max(head, ?) WHERE id = ?')
        .run(append.epoch, head, table.id);
    }
    for (const row of header.ledger) putLedgerRow(this.#database, row);
    for (const document of header.documents) putDocument(this.#database, document);
  }

  #createTable({ name, low }: LiveStream, epoch: string): StreamTable {
    const sql =
      'SELECT max(coalesce((SELECT max(id) FROM streams), 0), coalesce((SELECT max(id) FROM doomed), 0)) + 1 AS id';
    const id = this.#database.prepare(sql).get()?.id as number;
    this.#database
      .prepare('INSERT INTO streams (id, name, epoch, head, low) VALUES (?, ?, ?, ?, ?)')
      .run(id, name, epoch, low - 1, low);
    return StreamTable.create(this.#database, id);
  }
}

function putLedgerRow(database: DatabaseSync, row: LedgerRow): void {
  database
    .prepare('INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
    .run(
      row.principal,
      row.method,
      row.key,
      row.paramsHash,
      row.answer ?? null,
      row.runId ?? null,
      row.createdAt,
      row.endedAt ?? null,
    );
}

function putDocument(database: DatabaseSync, { kind, id, value }: StoredDocument): void {
  if (value === null) database.prepare('DELETE FROM documents WHERE kind = ? AND id = ?').run(kind, id);
  else database.prepare('INSERT OR REPLACE INTO documents VALUES (?, ?, ?)').run(kind, id, value);
}
