import type { StreamState } from '@openclaw/protocol';

/**
 * One record of a stream's log: the encoded event frame, as it is sent. With `from` it stands for all of `from..offset`.
 * `keep` marks what outlives retention (S16): a transcript message, or another fact (terminal, tool result, approval).
 */
export interface EventRecord {
  offset: number;
  from?: number;
  keep?: 'message' | 'fact';
  /** UTF-8 JSON of the frame, without any WebSocket framing. */
  bytes: Uint8Array;
}

/** Where a stream stands. `low` is the offset from which everything is present (S16). */
export interface StreamHead {
  stream: string;
  epoch: string;
  head: number;
  low: number;
}

/** A row of the ledger (S18). Its identity is `(principal, method, key)`. */
export interface LedgerRow {
  principal: string;
  method: string;
  key: string;
  /** Hash of the identifying params. */
  paramsHash: string;
  /** JSON of `{payload}` or `{error}` once it is done; absent while it runs. */
  answer?: string;
  /** The run that it caused, if any. */
  runId?: string;
  createdAt: number;
  endedAt?: number;
}

/** A small document beside the streams: a paired device, a hashed token, an index entry. */
export interface StoredDocument {
  kind: string;
  id: string;
  /** JSON; null deletes. */
  value: string | null;
}

/** Bytes that an event refers to, kept by their SHA-256 for as long as a stream that names them exists. */
export interface StoredMedia {
  id: string;
  stream: string;
  mimeType: string;
  fileName?: string;
  /** Absent: they are those of a finished upload, or of a medium that is stored already. */
  bytes?: Uint8Array;
}

/** A file on its way into the store, which never holds more of it in memory than a piece. Calls are made one after another. */
export interface StoreUpload {
  /** Resolves when the bytes are taken; they may be used anew then. */
  write(bytes: Uint8Array): Promise<void>;
  /** The file is whole and on the disk: media of a commit may name it from now on. */
  finish(): Promise<{ id: string; sizeBytes: number }>;
  /** Bytes of a finished upload, from `at` on; they are the caller's. */
  read(at: number, maxBytes: number): Promise<Uint8Array>;
  /** Lets go of it, finished or not. What a commit named stays; all else is gone from the disk. May be called again. */
  discard(): Promise<void>;
}

/** Everything that one tick changed; applied whole or not at all (S13). */
export interface CommitBatch {
  /** In the order of appending; a new stream or epoch appears with its first append. */
  appends: { stream: string; epoch: string; records: EventRecord[] }[];
  ledger: LedgerRow[];
  documents: StoredDocument[];
  media: StoredMedia[];
  /** Streams to erase with their media; applied before `appends` (a key can be deleted and re-made in one tick). */
  deletes: string[];
  /** True when the batch must be on the disk (fsync) before it resolves (S14). */
  durable: boolean;
}

/** What a store holds at open, all that the gateway keeps in memory. */
export interface StoreContents {
  heads: StreamHead[];
  ledger: LedgerRow[];
  documents: { kind: string; id: string; value: string }[];
  /**
   * False when the store can't prove that nothing was lost since the last commit that someone may have seen (S15); the
   * store has then already given every stream a new epoch.
   */
  isContinuous: boolean;
}

/** The state at `offset`, and the records after it: what a stream's state is rebuilt from. */
export interface StoredState {
  offset: number;
  /** Absent: the state before the first event. */
  state?: StreamState;
  records: EventRecord[];
}

export interface ReadOptions {
  /** Records whose `offset` is greater. */
  after: number;
  maxCount: number;
  /** At least one record is returned even if it alone is larger. */
  maxBytes: number;
}

/**
 * The port of the durable log, owned by this package. One gateway is its only user and calls `commit` one at a time, in
 * order. Implementations pass `storeConformance` of `@openclaw/server/testing`.
 *
 * Reads see committed data only. Every promise rejects with an `Error` that says what happened; after a rejected `commit`
 * the store is as it was before it, or every later call rejects too.
 */
export interface EventStore {
  /** Opens the store. Rejects when it can't be used: in use by another process, newer than this code, unreadable. */
  open(): Promise<StoreContents>;
  commit(batch: CommitBatch): Promise<void>;
  /** Records of a stream, oldest first; empty for an unknown one. */
  read(stream: string, options: ReadOptions): Promise<EventRecord[]>;
  /** Records with `keep: 'message'` whose offset is less than `before`, the newest `maxCount` of them, oldest first. */
  readMessages(stream: string, options: { before: number; maxCount: number; maxBytes: number }): Promise<EventRecord[]>;
  readState(stream: string): Promise<StoredState>;
  /** A page of a medium, whose bytes are the caller's; undefined when it is unknown. */
  readMedia(
    id: string,
    at: number,
    maxBytes: number,
  ): Promise<{ mimeType: string; fileName?: string; sizeBytes: number; bytes: Uint8Array } | undefined>;
  /**
   * Begins a file that comes in pieces. What no commit has named when it is discarded, or when the store is closed or its
   * process ends, is gone. A batch with a medium that has neither bytes nor an upload nor is known is refused.
   */
  openUpload(): Promise<StoreUpload>;
  /**
   * Keeps states so that a start need not replay from the first event. Each is the state after all events up to `offset`,
   * which is committed. A store may use the call to fold its journal; commits go on meanwhile.
   */
  checkpoint(states: { stream: string; offset: number; state: StreamState }[]): Promise<void>;
  /** Replaces the records that lie within `from..to` by `records`, which stand for the same offsets (S16). */
  rewrite(stream: string, from: number, to: number, records: EventRecord[]): Promise<void>;
  /**
   * Sets `low` and drops records below it, except those with `keep`. With `isErasing` these go too, and the next `scrub`
   * leaves nothing of them, nor of states kept earlier, in any file; a state from `low - 1` on is kept already.
   */
  trim(stream: string, low: number, options?: { isErasing?: boolean }): Promise<void>;
  /** Gives a stream a new epoch; numbering goes on (S2, S15). */
  renewEpoch(stream: string, epoch: string): Promise<void>;
  /** Forgets ledger rows that ended before `endedBefore`, `receiveEndedBefore` for `channel.receive` (S18). */
  pruneLedger(endedBefore: number, receiveEndedBefore: number): Promise<void>;
  /** Resolves when nothing of deleted streams is left in any file (S29). */
  scrub(): Promise<void>;
  /** Finishes what was called, marks a clean stop, and lets go of the files. */
  close(): Promise<void>;
}
