import type { Answer, AnswerStep } from './answer.ts';
import type { HttpRun } from './http-runs.ts';
import { type OutputMessage, outputMessage, responseObject, statusOf, textPart } from './response-object.ts';

/** An event of a response's stream. */
export interface ResponseEvent {
  type: string;
  sequence_number: number;
  [field: string]: unknown;
}

/** Of a run that has only begun. */
const begun = { isStarted: true, usage: { inputTokens: 0, outputTokens: 0, totalTokens: 0 } };

/**
 * The events of a response's stream. The `sequence_number` of an event counts everything up to it and with it: each UTF-16
 * unit of text is 1, each event beside the deltas is 1. So it rests on the run alone, not on how its text was cut into deltas
 * this time, and a delta can be cut exactly where a reader broke off: `startingAfter` leaves out all that has this number or
 * a lower one.
 *
 * An answer that is begun anew (its agent died and said something else the second time) ends its message as `incomplete`
 * and begins another one; the last event's response has only what counts.
 */
export class ResponseEvents {
  readonly #run: HttpRun;
  readonly #startingAfter: number;
  #count = 0;
  /** How many messages were begun. */
  #messageCount = 0;
  /** The text of the open message; undefined when none is open. */
  #open: string | undefined;

  constructor(run: HttpRun, { startingAfter = 0 }: { startingAfter?: number } = {}) {
    this.#run = run;
    this.#startingAfter = startingAfter;
  }

  /** The events of an answer, to its end. */
  async *of(steps: AsyncIterable<AnswerStep>): AsyncGenerator<ResponseEvent, void> {
    for (const type of ['response.created', 'response.in_progress'])
      yield* this.#event({ type, response: responseObject(this.#run, begun, []) });
    for await (const step of steps) {
      if (step.kind === 'more') {
        yield* this.#say(step.text);
      } else if (step.kind === 'anew') {
        yield* this.#closeMessage('incomplete');
        if (step.text !== '') yield* this.#say(step.text);
      } else if (step.kind === 'ended') {
        yield* this.#end(step.answer);
      }
    }
  }

  *#say(text: string): Generator<ResponseEvent> {
    if (this.#open === undefined) {
      this.#open = '';
      this.#messageCount++;
      yield* this.#event({ type: 'response.output_item.added', ...this.#at, item: this.#message('in_progress') });
      yield* this.#event({ type: 'response.content_part.added', ...this.#inPart, part: textPart('') });
    }
    this.#open += text;
    const before = this.#count;
    this.#count += text.length;
    if (this.#count <= this.#startingAfter) return;
    const delta = text.slice(Math.max(0, this.#startingAfter - before));
    yield {
      type: 'response.output_text.delta',
      ...this.#inPart,
      delta,
      logprobs: [],
      sequence_number: this.#count,
    };
  }

  *#closeMessage(status: 'completed' | 'incomplete'): Generator<ResponseEvent> {
    const text = this.#open;
    if (text === undefined) return;
    yield* this.#event({ type: 'response.output_text.done', ...this.#inPart, text, logprobs: [] });
    yield* this.#event({ type: 'response.content_part.done', ...this.#inPart, part: textPart(text) });
    yield* this.#event({ type: 'response.output_item.done', ...this.#at, item: this.#message(status, text) });
    this.#open = undefined;
  }

  *#end(answer: Answer): Generator<ResponseEvent> {
    const status = statusOf(answer);
    const text = this.#open;
    const messageStatus = status === 'completed' ? 'completed' : 'incomplete';
    const output = text === undefined ? [] : [this.#message(messageStatus, text)];
    yield* this.#closeMessage(messageStatus);
    const type = status === 'completed' || status === 'incomplete' ? `response.${status}` : 'response.failed';
    yield* this.#event({ type, response: responseObject(this.#run, answer, output) });
  }

  *#event(event: Omit<ResponseEvent, 'sequence_number'> & { type: string }): Generator<ResponseEvent> {
    this.#count++;
    if (this.#count > this.#startingAfter) yield { ...event, sequence_number: this.#count };
  }

  #message(status: OutputMessage['status'], text?: string): OutputMessage {
    return outputMessage(this.#run, this.#messageCount, status, text);
  }

  get #at() {
    return { output_index: this.#messageCount - 1 };
  }

  get #inPart() {
    return { item_id: this.#message('in_progress').id, ...this.#at, content_index: 0 };
  }
}
