import { isDeepStrictEqual } from 'node:util';
import type { Bookmark, StreamEvent, StreamReset } from '@openclaw/client';
import { type AgentPayload, emptyState, reduce, type StreamState } from '@openclaw/protocol';
import type { Life, Truth } from './truth.ts';

/** What a reader of one stream was told, held against the truth with every item. */
export class Replica {
  readonly stream: string;
  state: StreamState;
  epoch = '';
  offset = 0;
  /** True after `deleted`, until the next item. */
  isDeleted = false;
  eventCount = 0;
  rangeCount = 0;
  readonly resets = new Map<string, number>();
  readonly #truth: Truth;
  readonly #report: (invariant: string, problem: string) => void;
  #isPlaced = false;
  /** The place ahead of the stream that it was told to begin with: an event after it counts once the stream is there. */
  #ahead: number | undefined;

  constructor(
    stream: string,
    truth: Truth,
    report: (invariant: string, problem: string) => void,
    after?: Pick<Bookmark, 'epoch' | 'offset'>,
  ) {
    this.stream = stream;
    this.state = emptyState(stream);
    this.#truth = truth;
    this.#report = report;
    const life = after && truth.find(stream, after.epoch);
    if (!after || !life) return;
    if (after.offset > life.head) this.#ahead = after.offset;
    else {
      this.#place(after);
      this.state = life.stateAt(after.offset);
    }
  }

  /** A place to go back to. */
  save(): () => void {
    const { state, epoch, offset, isDeleted } = this;
    const isPlaced = this.#isPlaced;
    return () => {
      Object.assign(this, { state, epoch, offset, isDeleted });
      this.#isPlaced = isPlaced;
    };
  }

  apply(item: StreamEvent | StreamReset): void {
    if (item.type === 'reset') this.#reset(item);
    else this.#event(item);
  }

  #reset({ reason, state, bookmark }: StreamReset): void {
    this.resets.set(reason, (this.resets.get(reason) ?? 0) + 1);
    if (reason === 'deleted' || reason === 'scope_lost') {
      this.isDeleted = true;
      this.#isPlaced = false;
      return;
    }
    this.isDeleted = false;
    this.#place(bookmark);
    this.state = state ?? emptyState(this.stream);
    if (!state) this.#report('I5', `${this.stream}: a reset (${reason}) without a state`);
    if (bookmark.offset === 0) return;
    const life = this.#truth.find(this.stream, bookmark.epoch);
    // What the tick of a deletion appended is told before the deletion, and never kept.
    const isErased = this.#truth.deleted.has(this.stream) && (!life || life.isDeleted);
    if (isErased && (!life || bookmark.offset > life.head)) return;
    if (!life || bookmark.offset > life.head) {
      this.#report(
        'I5',
        `${this.stream}: a reset (${reason}) at ${bookmark.offset} of ${bookmark.epoch}, which was never committed`,
      );
    } else if (!isSame(this.state, life.stateAt(bookmark.offset))) {
      this.#report(
        'I5',
        `${this.stream}: the state of a reset (${reason}) at ${bookmark.offset} is not the replayed one`,
      );
    }
  }

  #event(item: StreamEvent): void {
    const { event, payload, offset, from = offset, bookmark } = item;
    this.eventCount++;
    if (item.from !== undefined && item.from < offset) this.rangeCount++;
    const life = this.#truth.find(this.stream, bookmark.epoch);
    if (!this.#isPlaced && life && from - 1 === this.#ahead) {
      this.#place({ ...bookmark, offset: from - 1 });
      this.state = life.stateAt(from - 1);
    }
    if (!this.#isPlaced) this.#report('I5', `${this.stream}: ${from} was told before any state`);
    if (offset <= this.offset) this.#report('I2', `${this.stream}: ${offset} was told after ${this.offset}`);
    else if (from > this.offset + 1)
      this.#report('I1', `${this.stream}: ${from} was told after ${this.offset}, without a reset`);
    // A life that begins and ends in one tick is told and never kept.
    const isUnkept = !life && this.#truth.deleted.has(this.stream);
    const unknown = isUnkept ? undefined : `no life of it has the epoch ${bookmark.epoch}`;
    const problem = life ? differenceOf(life, from, offset, event, payload) : unknown;
    if (problem) this.#report('I2', `${this.stream} ${from}..${offset}: ${problem}`);
    try {
      this.state = reduce(this.state, item);
    } catch (error) {
      this.#report('I2', `${this.stream} ${offset}: ${String(error)}`);
    }
    this.#place(bookmark);
  }

  #place({ epoch, offset }: Pick<Bookmark, 'epoch' | 'offset'>): void {
    this.#isPlaced = true;
    this.isDeleted = false;
    this.epoch = epoch;
    this.offset = offset;
  }

  /** What is missing at the end, when everything is quiet; undefined when nothing is. */
  behind(): string | undefined {
    const life = this.#truth.current(this.stream);
    if (!life) return undefined;
    const known = this.#truth.find(this.stream, this.epoch);
    if (this.isDeleted || known !== life) return `stands in an earlier life of it, at ${this.offset}`;
    return this.offset === life.head ? undefined : `stands at ${this.offset} of ${life.head}`;
  }

  /** Whether what is told adds up to the truth. */
  differs(): string | undefined {
    const life = this.#truth.current(this.stream);
    if (!life || isSame(this.state, life.stateAt(life.head))) return undefined;
    return `the state at ${this.offset} is not the replayed one`;
  }
}

/** Equality of what crosses the wire. */
export function isSame(a: unknown, b: unknown): boolean {
  const text = JSON.stringify(a);
  return text === JSON.stringify(b) || isDeepStrictEqual(JSON.parse(text), JSON.parse(JSON.stringify(b)));
}

/** How `payload` differs from the committed events `from..offset`; undefined when it does not. */
function differenceOf(life: Life, from: number, offset: number, event: string, payload: unknown): string | undefined {
  if (offset > life.head) {
    // What the tick of a deletion appended is told to the readers, then the deletion.
    return life.isDeleted ? undefined : `it was told before it was committed (head ${life.head})`;
  }
  const last = life.events[offset - 1];
  if (last?.event !== event) return `${event} was told, ${last?.event} was appended`;
  if (from === offset && isSame(payload, last.payload)) return undefined;
  const told = payload as AgentPayload;
  if (event !== 'agent' || (told.stream !== 'assistant' && told.stream !== 'thinking')) return 'another payload';
  let joined = '';
  for (let at = from; at <= offset; at++) {
    const part = life.events[at - 1]?.payload as AgentPayload;
    if (part.runId !== told.runId || part.stream !== told.stream) return `${at} is not of the same part`;
    if (part.data.itemId !== told.data.itemId) return `${at} is not of the same part`;
    if (at === from && part.data.at !== told.data.at) return `it begins at ${told.data.at}, not at ${part.data.at}`;
    joined += part.data.delta;
  }
  if (joined !== told.data.delta) return `its text has ${told.data.delta.length} units, ${joined.length} were appended`;
  return undefined;
}
