import type { AuditAction, AuditEntry, Clock } from '@openclaw/protocol';
import { plainWords } from '../observer.ts';
import type { Stream, StreamLog } from './stream-log.ts';

/** What {@link AuditTrail.note} is told; the time is the trail's. Never a secret, never a message's text. */
export type AuditNote = Omit<AuditEntry, 'ts' | 'count'>;

export interface AuditTrailOptions {
  log: StreamLog;
  clock: Clock;
  /** Told of every entry as it is written. */
  written?: (entry: AuditEntry) => void;
}

/** What strangers can cause as often as they like; everything else takes somebody who was let in. */
const joined: ReadonlySet<AuditAction> = new Set([
  'connect.refused',
  'hook.refused',
  'http.refused',
  'config.refused',
  'pairing.requested',
]);

const windowMs = 60_000;
/** Each kind is written at once, and once more at the end of its minute: with what is left, 60 entries a minute at most. */
const maxKinds = 27;

/** Alike entries of one minute, after the first. */
interface Kind {
  entry: AuditNote;
  count: number;
}

/**
 * The audit trail: the stream `audit` (S1). Entries join the tick's commit; what was done on purpose is on the disk before its
 * answer leaves, and outlives retention. Refusals are joined, so that an attacker fills neither the disk nor the list: those
 * of one action, code and address within a minute are two entries, and all refusals of a minute at most 60.
 */
export class AuditTrail {
  readonly #log: StreamLog;
  readonly #clock: Clock;
  readonly #written: (entry: AuditEntry) => void;
  readonly #kinds = new Map<string, Kind>();
  /** How many found no room among the kinds, by action. */
  readonly #rest = new Map<AuditAction, number>();
  #stream: Stream | undefined;
  #cancelWindow: (() => void) | undefined;

  constructor({ log, clock, written = () => {} }: AuditTrailOptions) {
    this.#log = log;
    this.#clock = clock;
    this.#written = written;
  }

  /** Brings the stream into memory; called once, before anything is noted. */
  async start(): Promise<void> {
    this.#stream = await this.#log.open('audit');
  }

  /** Writes an entry down with this tick's commit, or counts it where alike ones were written within the minute. */
  readonly note = (note: AuditNote): void => {
    if (!joined.has(note.action)) {
      this.#append(note);
      return;
    }
    const key = JSON.stringify([note.action, note.code, note.remoteIp]);
    const known = this.#kinds.get(key);
    if (known) {
      known.entry = withoutDifference(known.entry, note);
      known.count++;
    } else if (this.#kinds.size < maxKinds) {
      this.#kinds.set(key, { entry: note, count: 0 });
      this.#append(note);
    } else {
      this.#rest.set(note.action, (this.#rest.get(note.action) ?? 0) + 1);
    }
    this.#cancelWindow ??= this.#clock.schedule(() => this.flush(), windowMs);
  };

  /** Writes what is counted so far; the minute begins anew. */
  flush(): void {
    this.#cancelWindow?.();
    this.#cancelWindow = undefined;
    const kinds = [...this.#kinds.values()];
    const rest = [...this.#rest];
    this.#kinds.clear();
    this.#rest.clear();
    for (const { entry, count } of kinds) if (count > 0) this.#append(entry, count);
    for (const [action, count] of rest) this.#append({ action, actor: 'unknown', reason: 'more refusals' }, count);
  }

  #append(note: AuditNote, count = 1): void {
    const { action, actor, remoteIp, target, code, reason, scopes } = note;
    const entry: AuditEntry = {
      action,
      ts: this.#clock.now(),
      actor: plainWords(actor, 320),
      ...(remoteIp === undefined ? {} : { remoteIp: plainWords(remoteIp, 64) }),
      ...(target === undefined ? {} : { target: plainWords(target, 320) }),
      ...(code === undefined ? {} : { code: plainWords(code, 64) }),
      ...(reason === undefined ? {} : { reason: plainWords(reason, 512) }),
      ...(scopes === undefined ? {} : { scopes: scopes.slice(0, 16).map((scope) => plainWords(scope, 128)) }),
      ...(count > 1 ? { count } : {}),
    };
    if (this.#stream) {
      // A stranger's refusal must not cost an fsync. Kept as `message`, since a store reads those backwards.
      const keeping = joined.has(action) ? {} : ({ keep: 'message', durable: true } as const);
      this.#log.append(this.#stream, 'audit.entry', entry, keeping);
    }
    this.#written(entry);
  }
}

/** What a joined entry may say of all that it stands for. */
function withoutDifference({ target, ...entry }: AuditNote, other: AuditNote): AuditNote {
  return target === undefined || target !== other.target ? entry : { ...entry, target };
}
