import { emptyState, reduce, type StreamState } from '@openclaw/protocol';
import type { CommitBatch, LedgerRow } from '@openclaw/server';

/** One committed event. */
export interface TrueEvent {
  event: string;
  payload: unknown;
}

/** One life of a stream, from its first event to its deletion. */
export class Life {
  readonly stream: string;
  readonly epochs = new Set<string>();
  /** `events[offset - 1]`. */
  readonly events: TrueEvent[] = [];
  isDeleted = false;
  #states: StreamState[];

  constructor(stream: string) {
    this.stream = stream;
    this.#states = [emptyState(stream)];
  }

  get head(): number {
    return this.events.length;
  }

  /** The state after the events up to `offset`: the full replay. */
  stateAt(offset: number): StreamState {
    for (let known = this.#states.length; known <= offset; known++) {
      this.#states.push(reduce(this.#states[known - 1] as StreamState, this.events[known - 1] as TrueEvent));
    }
    return this.#states[offset] as StreamState;
  }
}

/** What was committed, recorded at the store: the measure of everything that anyone is told. */
export class Truth {
  readonly lives: Life[] = [];
  readonly problems: string[] = [];
  readonly ledger = new Map<string, LedgerRow>();
  /** Streams that were deleted at least once, be it in the tick in which they were made. */
  readonly deleted = new Set<string>();
  readonly #current = new Map<string, Life>();

  /** The life that a stream has now. */
  current(stream: string): Life | undefined {
    return this.#current.get(stream);
  }

  /** The life of a stream that an epoch belongs to. */
  find(stream: string, epoch: string): Life | undefined {
    return this.lives.find((life) => life.stream === stream && life.epochs.has(epoch));
  }

  get streams(): string[] {
    return [...this.#current.keys()];
  }

  committed({ appends, deletes, ledger }: CommitBatch): void {
    for (const stream of deletes) {
      this.deleted.add(stream);
      const life = this.#current.get(stream);
      if (life) life.isDeleted = true;
      this.#current.delete(stream);
    }
    for (const { stream, epoch, records } of appends) {
      let life = this.#current.get(stream);
      if (!life) {
        life = new Life(stream);
        this.#current.set(stream, life);
        this.lives.push(life);
      }
      life.epochs.add(epoch);
      for (const { offset, bytes } of records) {
        if (offset !== life.head + 1) this.problems.push(`${stream}: ${offset} was appended after ${life.head}`);
        const frame = JSON.parse(new TextDecoder().decode(bytes)) as TrueEvent & { offset: number; stream: string };
        if (frame.offset !== offset || frame.stream !== stream)
          this.problems.push(`${stream} ${offset}: another frame`);
        life.events.push({ event: frame.event, payload: frame.payload });
      }
    }
    for (const row of ledger) this.#ledgerRow(row);
  }

  renewed(stream: string, epoch: string): void {
    this.#current.get(stream)?.epochs.add(epoch);
  }

  #ledgerRow(row: LedgerRow): void {
    const id = `${row.principal} ${row.method} ${row.key}`;
    const before = this.ledger.get(id);
    if (before && before.paramsHash !== row.paramsHash) this.problems.push(`ledger ${id}: claimed twice`);
    if (before?.answer !== undefined && before.endedAt !== row.endedAt)
      this.problems.push(`ledger ${id}: answered twice`);
    this.ledger.set(id, row);
  }
}
