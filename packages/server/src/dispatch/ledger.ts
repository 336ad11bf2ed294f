import { createHash } from 'node:crypto';
import { GatewayError } from '@openclaw/protocol';
import { noObserver, type SafeObserver } from '../observer.ts';
import type { Committer } from '../streams/committer.ts';
import type { LedgerRow } from '../streams/event-store.ts';

/** What claiming a key comes to. */
export type Claim =
  /** The key is new and now taken: execute. */
  | { kind: 'claimed'; row: LedgerRow }
  /** The same request is being worked on: attach. */
  | { kind: 'running'; row: LedgerRow }
  /** The same request was answered: give that answer. */
  | { kind: 'done'; row: LedgerRow }
  /** The key was used for something else, or names another principal's run. */
  | { kind: 'conflict' };

/** Who asks what under which key. */
export interface ClaimRequest {
  principal: string;
  method: string;
  key: string;
  paramsHash: string;
  /** The run that the request causes; unique on the gateway. */
  runId?: string;
  /** Called for a new key before it is taken; what it throws is the refusal, and leaves no row. */
  admit?: () => void;
}

/** The durable table of keyed requests (S18). Claims are synchronous; rows join the tick's commit. */
export class Ledger {
  readonly #committer: Committer;
  readonly #now: () => number;
  readonly #observer: SafeObserver;
  readonly #rows = new Map<string, LedgerRow>();
  readonly #runs = new Map<string, LedgerRow>();

  constructor({
    committer,
    now,
    observer = noObserver,
  }: {
    committer: Committer;
    now: () => number;
    observer?: SafeObserver;
  }) {
    this.#observer = observer;
    this.#committer = committer;
    this.#now = now;
  }

  /** Fills memory at start. */
  load(rows: readonly LedgerRow[]): void {
    for (const row of rows) this.#put(row);
  }

  get size(): number {
    return this.#rows.size;
  }

  /** Takes a key, or says what became of it. Refusals that leave no row come before this. */
  claim({ principal, method, key, paramsHash, runId, admit }: ClaimRequest): Claim {
    if (/\p{Surrogate}/u.test(key)) {
      throw new GatewayError(
        'INVALID_REQUEST',
        `invalid ${method} params: at /idempotencyKey: must be well-formed text`,
      );
    }
    const known = this.#rows.get(rowId(principal, method, key));
    if (known) {
      if (known.paramsHash !== paramsHash) return { kind: 'conflict' };
      this.#observer.replayed(method);
      return { kind: known.answer === undefined ? 'running' : 'done', row: known };
    }
    if (runId !== undefined && this.#runs.has(runId)) return { kind: 'conflict' };
    admit?.();
    const row: LedgerRow = {
      principal,
      method,
      key,
      paramsHash,
      createdAt: this.#now(),
      ...(runId === undefined ? {} : { runId }),
    };
    this.#write(row, undefined);
    return { kind: 'claimed', row };
  }

  /** Settles a row: `answer` is JSON of `{payload}` or `{error}`. */
  finish(row: LedgerRow, answer: string): void {
    this.#write({ ...row, answer, endedAt: this.#now() }, row);
  }

  /** Replaces stored answers where `change` gives another one, with this tick's commit. */
  revise(change: (answer: string) => string): void {
    for (const row of [...this.#rows.values()]) {
      if (row.answer === undefined) continue;
      const answer = change(row.answer);
      if (answer !== row.answer) this.#write({ ...row, answer }, row);
    }
  }

  /** The row of the request that caused a run, whoever sent it. */
  ofRun(runId: string): LedgerRow | undefined {
    return this.#runs.get(runId);
  }

  /** Rows that have no answer yet. */
  running(): LedgerRow[] {
    return [...this.#rows.values()].filter(({ answer }) => answer === undefined);
  }

  /** Forgets in memory what ended before; the store is told separately. */
  prune(endedBefore: number, receiveEndedBefore: number): void {
    for (const [id, row] of this.#rows) {
      if (row.endedAt === undefined) continue;
      if (row.endedAt >= (row.method === 'channel.receive' ? receiveEndedBefore : endedBefore)) continue;
      this.#rows.delete(id);
      if (row.runId !== undefined && this.#runs.get(row.runId)?.key === row.key) this.#runs.delete(row.runId);
    }
  }

  #write(row: LedgerRow, before: LedgerRow | undefined): void {
    const batch = this.#committer.change(() => {
      if (before) {
        this.#put(before);
        return;
      }
      this.#rows.delete(rowId(row.principal, row.method, row.key));
      if (row.runId !== undefined) this.#runs.delete(row.runId);
    });
    batch.ledger.push(row);
    batch.durable = true;
    this.#put(row);
  }

  #put(row: LedgerRow): void {
    this.#rows.set(rowId(row.principal, row.method, row.key), row);
    if (row.runId !== undefined) this.#runs.set(row.runId, row);
  }
}

function rowId(principal: string, method: string, key: string): string {
  return `${principal}\n${method}\n${key}`;
}

/** A hash of what identifies a request: its params without the key, in canonical order. */
export function hashParams(params: object): string {
  const { idempotencyKey, ...identifying } = params as Record<string, unknown>;
  return createHash('sha256').update(canonical(identifying)).digest('base64url');
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`).join()}}`;
}
