import { GatewayError } from '@openclaw/protocol/wire';
import type { StreamHead } from '@openclaw/server';
import { type CommitHeader, type PlacedRecord, placedRecords } from './commit-body.ts';

/** A record that lies in the journal. */
export interface JournalRecord extends PlacedRecord {
  /** The journal row. */
  number: number;
}

/** A stream as memory knows it. */
export interface LiveStream {
  name: string;
  epoch: string;
  head: number;
  low: number;
  /** Names its table `r<id>`; undefined until it is first folded. */
  id: number | undefined;
  /** The commit that made it. Journal rows before it speak of an earlier stream of the same name. */
  since: number;
  /** Its records that are not folded, oldest first. All older ones are in its table. */
  journal: JournalRecord[];
}

/** Which streams there are and what of them lies in the journal. Holds no bytes. */
export class StreamIndex {
  readonly streams = new Map<string, LiveStream>();
  /** Streams whose tables lack something that the journal has. */
  readonly unfolded = new Set<LiveStream>();
  /** The last commit. */
  lastNumber = 0;

  heads(): StreamHead[] {
    return [...this.streams.values()].map(({ name, epoch, head, low }) => ({ stream: name, epoch, head, low }));
  }

  isLive(stream: LiveStream): boolean {
    return this.streams.get(stream.name) === stream;
  }

  /** Throws when an append of the commit does not go on where its stream stands. */
  assertFollows({ appends, deletes }: CommitHeader): void {
    const heads = new Map<string, number>(deletes.map((stream) => [stream, 0]));
    for (const { stream, first, records } of appends) {
      const head = heads.get(stream) ?? this.streams.get(stream)?.head ?? 0;
      if (records.length > 0 && first !== head + 1) {
        throw new GatewayError(
          'INTERNAL',
          `${stream} stands at ${head}; a record from ${first} does not follow it. Nothing of the batch was applied.`,
        );
      }
      const count = records.reduce<number>((sum, packed) => sum + (typeof packed === 'number' ? 1 : packed[1]), 0);
      heads.set(stream, head + count);
    }
  }

  /** Takes in the commit that is journal row `number`; at open also one that is folded in part. */
  add(number: number, header: CommitHeader, framesAt: number): void {
    this.lastNumber = number;
    for (const name of header.deletes) {
      const stream = this.streams.get(name);
      if (!stream || stream.since >= number) continue;
      this.streams.delete(name);
      this.unfolded.delete(stream);
    }
    for (const [{ stream: name, epoch, first }, records] of placedRecords(header, framesAt)) {
      let stream = this.streams.get(name);
      if (stream && number < stream.since) continue;
      if (!stream) {
        // Above 1 only where a journal was cut before the row that deleted the stream: its beginning is gone already.
        const low = Math.max(1, first);
        stream = { name, epoch, head: low - 1, low, id: undefined, since: number, journal: [] };
        this.streams.set(name, stream);
      }
      stream.epoch = epoch;
      this.unfolded.add(stream);
      for (const record of records) {
        if (record.offset <= stream.head) continue;
        stream.journal.push({ ...record, number });
        stream.head = record.offset;
      }
    }
  }
}

/** Index of the first record with an offset greater than `after`. */
export function firstAfter(records: JournalRecord[], after: number): number {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((records[middle] as JournalRecord).offset > after) high = middle;
    else low = middle + 1;
  }
  return low;
}
