import type { AgentPayload, GatewayError, OpenRun, ResetReason } from '@openclaw/protocol/wire';
import type { Bookmark } from './cursor.ts';
import type { Limits } from './limits.ts';

/** What happened to a run, in order. */
export type RunRecord =
  | { type: 'event'; payload: AgentPayload }
  /** Continuity broke, or the run was met in its course: this is how it stands. */
  | { type: 'state'; reason: ResetReason | undefined; parts: OpenRun['parts'] };

/** A record as it is kept. */
export interface Kept {
  record: RunRecord;
  units: number;
  /** The place behind it. */
  after: Bookmark | undefined;
}

/** The records of one run, the newest of them up to the caps; a reader that finds its own gone reads the stream again. */
export class RunLog {
  /** The number of the first record that is still here. */
  base = 0;
  /** Where the stream stood before the run's first record. */
  start: Bookmark | undefined;
  /** The first record, when it is a state: what came before it can't be read again. */
  opening: Kept | undefined;
  isEnded = false;
  error: GatewayError | undefined;
  /** The text of the answer, when the run ended out of sight. */
  answer: string | undefined;
  #records: Kept[] = [];
  #units = 0;
  #caps: Pick<Limits, 'bufferedEvents' | 'bufferedUnits'>;
  #changed: (() => void)[] = [];

  constructor(caps: Pick<Limits, 'bufferedEvents' | 'bufferedUnits'>) {
    this.#caps = caps;
  }

  get end(): number {
    return this.base + this.#records.length;
  }

  append(record: RunRecord, units: number, after: Bookmark | undefined): void {
    const kept = { record, units, after };
    if (this.end === 0 && record.type === 'state') this.opening = kept;
    this.#records.push(kept);
    this.#units += units;
    const { bufferedEvents, bufferedUnits } = this.#caps;
    if (this.#records.length > bufferedEvents || this.#units > bufferedUnits) this.#dropHalf();
    this.#tell();
  }

  finish(error: GatewayError | undefined, answer?: string): void {
    this.isEnded = true;
    this.error = error;
    this.answer = answer;
    this.#tell();
  }

  at(index: number): Kept | undefined {
    return this.#records[index - this.base];
  }

  /** Resolves at the next change. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }

  #tell(): void {
    for (const resolve of this.#changed.splice(0)) resolve();
  }

  #dropHalf(): void {
    const dropped = this.#records.splice(0, Math.ceil(this.#records.length / 2));
    this.base += dropped.length;
    for (const { units } of dropped) this.#units -= units;
  }
}
