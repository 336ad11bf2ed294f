import { Worker } from 'node:worker_threads';
import { GatewayError } from '@openclaw/protocol/wire';
import type {
  CommitBatch,
  EventRecord,
  EventStore,
  ReadOptions,
  StoreContents,
  StoredMedia,
  StoredState,
  StoreUpload,
} from '@openclaw/server';
import { encodeBody } from './commit-body.ts';
import { currentBootId } from './continuity.ts';
import { SqliteUpload } from './sqlite-upload.ts';
import { defaultLimits, type UpkeepLimits } from './upkeep.ts';
import {
  packRecords,
  unpackRecords,
  type WorkerAnswer,
  type WorkerCall,
  type WorkerCalls,
  type WorkerSettings,
} from './worker-messages.ts';

/** How {@link sqliteStore} is set up. */
export interface SqliteStoreOptions {
  /** The state directory; made with mode 0700 when it is missing. One gateway at a time. */
  directory: string;
  /** When the store tidies up; what is absent keeps its default. */
  limits?: Partial<UpkeepLimits>;
  /** Pages of 4 KiB that the database may have. Commits beyond it are refused as if the disk were full. Default: no limit. */
  maxPageCount?: number;
  /** What tells this boot of the machine from others. Default: Linux' boot id, elsewhere the time of the boot. */
  bootId?: string;
}

/**
 * The durable {@link EventStore}: SQLite (`node:sqlite`) in a worker thread of its own, so that the caller's loop never waits
 * for a disk. Commits that are called without waiting take effect, and are answered, in the order of the calls; a durable
 * one is answered when it is on the disk, and durable ones that wait share one sync.
 *
 * `open` rejects with `UNAVAILABLE` when another gateway has the directory (`details.pid`), `UNSUPPORTED` when the store is
 * newer than this code (`details.found`, `details.supported`), and `INTERNAL` when it can't be read. A refused commit leaves
 * the store as it was: `UNAVAILABLE`, retryable unless the disk itself failed. A closed store may be opened again.
 */
export function sqliteStore(options: SqliteStoreOptions): EventStore {
  return new SqliteStore(options);
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: GatewayError): void;
}

class SqliteStore implements EventStore {
  #options: SqliteStoreOptions;
  #worker: Worker | undefined;
  #pending = new Map<number, Pending>();
  #lastId = 0;
  #uploadCount = 0;
  #exited: Promise<void> = Promise.resolve();

  constructor(options: SqliteStoreOptions) {
    this.#options = options;
  }

  async open(): Promise<StoreContents> {
    if (this.#worker) throw new GatewayError('INVALID_REQUEST', 'The store is open already; open it once.');
    const { directory, limits, maxPageCount, bootId = currentBootId() } = this.#options;
    const settings: WorkerSettings = {
      directory,
      bootId,
      limits: { ...defaultLimits, ...limits },
      ...(maxPageCount === undefined ? {} : { maxPageCount }),
    };
    const isSource = import.meta.url.endsWith('.ts');
    const worker = new Worker(new URL(isSource ? './worker.ts' : './worker.js', import.meta.url), {
      workerData: settings,
      execArgv: isSource ? ['--conditions=@openclaw/source'] : [],
      // Bytes lie outside the heap here: what V8 would set aside for young objects is memory that is never needed.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    this.#worker = worker;
    const opened = new Promise<StoreContents>((resolve, reject) => {
      this.#pending.set(0, { resolve: resolve as (result: unknown) => void, reject });
    });
    this.#exited = new Promise((resolve) => {
      worker.on('message', (answer: WorkerAnswer) => this.#settle(answer));
      worker.on('error', (error) => this.#end(worker, error));
      worker.on('exit', () => {
        this.#end(worker);
        resolve();
      });
    });
    try {
      return await opened;
    } catch (error) {
      await this.#exited;
      throw error;
    }
  }

  async commit(batch: CommitBatch): Promise<void> {
    const body = encodeBody(batch);
    // Copies: the caller's bytes go to its readers too, and often lie in a buffer that other bytes share.
    const buffers = [body.buffer];
    const media = batch.media.map(({ bytes, ...medium }): StoredMedia => {
      if (!bytes) return medium;
      const copy = new Uint8Array(bytes);
      buffers.push(copy.buffer);
      return { ...medium, bytes: copy };
    });
    await this.#call('commit', [{ body, media, durable: batch.durable }], buffers);
  }

  async read(stream: string, options: ReadOptions): Promise<EventRecord[]> {
    return unpackRecords(await this.#call('read', [stream, options]));
  }

  async readMessages(
    stream: string,
    options: { before: number; maxCount: number; maxBytes: number },
  ): Promise<EventRecord[]> {
    return unpackRecords(await this.#call('readMessages', [stream, options]));
  }

  async readState(stream: string): Promise<StoredState> {
    const { offset, json, records } = await this.#call('readState', [stream]);
    const state = json === undefined ? {} : { state: JSON.parse(json) as NonNullable<StoredState['state']> };
    return { offset, ...state, records: unpackRecords(records) };
  }

  async readMedia(id: string, at: number, maxBytes: number): ReturnType<EventStore['readMedia']> {
    return this.#call('readMedia', [id, at, maxBytes]);
  }

  async openUpload(): Promise<StoreUpload> {
    // Counted here, so that one of an earlier opening never means one of this.
    const upload = ++this.#uploadCount;
    await this.#call('openUpload', [upload]);
    return new SqliteUpload(upload, (call, args, transfer) => this.#call(call, args, transfer));
  }

  async checkpoint(states: Parameters<EventStore['checkpoint']>[0]): Promise<void> {
    const packed = states.map(({ stream, offset, state }) => ({ stream, offset, json: JSON.stringify(state) }));
    await this.#call('checkpoint', [packed]);
  }

  async rewrite(stream: string, from: number, to: number, records: EventRecord[]): Promise<void> {
    const packed = packRecords(records);
    await this.#call('rewrite', [stream, from, to, packed], [packed.bytes.buffer]);
  }

  async trim(stream: string, low: number, options: { isErasing?: boolean } = {}): Promise<void> {
    await this.#call('trim', [stream, low, options]);
  }

  async renewEpoch(stream: string, epoch: string): Promise<void> {
    await this.#call('renewEpoch', [stream, epoch]);
  }

  async pruneLedger(endedBefore: number, receiveEndedBefore: number): Promise<void> {
    await this.#call('pruneLedger', [endedBefore, receiveEndedBefore]);
  }

  async scrub(): Promise<void> {
    await this.#call('scrub', []);
  }

  async close(): Promise<void> {
    const closing = this.#worker ? this.#call('close', []) : undefined;
    this.#worker = undefined;
    try {
      await closing;
    } finally {
      await this.#exited;
    }
  }

  #call<C extends WorkerCall>(
    call: C,
    args: Parameters<WorkerCalls[C]>,
    transfer: ArrayBuffer[] = [],
  ): Promise<Awaited<ReturnType<WorkerCalls[C]>>> {
    const worker = this.#worker;
    if (!worker) return Promise.reject(new GatewayError('CLOSED', 'The store is not open; open it before it is used.'));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as (result: unknown) => void, reject });
      worker.postMessage({ id, call, args }, transfer);
    });
  }

  #settle(answer: WorkerAnswer): void {
    const pending = this.#pending.get(answer.id);
    this.#pending.delete(answer.id);
    if ('error' in answer) pending?.reject(GatewayError.fromWire(answer.error));
    else pending?.resolve('opened' in answer ? answer.opened : answer.result);
  }

  #end(worker: Worker, error?: unknown): void {
    if (this.#worker === worker) this.#worker = undefined;
    const reason = error instanceof Error ? ` (${error.message})` : '';
    const refusal = new GatewayError(
      'UNAVAILABLE',
      `The thread of the store ended${reason}; start the gateway again.`,
      {
        cause: error,
      },
    );
    for (const { reject } of this.#pending.values()) reject(refusal);
    this.#pending.clear();
  }
}
