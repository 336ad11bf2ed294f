import { isGatewayError, type Run, type Session, type SessionStreamItem } from '@openclaw/client';
import { element } from './element.ts';
import { type HistoryRow, readRow } from './message-parts.ts';
import { type TurnEvents, TurnView } from './turn-view.ts';

/** What the transcript needs of the page around it. */
export interface TranscriptOptions extends TurnEvents {
  session: Session;
  list: HTMLElement;
  /** Told when the number of open answers, or whether anything is shown, changes. */
  changed(facts: { openCount: number; isEmpty: boolean }): void;
}

/** A message of this page that the gateway has not confirmed yet. */
interface Unconfirmed {
  text: string;
  note: string;
}

/**
 * The conversation as it is shown. One stream says what happened: it begins with the state and goes on through drops and
 * restarts; each open run is followed by its own iteration.
 */
export class Transcript {
  #options: TranscriptOptions;
  #runs = new Map<string, Run>();
  #open = new Map<string, Run>();
  #turns = new Map<string, TurnView>();
  #people = new Map<string, HTMLElement>();
  #seen = new Set<string>();
  /** Runs whose answer is in the history: events that tell of them again are older than that. */
  #answered = new Set<string>();
  #unconfirmed = new Map<string, Unconfirmed>();
  /** Grows with every new beginning; what an older one still has to say is ignored. */
  #generation = 0;

  constructor(options: TranscriptOptions) {
    this.#options = options;
  }

  /** Reads until the connection is closed for good. Rejects with what ended it. */
  async read(): Promise<void> {
    for await (const item of this.#options.session.events()) await this.#take(item);
  }

  /** Sends a message; it is shown at once and confirmed when the gateway has it. */
  send(text: string): void {
    const run = this.#options.session.send(text);
    this.await(run.id, text);
    this.#follow(run);
  }

  /** Shows a message that waits to be sent since an earlier visit. */
  await(runId: string, text: string): void {
    this.#unconfirmed.set(runId, { text, note: 'Waiting to be sent' });
    this.#showUnconfirmed(runId);
    this.#changed();
  }

  /** Says of messages that wait why they do. */
  note(note: string): void {
    for (const [runId, waiting] of this.#unconfirmed) {
      waiting.note = note;
      this.#showUnconfirmed(runId);
    }
  }

  /** Ends every answer that is being made, and takes back what was not sent yet. */
  stop(): void {
    for (const [runId, run] of this.#open) {
      run.abort().catch((error: unknown) => this.#turns.get(runId)?.fail(errorWords(error)));
    }
  }

  async #take(item: SessionStreamItem): Promise<void> {
    if (item.type === 'reset') {
      if (item.state) await this.#begin(item.state.runs.map(({ runId }) => runId));
      return;
    }
    switch (item.event) {
      case 'session.message':
        this.#add(readRow(item.payload.message));
        break;
      case 'session.reset':
        await this.#begin([]);
        break;
      case 'agent': {
        const { runId, stream, data } = item.payload;
        const isTerminal = stream === 'lifecycle' && (data.phase === 'end' || data.phase === 'error');
        if (!isTerminal && !this.#runs.has(runId) && !this.#answered.has(runId))
          this.#follow(this.#options.session.attach(runId));
        break;
      }
      default:
    }
    this.#changed();
  }

  /** Begins anew with the whole history. */
  async #begin(openRunIds: string[]): Promise<void> {
    const { session, list } = this.#options;
    const { messages } = await session.history();
    this.#generation++;
    list.replaceChildren();
    this.#turns.clear();
    this.#people.clear();
    this.#seen.clear();
    this.#answered.clear();
    this.#open.clear();
    const rows = messages.map(readRow);
    for (const row of rows) this.#add(row);
    for (const runId of this.#unconfirmed.keys()) this.#showUnconfirmed(runId);
    const own = [...this.#unconfirmed.keys()].filter((runId) => this.#runs.has(runId));
    for (const runId of new Set([...openRunIds, ...own])) {
      if (!this.#answered.has(runId)) this.#follow(this.#runs.get(runId) ?? session.attach(runId));
    }
    this.#changed();
  }

  #add(row: HistoryRow): void {
    if (this.#seen.has(row.id)) return;
    this.#seen.add(row.id);
    if (row.role === 'user') {
      if (row.runId !== undefined) this.#unconfirmed.delete(row.runId);
      const known = row.runId === undefined ? undefined : this.#people.get(row.runId);
      if (known) known.querySelector('.note')?.remove();
      else this.#showPerson(row.runId ?? row.id, row.text);
      return;
    }
    if (row.runId !== undefined) this.#answered.add(row.runId);
    // An answer that is or was followed is on the page already, or about to be.
    if (row.runId !== undefined && (this.#turns.has(row.runId) || this.#open.has(row.runId))) return;
    const turn = this.#turn(row.runId ?? row.id);
    for (const part of row.parts) turn.show(part);
    turn.finish();
  }

  #follow(run: Run): void {
    this.#runs.set(run.id, run);
    this.#open.set(run.id, run);
    const generation = this.#generation;
    const isStale = () => generation !== this.#generation;
    void (async () => {
      try {
        for await (const part of run) {
          if (isStale()) return;
          this.#turn(run.id).show(part);
        }
        if (!isStale()) this.#turns.get(run.id)?.finish();
      } catch (error) {
        if (!isStale()) this.#turn(run.id).fail(errorWords(error));
      } finally {
        if (!isStale()) {
          this.#open.delete(run.id);
          this.#runs.delete(run.id);
          this.#turns.get(run.id)?.root.classList.add('ended');
          this.#unconfirmed.delete(run.id);
          this.#people.get(run.id)?.querySelector('.note')?.remove();
          this.#changed();
        }
      }
    })();
  }

  #turn(runId: string): TurnView {
    let turn = this.#turns.get(runId);
    if (!turn) {
      turn = new TurnView(this.#options);
      this.#turns.set(runId, turn);
      const question = this.#people.get(runId);
      if (question) question.after(turn.root);
      else this.#options.list.append(turn.root);
    }
    return turn;
  }

  #showUnconfirmed(runId: string): void {
    const waiting = this.#unconfirmed.get(runId);
    if (!waiting) return;
    const item = this.#people.get(runId) ?? this.#showPerson(runId, waiting.text);
    item.querySelector('.note')?.remove();
    item.append(element('p', 'note', waiting.note));
  }

  #showPerson(runId: string, text: string): HTMLElement {
    const item = element('li', 'turn person', element('div', 'bubble', text));
    item.setAttribute('aria-label', 'You');
    this.#people.set(runId, item);
    this.#options.list.append(item);
    this.#options.grown();
    return item;
  }

  #changed(): void {
    this.#options.changed({ openCount: this.#open.size, isEmpty: this.#options.list.childElementCount === 0 });
  }
}

function errorWords(error: unknown): string {
  if (isGatewayError(error) && error.code === 'ABORTED') return 'Stopped.';
  return error instanceof Error ? error.message : String(error);
}
