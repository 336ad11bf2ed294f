import { createHash } from 'node:crypto';
import type { CommitBatch, EventRecord, EventStore, LedgerRow, StoredMedia } from './event-store.ts';

/** One promise of {@link EventStore}, as a check that any test runner can run. */
export interface StoreConformanceCase {
  /** A sentence about behaviour. */
  name: string;
  /** Rejects when the store breaks the promise. `makeStore` gives a new, empty, unopened store at each call. */
  run(makeStore: () => EventStore | Promise<EventStore>): Promise<void>;
}

/** As much of a stream as there is. */
export const all = { after: 0, maxCount: 10_000, maxBytes: 1e9 };

/** A case that is given a store which is open, and closes it also when it fails. */
export function opened(
  name: string,
  check: (store: EventStore, contents: Awaited<ReturnType<EventStore['open']>>) => Promise<void>,
): StoreConformanceCase {
  return {
    name,
    async run(makeStore) {
      const store = await makeStore();
      const contents = await store.open();
      try {
        await check(store, contents);
      } finally {
        await store.close();
      }
    },
  };
}

/** Closes a store and opens it again. */
export async function reopen(store: EventStore): ReturnType<EventStore['open']> {
  await store.close();
  return store.open();
}

/** A commit that changes nothing but `part`. */
export function batch(part: Partial<CommitBatch>): CommitBatch {
  return { appends: [], ledger: [], documents: [], media: [], deletes: [], durable: false, ...part };
}

/** A commit that appends the records `from..to`. */
export function append(stream: string, epoch: string, from: number, to: number): CommitBatch {
  const records = Array.from({ length: to - from + 1 }, (_, index) => record(from + index));
  return batch({ appends: [{ stream, epoch, records }] });
}

/** A record that holds its offset. */
export function record(offset: number, rest: Partial<EventRecord> = {}): EventRecord {
  return { offset, bytes: Buffer.from(`{"offset":${String(offset).padStart(6, ' ')}}`), ...rest };
}

/** A row that runs. */
export function ledgerRow(key: string): LedgerRow {
  return { principal: 'p1', method: 'chat.send', key, paramsHash: 'h', createdAt: 1 };
}

/** A medium that holds a text, with its bytes. */
export function medium(stream: string, text: string, rest: Partial<StoredMedia> = {}): StoredMedia {
  const bytes = Buffer.from(text);
  const id = createHash('sha256').update(bytes).digest('hex');
  return { id, stream, mimeType: 'image/png', bytes, ...rest };
}

/** Records as plain values: which kind of `Uint8Array` holds the bytes is the store's choice, absent fields are absent. */
export function plain(records: EventRecord[]): unknown[] {
  return records.map(({ bytes, ...rest }) => ({ ...rest, text: Buffer.from(bytes).toString() }));
}

/** Sorted by the name of the stream. */
export function byStream<T extends { stream: string }>(heads: T[]): T[] {
  return heads.sort((a, b) => (a.stream < b.stream ? -1 : 1));
}
