import { createHash } from 'node:crypto';
import { GatewayError, type StreamState } from '@openclaw/protocol';
import type {
  CommitBatch,
  EventRecord,
  EventStore,
  LedgerRow,
  ReadOptions,
  StoreContents,
  StoredMedia,
  StoredState,
  StoreUpload,
} from './event-store.ts';

/**
 * An {@link EventStore} that lives as long as the returned object and keeps nothing on a disk: for tests, and for a gateway
 * that may forget. `durable` makes no difference to it. It may be opened again after `close`, with all that was committed.
 * Record bytes are kept, not copied: they must not be changed after they were committed.
 */
export function memoryStore(): EventStore {
  return new MemoryStore();
}

interface Log {
  epoch: string;
  head: number;
  low: number;
  records: EventRecord[];
  state?: { offset: number; state: StreamState };
}

interface Medium extends Omit<StoredMedia, 'stream' | 'bytes'> {
  bytes: Uint8Array;
  streams: Set<string>;
}

class MemoryStore implements EventStore {
  #logs = new Map<string, Log>();
  #ledger = new Map<string, LedgerRow>();
  #documents = new Map<string, { kind: string; id: string; value: string }>();
  #media = new Map<string, Medium>();
  #uploads = new Set<MemoryUpload>();
  #isOpen = false;

  async open(): Promise<StoreContents> {
    if (this.#isOpen) throw new GatewayError('INVALID_REQUEST', 'The store is open already; open it once.');
    this.#isOpen = true;
    return {
      heads: [...this.#logs].map(([stream, { epoch, head, low }]) => ({ stream, epoch, head, low })),
      ledger: [...this.#ledger.values()],
      documents: [...this.#documents.values()],
      isContinuous: true,
    };
  }

  async commit(batch: CommitBatch): Promise<void> {
    this.#assertOpen();
    this.#assertApplicable(batch);
    // Before anything is deleted: a medium may be named again by the batch that deletes its last stream.
    const named = batch.media.map((medium) => ({ ...medium, bytes: medium.bytes ?? this.#bytesOf(medium.id) }));
    for (const stream of batch.deletes) this.#erase(stream);
    for (const { stream, epoch, records } of batch.appends) {
      const log = this.#logs.get(stream) ?? { epoch, head: 0, low: 1, records: [] };
      log.epoch = epoch;
      for (const record of records) {
        log.records.push(record);
        log.head = record.offset;
      }
      this.#logs.set(stream, log);
    }
    for (const row of batch.ledger) this.#ledger.set(JSON.stringify([row.principal, row.method, row.key]), row);
    for (const { kind, id, value } of batch.documents) {
      const name = JSON.stringify([kind, id]);
      if (value === null) this.#documents.delete(name);
      else this.#documents.set(name, { kind, id, value });
    }
    for (const { stream, bytes = new Uint8Array(), ...medium } of named) {
      const known = this.#media.get(medium.id);
      if (known) known.streams.add(stream);
      else this.#media.set(medium.id, { ...medium, bytes, streams: new Set([stream]) });
    }
  }

  async read(stream: string, { after, maxCount, maxBytes }: ReadOptions): Promise<EventRecord[]> {
    this.#assertOpen();
    const records = this.#logs.get(stream)?.records ?? [];
    const page: EventRecord[] = [];
    let pageBytes = 0;
    for (let index = firstAfter(records, after); index < records.length && page.length < maxCount; index++) {
      const record = records[index] as EventRecord;
      pageBytes += record.bytes.length;
      if (page.length > 0 && pageBytes > maxBytes) break;
      page.push(record);
    }
    return page;
  }

  async readMessages(
    stream: string,
    { before, maxCount, maxBytes }: { before: number; maxCount: number; maxBytes: number },
  ): Promise<EventRecord[]> {
    this.#assertOpen();
    const records = this.#logs.get(stream)?.records ?? [];
    const page: EventRecord[] = [];
    let pageBytes = 0;
    for (let index = firstAfter(records, before - 1) - 1; index >= 0 && page.length < maxCount; index--) {
      const record = records[index] as EventRecord;
      if (record.keep !== 'message') continue;
      pageBytes += record.bytes.length;
      if (page.length > 0 && pageBytes > maxBytes) break;
      page.push(record);
    }
    return page.reverse();
  }

  async readState(stream: string): Promise<StoredState> {
    this.#assertOpen();
    const log = this.#logs.get(stream);
    if (!log) return { offset: 0, records: [] };
    const offset = log.state?.offset ?? 0;
    return { ...(log.state ?? { offset }), records: log.records.slice(firstAfter(log.records, offset)) };
  }

  async readMedia(id: string, at: number, maxBytes: number): ReturnType<EventStore['readMedia']> {
    this.#assertOpen();
    const medium = this.#media.get(id);
    if (!medium) return undefined;
    const { mimeType, fileName, bytes } = medium;
    return {
      mimeType,
      ...(fileName === undefined ? {} : { fileName }),
      sizeBytes: bytes.length,
      bytes: new Uint8Array(bytes.subarray(at, at + maxBytes)),
    };
  }

  async openUpload(): Promise<StoreUpload> {
    this.#assertOpen();
    const upload = new MemoryUpload(() => this.#uploads.delete(upload));
    this.#uploads.add(upload);
    return upload;
  }

  async checkpoint(states: { stream: string; offset: number; state: StreamState }[]): Promise<void> {
    this.#assertOpen();
    for (const { stream, offset, state } of states) {
      const log = this.#logs.get(stream);
      if (log && offset <= log.head && offset >= (log.state?.offset ?? 0)) log.state = { offset, state };
    }
  }

  async rewrite(stream: string, from: number, to: number, records: EventRecord[]): Promise<void> {
    this.#assertOpen();
    const log = this.#logs.get(stream);
    const first = firstAfter(log?.records ?? [], from - 1);
    const end = firstAfter(log?.records ?? [], to);
    const replaced = log?.records.slice(first, end) ?? [];
    const isWhole = covers(replaced, from, to) && covers(records, from, to);
    if (!log || !isWhole) {
      throw new GatewayError(
        'INTERNAL',
        `Offsets ${from}..${to} of ${stream} can't be rewritten: both the records there and the new ones must stand for exactly these offsets.`,
      );
    }
    log.records.splice(first, end - first, ...records);
  }

  async trim(stream: string, low: number, { isErasing = false }: { isErasing?: boolean } = {}): Promise<void> {
    this.#assertOpen();
    const log = this.#logs.get(stream);
    if (!log || low < log.low || (low === log.low && !isErasing)) return;
    log.low = Math.min(low, log.head + 1);
    log.records = log.records.filter((record) => record.offset >= log.low || (record.keep !== undefined && !isErasing));
  }

  async renewEpoch(stream: string, epoch: string): Promise<void> {
    this.#assertOpen();
    const log = this.#logs.get(stream);
    if (log) log.epoch = epoch;
  }

  async pruneLedger(endedBefore: number, receiveEndedBefore: number): Promise<void> {
    this.#assertOpen();
    for (const [name, { method, endedAt }] of this.#ledger) {
      const limit = method === 'channel.receive' ? receiveEndedBefore : endedBefore;
      if (endedAt !== undefined && endedAt < limit) this.#ledger.delete(name);
    }
  }

  async scrub(): Promise<void> {
    this.#assertOpen();
  }

  async close(): Promise<void> {
    for (const upload of this.#uploads) await upload.discard();
    this.#isOpen = false;
  }

  #bytesOf(id: string): Uint8Array | undefined {
    return this.#media.get(id)?.bytes ?? [...this.#uploads].find((upload) => upload.id === id)?.bytes;
  }

  #erase(stream: string): void {
    this.#logs.delete(stream);
    for (const [id, medium] of this.#media) {
      if (medium.streams.delete(stream) && medium.streams.size === 0) this.#media.delete(id);
    }
  }

  /** Throws before anything is changed, so that a refused batch leaves the store as it was. */
  #assertApplicable({ appends, deletes, media }: CommitBatch): void {
    const heads = new Map<string, number>(deletes.map((stream) => [stream, 0]));
    for (const { stream, records } of appends) {
      let head = heads.get(stream) ?? this.#logs.get(stream)?.head ?? 0;
      for (const { offset, from = offset } of records) {
        if (from !== head + 1 || offset < from) {
          throw new GatewayError(
            'INTERNAL',
            `${stream} stands at ${head}; a record ${from}..${offset} does not follow it. Nothing of the batch was applied.`,
          );
        }
        head = offset;
      }
      heads.set(stream, head);
    }
    for (const { id, bytes } of media) {
      if (bytes === undefined && this.#bytesOf(id)) continue;
      if (bytes === undefined) {
        throw new GatewayError('INTERNAL', `No bytes are known of the medium ${id}. Nothing of the batch was applied.`);
      }
      if (createHash('sha256').update(bytes).digest('hex') !== id) {
        throw new GatewayError(
          'INTERNAL',
          `The medium ${id} is not named by its SHA-256. Nothing of the batch was applied.`,
        );
      }
    }
  }

  #assertOpen(): void {
    if (!this.#isOpen) throw new GatewayError('CLOSED', 'The store is not open; open it before it is used.');
  }
}

class MemoryUpload implements StoreUpload {
  /** Set when it is finished. */
  id: string | undefined;
  bytes = new Uint8Array();
  readonly #pieces: Uint8Array[] = [];
  readonly #forget: () => void;
  #isGone = false;

  constructor(forget: () => void) {
    this.#forget = forget;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#assertThere(this.id === undefined);
    this.#pieces.push(new Uint8Array(bytes));
  }

  async finish(): Promise<{ id: string; sizeBytes: number }> {
    this.#assertThere(this.id === undefined);
    this.bytes = new Uint8Array(Buffer.concat(this.#pieces.splice(0)));
    this.id = createHash('sha256').update(this.bytes).digest('hex');
    return { id: this.id, sizeBytes: this.bytes.length };
  }

  async read(at: number, maxBytes: number): Promise<Uint8Array> {
    this.#assertThere(this.id !== undefined);
    return new Uint8Array(this.bytes.subarray(at, at + maxBytes));
  }

  async discard(): Promise<void> {
    this.#isGone = true;
    this.#pieces.length = 0;
    this.#forget();
  }

  #assertThere(isInOrder: boolean): void {
    if (this.#isGone)
      throw new GatewayError('CLOSED', 'The upload was discarded, or the store was closed; begin anew.');
    if (!isInOrder) throw new GatewayError('INTERNAL', 'An upload is written, then finished, then read.');
  }
}

/** Index of the first record with an offset greater than `after`. */
function firstAfter(records: EventRecord[], after: number): number {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((records[middle] as EventRecord).offset > after) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** True when `records` stand for `from..to`, without a gap and for nothing else. */
function covers(records: EventRecord[], from: number, to: number): boolean {
  let next = from;
  for (const record of records) {
    if ((record.from ?? record.offset) !== next || record.offset < next) return false;
    next = record.offset + 1;
  }
  return records.length > 0 && next === to + 1;
}
