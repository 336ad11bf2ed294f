import { type Clock, GatewayError, type Message, randomId } from '@openclaw/protocol';
import type { Documents } from '../streams/documents.ts';

/** A note that waits for the next run of its session. */
interface WakeNote {
  id: string;
  text: string;
  source: NonNullable<Message['source']>;
  timestamp: number;
}

const noteKind = 'wake-note';
/** Notes that may wait in one session. */
const maxNotes = 32;
/** Sessions in which notes may wait. */
const maxSessions = 1_000;
/** UTF-16 units of all notes together. */
const maxUnits = 2_000_000;

/**
 * Notes for sessions that are no reason to start a run: kept on the disk, and put into the transcript in front of the next
 * message that starts one, in the same commit.
 */
export class WakeNotes {
  readonly #documents: Documents;
  readonly #clock: Clock;

  constructor({ documents, clock }: { documents: Documents; clock: Clock }) {
    this.#documents = documents;
    this.#clock = clock;
  }

  /** Throws UNAVAILABLE when too many notes wait for one more. */
  admit(sessionKey: string, text: string): void {
    const notes = this.#of(sessionKey);
    if (notes.some((note) => note.text === text)) return;
    if (notes.length >= maxNotes)
      throw noRoom(`${notes.length} notes wait in this session already; they go with its next message.`);
    if (notes.length === 0 && this.#documents.count(noteKind) >= maxSessions)
      throw noRoom(`Notes wait in ${maxSessions} sessions already; they go with the next messages of these.`);
    const units = this.#units();
    if (units + text.length > maxUnits)
      throw noRoom(`Notes of ${units} characters wait already; they go with the next messages of their sessions.`);
  }

  /** Keeps a note with this tick's commit; `coalesced` when the same text waits already. */
  add(sessionKey: string, text: string, source: WakeNote['source']): 'queued' | 'coalesced' {
    const notes = this.#of(sessionKey);
    if (notes.some((note) => note.text === text)) return 'coalesced';
    const note: WakeNote = { id: `wake-${randomId(8)}`, text, source, timestamp: this.#clock.now() };
    this.#documents.set(noteKind, sessionKey, [...notes, note]);
    return 'queued';
  }

  /** Hands the notes of a session over, oldest first, and lets go of them with this tick's commit. */
  take(sessionKey: string): Message[] {
    const notes = this.#of(sessionKey);
    if (notes.length > 0) this.#documents.set(noteKind, sessionKey, undefined);
    return notes.map(({ id, text, source, timestamp }) => ({
      id,
      role: 'user',
      content: [{ type: 'text', text }],
      timestamp,
      source,
    }));
  }

  /** Forgets the notes of a session with this tick's commit. */
  drop(sessionKey: string): void {
    if (this.#of(sessionKey).length > 0) this.#documents.set(noteKind, sessionKey, undefined);
  }

  #of(sessionKey: string): readonly WakeNote[] {
    return this.#documents.get<WakeNote[]>(noteKind, sessionKey) ?? [];
  }

  #units(): number {
    const notes = this.#documents.entries<WakeNote[]>(noteKind).flatMap(([, waiting]) => waiting);
    return notes.reduce((units, { text }) => units + text.length, 0);
  }
}

function noRoom(told: string): GatewayError {
  return new GatewayError('UNAVAILABLE', told, { retryable: true, retryAfterMs: 60_000 });
}
