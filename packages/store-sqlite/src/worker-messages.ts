import { GatewayError, type WireError } from '@openclaw/protocol/wire';
import type { EventRecord, ReadOptions, StoreContents } from '@openclaw/server';
import { keepCode } from './commit-body.ts';
import type { PackedCommit, PackedState } from './store-engine.ts';
import { makeRecord } from './stream-table.ts';
import type { UpkeepLimits } from './upkeep.ts';

/** What the worker is started with. */
export interface WorkerSettings {
  directory: string;
  bootId: string;
  limits: UpkeepLimits;
  maxPageCount?: number;
}

/** Records with their bytes in one buffer, which is transferred. */
export interface PackedRecords {
  places: { offset: number; span: number; keep: number; length: number }[];
  bytes: Uint8Array<ArrayBuffer>;
}

/** What the worker can be asked, and what it answers. */
export interface WorkerCalls {
  commit(commit: PackedCommit): void;
  read(stream: string, options: ReadOptions): PackedRecords;
  readMessages(stream: string, options: { before: number; maxCount: number; maxBytes: number }): PackedRecords;
  readState(stream: string): { offset: number; json?: string; records: PackedRecords };
  readMedia(
    id: string,
    at: number,
    maxBytes: number,
  ): { mimeType: string; fileName?: string; sizeBytes: number; bytes: Uint8Array } | undefined;
  openUpload(upload: number): void;
  /** The buffer comes back, to be used for the next piece. */
  writeUpload(upload: number, bytes: Uint8Array<ArrayBuffer>, length: number): { bytes: Uint8Array<ArrayBuffer> };
  finishUpload(upload: number): { id: string; sizeBytes: number };
  readUpload(upload: number, at: number, maxBytes: number): { bytes: Uint8Array };
  discardUpload(upload: number): void;
  checkpoint(states: PackedState[]): void;
  rewrite(stream: string, from: number, to: number, records: PackedRecords): void;
  trim(stream: string, low: number, options?: { isErasing?: boolean }): void;
  renewEpoch(stream: string, epoch: string): void;
  pruneLedger(endedBefore: number, receiveEndedBefore: number): void;
  scrub(): void;
  close(): void;
}

export type WorkerCall = keyof WorkerCalls;

/** To the worker. */
export interface WorkerRequest {
  id: number;
  call: WorkerCall;
  args: unknown[];
}

/** From the worker: first `opened` or its refusal with id 0, then one answer to each request. */
export type WorkerAnswer =
  | { id: number; opened: StoreContents }
  | { id: number; result: unknown }
  | { id: number; error: WireError };

export function packRecords(records: EventRecord[]): PackedRecords {
  const length = records.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const bytes = new Uint8Array(new ArrayBuffer(length));
  let at = 0;
  const places = records.map((record) => {
    const { offset, from = offset, keep } = record;
    bytes.set(record.bytes, at);
    at += record.bytes.length;
    return { offset, span: offset - from + 1, keep: keepCode(keep), length: record.bytes.length };
  });
  return { places, bytes };
}

export function unpackRecords({ places, bytes }: PackedRecords): EventRecord[] {
  let at = 0;
  return places.map(({ offset, span, keep, length }) => {
    const record = makeRecord(offset, span, keep, bytes.subarray(at, at + length));
    at += length;
    return record;
  });
}

/** An error as it crosses to the other thread. */
export function packError(error: unknown): WireError {
  if (error instanceof GatewayError) return error.toWire();
  return { code: 'INTERNAL', message: `The store failed: ${error instanceof Error ? error.message : String(error)}` };
}
