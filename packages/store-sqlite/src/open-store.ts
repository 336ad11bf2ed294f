import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { type Clock, randomId } from '@openclaw/protocol/wire';
import type { LedgerRow, StoreContents, StoredDocument } from '@openclaw/server';
import { encodeBody } from './commit-body.ts';
import { isContinuous, isSealed, Witness } from './continuity.ts';
import { databaseFile, isBusy, openDatabase, transaction, unreadable } from './database.ts';
import { assertUnlocked, inUse, isLocked, writeLock } from './directory-lock.ts';
import { Journal } from './journal.ts';
import { MediaFiles, syncDirectory } from './media-files.ts';
import { SharedSync } from './shared-sync.ts';
import { type LiveStream, StreamIndex } from './stream-index.ts';

/** What the engine of a store is made with. */
export interface StoreSettings {
  directory: string;
  bootId: string;
  clock: Clock;
  /** How long folding may keep a commit waiting. */
  sliceMs: number;
  maxPageCount?: number;
}

const nameLooks = 20;
const nameLookMs = 50;

/** The open parts of a store. */
export interface OpenStore {
  database: DatabaseSync;
  index: StreamIndex;
  journal: Journal;
  witness: Witness;
  walSync: SharedSync;
  media: MediaFiles;
  /** True when the last user of the store closed it, or there was none. */
  wasClosed: boolean;
  unlock(): void;
}

/**
 * Takes hold of a state directory: locks it, brings the schema up to date, reads the journal, and judges whether anything
 * was lost. When that can't be ruled out, every stream gets a new epoch before anyone can read it (S15).
 */
export async function openStore(settings: StoreSettings): Promise<{ store: OpenStore; contents: StoreContents }> {
  const { directory } = settings;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  chmodSync(directory, 0o700);
  assertUnlocked(directory);
  const hasSeal = isSealed(directory);
  const database = await lockDatabase(settings);
  const unlock = writeLock(directory);
  try {
    return await readStore(settings, database, { hasSeal, unlock });
  } catch (error) {
    database.close();
    unlock();
    throw unreadable(join(directory, databaseFile), error);
  }
}

async function lockDatabase({ directory, maxPageCount, clock }: StoreSettings): Promise<DatabaseSync> {
  try {
    return openDatabase(directory, maxPageCount === undefined ? {} : { maxPageCount });
  } catch (error) {
    if (!isBusy(error)) throw error;
    // Whoever was quicker by a moment has yet to write its name.
    for (let looks = 0; looks < nameLooks && !isLocked(directory); looks++)
      await new Promise<void>((resolve) => clock.schedule(resolve, nameLookMs));
    throw inUse(directory);
  }
}

async function readStore(
  settings: StoreSettings,
  database: DatabaseSync,
  { hasSeal, unlock }: { hasSeal: boolean; unlock: () => void },
) {
  const { directory, bootId, clock, sliceMs } = settings;
  const meta = readMeta(database);
  const index = new StreamIndex();
  const folded = Number(meta.get('folded') ?? 0);
  index.lastNumber = folded;
  for (const row of database.prepare('SELECT id, name, epoch, since, head, low FROM streams').all()) {
    const stream = { ...(row as unknown as Omit<LiveStream, 'journal'>), journal: [] };
    index.streams.set(stream.name, stream);
  }
  const ledger = readLedger(database);
  const documents = readDocuments(database);
  const journal = new Journal(database, index, { clock, sliceMs, folded });
  const wasCut = journal.load((header) => {
    for (const row of header.ledger) ledger.set(ledgerName(row), row);
    for (const document of header.documents) setDocument(documents, document);
  });
  const wasClosed = !meta.has('boot') || meta.get('use') === 'closed';
  const isSound = isContinuous({
    lastNumber: index.lastNumber,
    witness: Witness.read(directory),
    wasClosed,
    isSealed: hasSeal,
    bootId,
    lastBootId: meta.get('boot'),
    wasCut,
  });
  // One transaction: were the boot marked first, a kill before the new epochs would hide the loss from the next open.
  transaction(database, () => {
    if (wasCut) journal.cut();
    if (!isSound) renewEpochs(index, journal);
    const mark = database.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)');
    mark.run('boot', bootId);
    mark.run('use', 'open');
  });
  const walSync = new SharedSync(join(directory, `${databaseFile}-wal`));
  const witness = new Witness(directory);
  witness.write(index.lastNumber);
  witness.sync();
  // A power loss must not bring back the mark of an earlier, clean stop.
  await walSync.sync();
  await syncDirectory(directory);
  const store: OpenStore = {
    database,
    index,
    journal,
    witness,
    walSync,
    media: new MediaFiles(directory, (id) => isKnownMedium(database, id)),
    wasClosed,
    unlock,
  };
  const contents: StoreContents = {
    heads: index.heads(),
    ledger: [...ledger.values()],
    documents: [...documents.values()],
    isContinuous: isSound,
  };
  return { store, contents };
}

/** Whether the database has a medium. */
export function isKnownMedium(database: DatabaseSync, id: string): boolean {
  return database.prepare('SELECT 1 FROM media WHERE id = ?').get(id) !== undefined;
}

function renewEpochs(index: StreamIndex, journal: Journal): void {
  if (index.streams.size === 0) return;
  const appends = [...index.streams.keys()].map((stream) => ({ stream, epoch: randomId(6), records: [] }));
  const body = encodeBody({ appends, ledger: [], documents: [], deletes: [] });
  const number = index.lastNumber + 1;
  journal.insert(number, body);
  const packed = appends.map(({ stream, epoch }) => ({ stream, epoch, first: 0, records: [] }));
  index.add(number, { appends: packed, ledger: [], documents: [], deletes: [] }, 0);
  journal.keep(number, body);
}

function readMeta(database: DatabaseSync): Map<string, string> {
  const rows = database.prepare('SELECT name, value FROM meta').all();
  return new Map(rows.map(({ name, value }) => [String(name), String(value)]));
}

function readLedger(database: DatabaseSync): Map<string, LedgerRow> {
  const rows = database
    .prepare('SELECT * FROM ledger')
    .all()
    .map((row): LedgerRow => {
      const { answer, run_id: runId, ended_at: endedAt } = row;
      return {
        principal: String(row.principal),
        method: String(row.method),
        key: String(row.key),
        paramsHash: String(row.params_hash),
        ...(answer === null ? {} : { answer: String(answer) }),
        ...(runId === null ? {} : { runId: String(runId) }),
        createdAt: Number(row.created_at),
        ...(endedAt === null ? {} : { endedAt: Number(endedAt) }),
      };
    });
  return new Map(rows.map((row) => [ledgerName(row), row]));
}

function ledgerName({ principal, method, key }: LedgerRow): string {
  return JSON.stringify([principal, method, key]);
}

type Documents = Map<string, { kind: string; id: string; value: string }>;

function readDocuments(database: DatabaseSync): Documents {
  const documents: Documents = new Map();
  for (const { kind, id, value } of database.prepare('SELECT kind, id, value FROM documents').all()) {
    setDocument(documents, { kind: String(kind), id: String(id), value: String(value) });
  }
  return documents;
}

function setDocument(documents: Documents, { kind, id, value }: StoredDocument): void {
  const name = JSON.stringify([kind, id]);
  if (value === null) documents.delete(name);
  else documents.set(name, { kind, id, value });
}
