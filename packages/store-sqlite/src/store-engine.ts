import { GatewayError, isGatewayError } from '@openclaw/protocol/wire';
import type { EventRecord, ReadOptions, StoreContents, StoredMedia } from '@openclaw/server';
import { decodeBody, encodeBody, keepCode } from './commit-body.ts';
import { sealDatabase } from './continuity.ts';
import { transaction } from './database.ts';
import { doomRecords, doomStream, isErasureDue } from './erasure.ts';
import { unknownMedium } from './media-files.ts';
import { isKnownMedium, type OpenStore, openStore, type StoreSettings } from './open-store.ts';
import { OpenUploads } from './open-uploads.ts';
import { firstAfter, type JournalRecord, type LiveStream } from './stream-index.ts';
import { makeRecord, StreamTable } from './stream-table.ts';
import { Upkeep, type UpkeepLimits } from './upkeep.ts';

/** A commit as it reaches the engine: the journal row's body, and the media that it names. */
export interface PackedCommit {
  body: Uint8Array;
  media: StoredMedia[];
  durable: boolean;
}

/** A state as JSON. */
export interface PackedState {
  stream: string;
  offset: number;
  json: string;
}

// What bounds the time of a start after a kill, however fast commits come.
// A round of folding ends before its rows go, and up to then commits add some: it begins before the 4,000 of S13.
const maxJournalRows = 3_500;
const maxJournalBytes = 4 * 1024 * 1024;
const messageCode = keepCode('message');

/**
 * The store itself, synchronous SQLite and all. Runs in a worker so that nothing else waits for a disk. Calls take effect in
 * the order in which they are made; commits are answered in that order too.
 */
export class StoreEngine {
  #store: OpenStore;
  #upkeep: Upkeep;
  #directory: string;
  #calls = new Set<Promise<unknown>>();
  /** Commits that wait for their media, and those behind them. */
  #queuedCount = 0;
  #queue: Promise<void> = Promise.resolve();
  #answers: Promise<unknown> = Promise.resolve();
  #uploads: OpenUploads;
  #failure: GatewayError | undefined;

  static async open(
    settings: StoreSettings & { limits: UpkeepLimits },
  ): Promise<{ engine: StoreEngine; contents: StoreContents }> {
    const { store, contents } = await openStore(settings);
    return { engine: new StoreEngine(store, settings), contents };
  }

  private constructor(store: OpenStore, { clock, limits, directory }: StoreSettings & { limits: UpkeepLimits }) {
    this.#store = store;
    this.#directory = directory;
    this.#uploads = new OpenUploads(store.media);
    this.#upkeep = new Upkeep(store, clock, limits);
  }

  /** Journal rows that are not folded. */
  get journalRows(): number {
    return this.#store.journal.rowCount;
  }

  commit(commit: PackedCommit): Promise<void> {
    const stored = this.#storeCommit(commit);
    stored.catch(() => undefined);
    const answer = this.#answers.then(() => stored);
    this.#answers = answer.catch(() => undefined);
    return this.#track(answer);
  }

  read(name: string, { after, maxCount, maxBytes }: ReadOptions): EventRecord[] {
    const stream = this.#store.index.streams.get(name);
    return stream ? page(this.#recordsAfter(stream, after), maxCount, maxBytes) : [];
  }

  readMessages(
    name: string,
    { before, maxCount, maxBytes }: { before: number; maxCount: number; maxBytes: number },
  ): EventRecord[] {
    const stream = this.#store.index.streams.get(name);
    return stream ? page(this.#messagesBefore(stream, before), maxCount, maxBytes).reverse() : [];
  }

  readState(name: string): { offset: number; json?: string; records: EventRecord[] } {
    const stream = this.#store.index.streams.get(name);
    if (!stream) return { offset: 0, records: [] };
    const state = this.#table(stream)?.state();
    return { ...(state ?? { offset: 0 }), records: [...this.#recordsAfter(stream, state?.offset ?? 0)] };
  }

  readMedia(id: string, at: number, maxBytes: number) {
    return this.#track(this.#readMedia(id, at, maxBytes));
  }

  openUpload(number: number): Promise<void> {
    return this.#file(() => this.#uploads.open(number));
  }

  writeUpload(number: number, bytes: Uint8Array): Promise<void> {
    return this.#file(() => this.#uploads.get(number).write(bytes));
  }

  finishUpload(number: number): Promise<{ id: string; sizeBytes: number }> {
    return this.#file(() => this.#uploads.get(number).finish());
  }

  readUpload(number: number, at: number, maxBytes: number): Promise<Uint8Array> {
    return this.#file(() => this.#uploads.read(number, at, maxBytes));
  }

  discardUpload(number: number): Promise<void> {
    return this.#file(() => this.#uploads.discard(number));
  }

  checkpoint(states: PackedState[]): Promise<void> {
    const { index, database } = this.#store;
    const live = states.flatMap(({ stream: name, offset, json }) => {
      const stream = index.streams.get(name);
      return stream && offset <= stream.head ? [{ stream, offset, json }] : [];
    });
    return this.#afterFold(async () => {
      for (const { stream, offset, json } of live) {
        if (!index.isLive(stream)) continue;
        transaction(database, () => this.#table(stream)?.setState(offset, json));
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    });
  }

  rewrite(name: string, from: number, to: number, records: EventRecord[]): Promise<void> {
    const { index, database } = this.#store;
    const stream = index.streams.get(name);
    return this.#afterFold(() => {
      const table = stream && index.isLive(stream) ? this.#table(stream) : undefined;
      if (!table?.covers(from, to) || !isStretch(records, from, to)) {
        throw new GatewayError(
          'INTERNAL',
          `Offsets ${from}..${to} of ${name} can't be rewritten: both the records there and the new ones must stand for exactly these offsets.`,
        );
      }
      transaction(database, () => table.replace(from, to, records));
    });
  }

  trim(name: string, wantedLow: number, { isErasing = false }: { isErasing?: boolean } = {}): Promise<void> {
    const { index, database } = this.#store;
    const stream = index.streams.get(name);
    // Erasing also takes what retention kept below the same bound.
    const isDone = (low: number, known: number) => low < known || (low === known && !isErasing);
    if (!stream || isDone(wantedLow, stream.low)) return Promise.resolve();
    const low = Math.min(wantedLow, stream.head + 1);
    return this.#afterFold(async () => {
      const table = !index.isLive(stream) ? undefined : this.#table(stream);
      if (!table || isDone(low, stream.low)) return;
      if (isErasing) {
        stream.id = transaction(database, () => doomRecords(database, table, low));
        stream.low = low;
        return;
      }
      // The bound first: what is below it may be there or not.
      database.prepare('UPDATE streams SET low = ? WHERE id = ?').run(low, table.id);
      stream.low = low;
      while (index.isLive(stream) && transaction(database, () => table.trimSlice(low))) {
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    });
  }

  renewEpoch(name: string, epoch: string): Promise<void> {
    if (!this.#store.index.streams.has(name)) return Promise.resolve();
    const appends = [{ stream: name, epoch, records: [] }];
    const body = encodeBody({ appends, ledger: [], documents: [], deletes: [] });
    return this.commit({ body, media: [], durable: true });
  }

  pruneLedger(endedBefore: number, receiveEndedBefore: number): Promise<void> {
    const sql = "DELETE FROM ledger WHERE ended_at < CASE method WHEN 'channel.receive' THEN ? ELSE ? END";
    return this.#afterFold(() => {
      this.#store.database.prepare(sql).run(receiveEndedBefore, endedBefore);
    });
  }

  scrub(): Promise<void> {
    return this.#track(this.#upkeep.erase());
  }

  async close(): Promise<void> {
    const { database, journal, witness, walSync, unlock } = this.#store;
    await Promise.allSettled(this.#calls);
    await this.#upkeep.stop();
    try {
      await this.#uploads.close();
      await journal.fold();
      if (isErasureDue(database)) await this.#upkeep.erase();
      if (!this.#failure) {
        witness.sync();
        database.exec("INSERT OR REPLACE INTO meta VALUES ('use', 'closed'); PRAGMA wal_checkpoint(TRUNCATE)");
      }
    } finally {
      witness.close();
      await walSync.close();
      database.close();
      if (!this.#failure) sealDatabase(this.#directory);
      unlock();
    }
  }

  async #storeCommit({ body, media, durable }: PackedCommit): Promise<void> {
    if (media.length === 0 && this.#queuedCount === 0) this.#apply(body, [], []);
    else await this.#applyInTurn(body, media);
    if (!durable) return;
    try {
      await this.#store.walSync.sync();
    } catch (error) {
      // After a failed sync the system may have dropped what it could not write: nothing later can be vouched for.
      throw this.#fail(error);
    }
  }

  /** Media are on the disk before the commit that names them; later commits wait for it, so that the order stays. */
  #applyInTurn(body: Uint8Array, media: StoredMedia[]): Promise<void> {
    this.#queuedCount++;
    const written = this.#store.media.write(media);
    written.catch(() => undefined);
    const turn = this.#queue.then(async () => {
      let files: Awaited<typeof written> | undefined;
      try {
        files = await written;
        for (const { id, bytes } of media) if (!bytes) this.#assertThere(id);
        this.#apply(body, media, files.sizes);
      } catch (error) {
        await files?.discard();
        throw error;
      } finally {
        this.#queuedCount--;
        files?.release();
      }
    });
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  /** A file that lies there may be one that is to be erased. */
  #assertThere(id: string): void {
    if (!this.#uploads.has(id) && !isKnownMedium(this.#store.database, id)) throw unknownMedium(id);
  }

  /** Works on a file of an upload; what the disk refuses is told in words. */
  #file<T>(task: () => Promise<T>): Promise<T> {
    return this.#track(
      (async () => {
        try {
          return await task();
        } catch (error) {
          throw this.#refusal(error);
        }
      })(),
    );
  }

  #apply(body: Uint8Array, media: StoredMedia[], sizes: number[]): void {
    if (this.#failure) throw this.#failure;
    const { database, index, journal, witness } = this.#store;
    const { header, framesAt } = decodeBody(body);
    index.assertFollows(header);
    const number = index.lastNumber + 1;
    const hasDeletes = header.deletes.length > 0;
    try {
      if (journal.rowCount >= maxJournalRows || journal.sizeBytes >= maxJournalBytes) journal.foldSlice();
      if (!hasDeletes && media.length === 0) journal.insert(number, body);
      else {
        transaction(database, () => {
          journal.insert(number, body);
          for (const name of header.deletes) doomStream(database, name);
          for (const [index, medium] of media.entries()) this.#nameMedium(medium, sizes[index] ?? 0);
        });
      }
    } catch (error) {
      throw this.#refusal(error);
    }
    index.add(number, header, framesAt);
    journal.keep(number, body);
    try {
      witness.write(number);
    } catch (error) {
      throw this.#fail(error);
    }
    this.#upkeep.noteCommit({ hasDeletes });
  }

  #nameMedium({ id, stream, mimeType, fileName }: StoredMedia, sizeBytes: number): void {
    const { database } = this.#store;
    database
      .prepare('INSERT INTO media VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING')
      .run(id, mimeType, fileName ?? null, sizeBytes);
    database.prepare('INSERT INTO media_streams VALUES (?, ?) ON CONFLICT DO NOTHING').run(stream, id);
  }

  async #readMedia(id: string, at: number, maxBytes: number) {
    const row = this.#store.database.prepare('SELECT mime_type, file_name, size_bytes FROM media WHERE id = ?').get(id);
    if (!row) return undefined;
    const sizeBytes = Number(row.size_bytes);
    const bytes = await this.#store.media.read(id, at, Math.max(0, Math.min(maxBytes, sizeBytes - at)));
    if (!bytes) return undefined;
    const fileName = row.file_name === null ? {} : { fileName: String(row.file_name) };
    return { mimeType: String(row.mime_type), ...fileName, sizeBytes, bytes };
  }

  /** Runs `task` when all that was committed before the call is folded. */
  #afterFold(task: () => void | Promise<void>): Promise<void> {
    const number = this.#store.index.lastNumber;
    return this.#track(
      this.#queue
        .then(() => this.#store.journal.fold(number))
        .then(task)
        .catch((error) => {
          throw this.#refusal(error);
        }),
    );
  }

  *#recordsAfter(stream: LiveStream, after: number): Generator<EventRecord> {
    const table = this.#table(stream);
    if (table) yield* table.after(after);
    yield* this.#fromJournal(stream.journal.slice(firstAfter(stream.journal, after)));
  }

  *#messagesBefore(stream: LiveStream, before: number): Generator<EventRecord> {
    const earlier = stream.journal.slice(0, firstAfter(stream.journal, before - 1));
    yield* this.#fromJournal(earlier.filter(({ keep }) => keep === messageCode).reverse());
    yield* this.#table(stream)?.messagesBefore(before) ?? [];
  }

  *#fromJournal(records: JournalRecord[]): Generator<EventRecord> {
    for (const record of records) {
      yield makeRecord(record.offset, record.span, record.keep, this.#store.journal.bytes(record));
    }
  }

  #table({ id }: LiveStream): StreamTable | undefined {
    return id === undefined ? undefined : new StreamTable(this.#store.database, id);
  }

  #refusal(error: unknown): GatewayError {
    if (isGatewayError(error)) return error;
    const reason = error instanceof Error ? error.message : String(error);
    return new GatewayError(
      'UNAVAILABLE',
      `Nothing was stored in ${this.#directory} (${reason}). Make sure that its disk works and has room, then try again.`,
      { retryable: true, retryAfterMs: 1_000, cause: error },
    );
  }

  #fail(error: unknown): GatewayError {
    const reason = error instanceof Error ? error.message : String(error);
    this.#failure ??= new GatewayError(
      'UNAVAILABLE',
      `The disk under ${this.#directory} failed (${reason}); nothing more is stored. Repair it and start the gateway again.`,
      { details: { reason: 'store_failed' }, cause: error },
    );
    return this.#failure;
  }

  #track<T>(call: Promise<T>): Promise<T> {
    this.#calls.add(call);
    const forget = () => this.#calls.delete(call);
    call.then(forget, forget);
    return call;
  }
}

function page(records: Iterable<EventRecord>, maxCount: number, maxBytes: number): EventRecord[] {
  const taken: EventRecord[] = [];
  let takenBytes = 0;
  if (maxCount <= 0) return taken;
  for (const record of records) {
    takenBytes += record.bytes.length;
    if (taken.length > 0 && takenBytes > maxBytes) break;
    taken.push(record);
    if (taken.length >= maxCount) break;
  }
  return taken;
}

function isStretch(records: EventRecord[], from: number, to: number): boolean {
  let next = from;
  for (const { offset, from: first = offset } of records) {
    if (first !== next || offset < first) return false;
    next = offset + 1;
  }
  return records.length > 0 && next === to + 1;
}
