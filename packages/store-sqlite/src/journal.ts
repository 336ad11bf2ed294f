import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Clock } from '@openclaw/protocol/wire';
import type { LedgerRow, StoredDocument } from '@openclaw/server';
import { bodyChecksum, type CommitHeader, decodeBody } from './commit-body.ts';
import { transaction } from './database.ts';
import type { JournalRecord, LiveStream, StreamIndex } from './stream-index.ts';
import { StreamTable } from './stream-table.ts';

const recordsPerStep = 256;
const rowBytesPerStep = 128 * 1024;

/**
 * Every commit is one row here, until it is folded. Folding goes stream by stream, so that each page of a stream's table is
 * written once for all that the journal has of it; then the rows go, oldest first. Both in slices between which commits go
 * on. A kill at any point leaves rows whose records are in the tables already: the heads in the tables tell which.
 */
export class Journal {
  #database: DatabaseSync;
  #index: StreamIndex;
  #clock: Clock;
  #sliceMs: number;
  #insert: StatementSync;
  #bodies = new Map<number, Uint8Array>();
  #bytes = 0;
  #folded: number;
  /** The round of folding in progress. */
  #round: { streams: LiveStream[]; number: number } | undefined;
  #folding: Promise<void> | undefined;

  constructor(
    database: DatabaseSync,
    index: StreamIndex,
    { clock, sliceMs, folded }: { clock: Clock; sliceMs: number; folded: number },
  ) {
    this.#database = database;
    this.#index = index;
    this.#clock = clock;
    this.#sliceMs = sliceMs;
    this.#folded = folded;
    this.#insert = database.prepare('INSERT INTO journal (number, checksum, body) VALUES (?, ?, ?)');
  }

  /** Rows that are not folded away. */
  get rowCount(): number {
    return this.#bodies.size;
  }

  /** Bytes of those rows. */
  get sizeBytes(): number {
    return this.#bytes;
  }

  /** Writes a row; the caller's transaction, if there is one, commits it. {@link Journal.keep} must follow. */
  insert(number: number, body: Uint8Array): void {
    this.#insert.run(number, bodyChecksum(body, number), body);
  }

  /** Keeps the body of a committed row at hand, for reads and for folding. */
  keep(number: number, body: Uint8Array): void {
    this.#bodies.set(number, body);
    this.#bytes += body.length;
  }

  /** The bytes of a record that is not folded. */
  bytes({ number, at, length }: JournalRecord): Uint8Array {
    return (this.#bodies.get(number) as Uint8Array).subarray(at, at + length);
  }

  /**
   * Reads all rows into the index and hands their headers to `visit`. A row that is missing or does not fit its checksum
   * ends it; then true is returned, and {@link Journal.cut} must follow.
   */
  load(visit: (header: CommitHeader) => void): boolean {
    for (const row of this.#database.prepare('SELECT number, checksum, body FROM journal ORDER BY number').iterate()) {
      const { number, checksum, body } = row as { number: number; checksum: number; body: Uint8Array };
      if (number !== this.#index.lastNumber + 1 || bodyChecksum(body, number) !== checksum) return true;
      const { header, framesAt } = decodeBody(body);
      this.#index.add(number, header, framesAt);
      this.keep(number, body);
      visit(header);
    }
    return false;
  }

  /** Deletes the rows that could not be loaded. */
  cut(): void {
    this.#database.prepare('DELETE FROM journal WHERE number > ?').run(this.#index.lastNumber);
  }

  /** Resolves when every row up to `number` is folded away. Commits go on between the slices. */
  async fold(number = this.#index.lastNumber): Promise<void> {
    while (this.#folded < number) {
      this.#folding ??= this.#foldRound().finally(() => {
        this.#folding = undefined;
      });
      await this.#folding;
    }
  }

  /** Goes on folding for as long as a slice may take; at least one step. */
  foldSlice(): void {
    const endAt = this.#clock.elapsed() + this.#sliceMs;
    this.#round ??= { streams: [...this.#index.unfolded], number: this.#index.lastNumber };
    const { streams, number } = this.#round;
    const moves = new Map<LiveStream, Move>();
    let doneCount = 0;
    let folded = this.#folded;
    transaction(this.#database, () => {
      do {
        const stream = streams[doneCount];
        if (stream) {
          if (!this.#index.isLive(stream) || this.#moveRecords(stream, moves)) doneCount++;
        } else if (folded < number) {
          folded = this.#foldRows(folded + 1, number);
        } else break;
      } while (this.#clock.elapsed() < endAt);
    });
    // Memory follows what is committed.
    for (const [stream, { table, count }] of moves) {
      stream.id = table.id;
      stream.journal.splice(0, count);
      if (stream.journal.length === 0) this.#index.unfolded.delete(stream);
    }
    streams.splice(0, doneCount);
    while (this.#folded < folded) this.#forget(++this.#folded);
    if (streams.length === 0 && folded === number) this.#round = undefined;
  }

  async #foldRound(): Promise<void> {
    do {
      this.foldSlice();
      await new Promise<void>((resolve) => setImmediate(resolve));
    } while (this.#round);
  }

  /** Copies some records of a stream into its table; true when it has them all. */
  #moveRecords(stream: LiveStream, moves: Map<LiveStream, Move>): boolean {
    let move = moves.get(stream);
    if (!move) {
      const table = stream.id === undefined ? this.#createTable(stream) : new StreamTable(this.#database, stream.id);
      move = { table, count: 0 };
      moves.set(stream, move);
    }
    const { table } = move;
    const records = stream.journal.slice(move.count, move.count + recordsPerStep);
    for (const record of records) table.insert(record.offset, record.span, record.keep, this.bytes(record));
    this.#database
      .prepare('UPDATE streams SET epoch = ?, head = coalesce(?, head) WHERE id = ?')
      .run(stream.epoch, records.at(-1)?.offset ?? null, table.id);
    move.count += records.length;
    return move.count === stream.journal.length;
  }

  /** Moves what some rows say beside their frames, and deletes them; the number of the last of them. */
  #foldRows(first: number, end: number): number {
    let last = first - 1;
    for (let bytes = 0; last < end && bytes < rowBytesPerStep; ) {
      const body = this.#bodies.get(++last) as Uint8Array;
      // What is deleted is zeroed, page by page: a row costs by its size, and a little by itself.
      bytes += body.length + 1_024;
      const { header } = decodeBody(body);
      for (const row of header.ledger) putLedgerRow(this.#database, row);
      for (const document of header.documents) putDocument(this.#database, document);
    }
    this.#database.prepare('DELETE FROM journal WHERE number <= ?').run(last);
    this.#database.prepare("INSERT OR REPLACE INTO meta VALUES ('folded', ?)").run(String(last));
    return last;
  }

  #forget(number: number): void {
    this.#bytes -= this.#bodies.get(number)?.length ?? 0;
    this.#bodies.delete(number);
  }

  #createTable({ name, epoch, since, low, head, journal: [first] }: LiveStream): StreamTable {
    const id = StreamTable.nextId(this.#database);
    this.#database
      .prepare('INSERT INTO streams (id, name, epoch, since, head, low) VALUES (?, ?, ?, ?, ?, ?)')
      .run(id, name, epoch, since, first ? first.offset - first.span : head, low);
    return StreamTable.create(this.#database, id);
  }
}

/** What a slice copies of one stream. */
interface Move {
  table: StreamTable;
  count: number;
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
