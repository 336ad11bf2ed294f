import { crc32 } from 'node:zlib';
import { GatewayError } from '@openclaw/protocol/wire';
import type { CommitBatch, EventRecord, LedgerRow, StoredDocument } from '@openclaw/server';

/** How a record of a journal row is described: its bytes, or `[bytes, offsets it stands for, keep code]`. */
export type PackedRecord = number | [length: number, span: number, keep: number];

/** The appends to one stream in one commit; the records follow one another from the offset `first`. */
export interface PackedAppend {
  stream: string;
  epoch: string;
  first: number;
  records: PackedRecord[];
}

/** What a journal row says beside the frames. */
export interface CommitHeader {
  appends: PackedAppend[];
  ledger: LedgerRow[];
  documents: StoredDocument[];
  deletes: string[];
}

const keepCodes = [undefined, 'message', 'fact'] as const;

/** The number that stands for a record's `keep` on the disk. */
export function keepCode(keep: EventRecord['keep']): number {
  return keep === undefined ? 0 : keepCodes.indexOf(keep);
}

/** The `keep` that a number stands for. */
export function keepOf(code: number): EventRecord['keep'] {
  return keepCodes[code];
}

/**
 * One commit as the body of one journal row: 4 bytes header length, header as JSON, then the bytes of all frames. The
 * result has a buffer of its own, so that it can be transferred. Throws when the records of an append are not contiguous.
 */
export function encodeBody(batch: Pick<CommitBatch, keyof CommitHeader>): Uint8Array<ArrayBuffer> {
  const { ledger, documents, deletes } = batch;
  const appends = batch.appends.map(packAppend);
  const header = Buffer.from(JSON.stringify({ appends, ledger, documents, deletes } satisfies CommitHeader));
  let length = 4 + header.length;
  for (const { records } of batch.appends) for (const { bytes } of records) length += bytes.length;
  const body = new Uint8Array(new ArrayBuffer(length));
  new DataView(body.buffer).setUint32(0, header.length);
  body.set(header, 4);
  let at = 4 + header.length;
  for (const { records } of batch.appends) {
    for (const { bytes } of records) {
      body.set(bytes, at);
      at += bytes.length;
    }
  }
  return body;
}

function packAppend({ stream, epoch, records }: CommitBatch['appends'][number]): PackedAppend {
  const first = records[0] ? (records[0].from ?? records[0].offset) : 0;
  let next = first;
  const packed = records.map(({ offset, from = offset, keep, bytes }): PackedRecord => {
    if (from !== next || offset < from) {
      throw new GatewayError(
        'INTERNAL',
        `A record ${from}..${offset} of ${stream} does not follow ${next - 1}. Nothing of the batch was applied.`,
      );
    }
    next = offset + 1;
    const span = offset - from + 1;
    return span === 1 && keep === undefined ? bytes.length : [bytes.length, span, keepCode(keep)];
  });
  return { stream, epoch, first, records: packed };
}

/** The header of a body, and where its frames begin. */
export function decodeBody(body: Uint8Array): { header: CommitHeader; framesAt: number } {
  const length = new DataView(body.buffer, body.byteOffset, body.byteLength).getUint32(0);
  const text = Buffer.from(body.buffer, body.byteOffset + 4, length).toString();
  return { header: JSON.parse(text) as CommitHeader, framesAt: 4 + length };
}

/** Where a record of a journal row lies. */
export interface PlacedRecord {
  offset: number;
  span: number;
  keep: number;
  /** Position of its bytes in the body. */
  at: number;
  length: number;
}

/** The records of each append of a body, in order, with the places of their bytes. */
export function* placedRecords(header: CommitHeader, framesAt: number): Generator<[PackedAppend, PlacedRecord[]]> {
  let at = framesAt;
  for (const append of header.appends) {
    let next = append.first;
    const placed = append.records.map((packed): PlacedRecord => {
      const [length, span, keep] = typeof packed === 'number' ? ([packed, 1, 0] as const) : packed;
      const record = { offset: next + span - 1, span, keep, at, length };
      next += span;
      at += length;
      return record;
    });
    yield [append, placed];
  }
}

/** The checksum of journal row `number`; it covers the number, so that rows can't be swapped. */
export function bodyChecksum(body: Uint8Array, number: number): number {
  return crc32(body, number >>> 0);
}
