import type { AgentPayload, GatewayError, OpenRun, ResetReason } from '@openclaw/protocol/wire';
import type { Bookmark } from './cursor.ts';
import type { Limits } from './limits.ts';
import { makeSignal } from './signal.ts';

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
export interface RunLog {
  /** The number of the first record that is still here. */
  base: number;
  /** The number that the next record gets. */
  end: number;
  /** Where the stream stood before the run's first record. */
  start?: Bookmark;
  /** The first record, when it is a state: what came before it can't be read again. */
  opening?: Kept;
  isEnded?: boolean;
  error?: GatewayError | undefined;
  /** The text of the answer, when the run ended out of sight. */
  answer?: string | undefined;
  append(record: RunRecord, units: number, after: Bookmark | undefined): void;
  finish(error: GatewayError | undefined, answer?: string): void;
  at(index: number): Kept | undefined;
  /** Resolves at the next change. */
  changed(): Promise<void>;
}

/** A log without records. */
export function makeRunLog({
  bufferedEvents,
  bufferedUnits,
}: Pick<Limits, 'bufferedEvents' | 'bufferedUnits'>): RunLog {
  const records: Kept[] = [];
  const { wait, tell } = makeSignal();
  let heldUnits = 0;

  const log: RunLog = {
    base: 0,
    end: 0,

    append(record, units, after) {
      const kept = { record, units, after };
      if (!log.end++ && record.type === 'state') log.opening = kept;
      records.push(kept);
      heldUnits += units;
      if (records.length > bufferedEvents || heldUnits > bufferedUnits) {
        const dropped = records.splice(0, Math.ceil(records.length / 2));
        log.base += dropped.length;
        for (const each of dropped) heldUnits -= each.units;
      }
      tell();
    },

    finish(error, answer) {
      log.isEnded = true;
      log.error = error;
      log.answer = answer;
      tell();
    },

    at: (index) => records[index - log.base],
    changed: wait,
  };
  return log;
}
