import type { AgentPayload, Message, RunPartData } from '@openclaw/protocol';
import { RunLostError, type RunPlace, type RunReader } from '../../runs/run-reader.ts';
import { AnswerText, type Growth, messageText } from './answer-text.ts';

/** Tokens that a run used; 0 where it did not say. */
export interface TokenUsage {
  inputTokens: number;
  outputTokens: number;
  totalTokens: number;
}

/** How an answer ended. */
export type AnswerEnd =
  | { kind: 'answered'; finish: 'stop' | 'length' | 'content_filter' }
  | { kind: 'failed'; isAborted: boolean; message: string };

/** The answer of a run as far as it was read. */
export interface Answer {
  readonly text: string;
  readonly usage: TokenUsage;
  readonly isStarted: boolean;
  /** Absent while it is being written. */
  readonly end?: AnswerEnd | undefined;
}

/** An answer that is not written any more. */
export type EndedAnswer = Answer & { readonly end: AnswerEnd };

/** What a reader gets of an answer, in order. */
export type AnswerStep =
  | Growth
  /** All that is committed was read. */
  | { kind: 'head'; answer: Answer }
  /** The last step. */
  | { kind: 'ended'; answer: EndedAnswer };

/**
 * Reads a run as its answer: what is read together comes as one step, the last step is `ended`, whatever happened. Ends
 * without it only when `signal` aborts. Halves of surrogate pairs are held back until the other one is there.
 */
export async function* readAnswer(
  reader: RunReader,
  place: RunPlace,
  signal: AbortSignal,
): AsyncGenerator<AnswerStep, void> {
  const state = new AnswerState();
  try {
    for await (const { events, message, isHead } of reader.follow(place, signal)) {
      if (message) yield* state.takeMessage(message, place.runId);
      for (const event of events) yield* state.take(event);
      if (state.end) break;
      yield* state.flush();
      if (isHead) yield { kind: 'head', answer: state };
    }
  } catch (error) {
    if (!(error instanceof RunLostError)) throw error;
    state.end = { kind: 'failed', isAborted: error.reason === 'dropped', message: `${error.message}.` };
  }
  if (!isEnded(state)) return;
  yield* state.showAll();
  yield { kind: 'ended', answer: state };
}

/** Reads an answer to its end; undefined when `signal` aborts first. */
export async function wholeAnswer(
  reader: RunReader,
  place: RunPlace,
  signal: AbortSignal,
): Promise<EndedAnswer | undefined> {
  for await (const step of readAnswer(reader, place, signal)) if (step.kind === 'ended') return step.answer;
  return undefined;
}

/** The answer as it is now; undefined when `signal` aborts first. */
export async function answerNow(reader: RunReader, place: RunPlace, signal: AbortSignal): Promise<Answer | undefined> {
  for await (const step of readAnswer(reader, place, signal))
    if (step.kind === 'head' || step.kind === 'ended') return step.answer;
  return undefined;
}

class AnswerState implements Answer {
  end: AnswerEnd | undefined;
  readonly #text = new AnswerText();
  #usage: RunPartData<'usage'> = {};
  isStarted = false;
  /** Said, and not yet given to the reader. */
  #held = '';

  *take(event: AgentPayload): Generator<Growth> {
    switch (event.stream) {
      case 'assistant':
        yield* this.#grow(this.#text.add(event.data));
        return;
      case 'usage':
        this.#usage = { ...this.#usage, ...event.data };
        return;
      case 'lifecycle':
        if (event.data.phase === 'start') this.isStarted = true;
        else if (event.data.phase === 'end') this.end = { kind: 'answered', finish: finishOf(event.data.stopReason) };
        else if (event.data.phase === 'error') this.end = failureOf(event.data);
        return;
      default:
    }
  }

  /** The answer as the transcript has it, where its deltas are gone. */
  *takeMessage(message: Message, runId: string): Generator<Growth> {
    const text = messageText(message);
    if (text === undefined) throw new RunLostError('expired', runId);
    this.#usage = { ...this.#usage, ...message.usage };
    yield* this.#grow(this.#text.set(text));
  }

  *#grow(growth: Growth | undefined): Generator<Growth> {
    if (growth?.kind === 'more') this.#held += growth.text;
    if (growth?.kind !== 'anew') return;
    // In its own step, and what was held before it too: the numbers of a stream's events rest on it.
    yield* this.flush(true);
    yield growth;
  }

  /** Everything that is said and not yet given to the reader, at the end. */
  *showAll(): Generator<Growth> {
    yield* this.#grow(this.#text.show());
    yield* this.flush(true);
  }

  *flush(isWhole = false): Generator<Growth> {
    const last = this.#held.charCodeAt(this.#held.length - 1);
    const isHalf = !isWhole && last >= 0xd800 && last <= 0xdbff;
    const text = isHalf ? this.#held.slice(0, -1) : this.#held;
    this.#held = isHalf ? this.#held.slice(-1) : '';
    if (text !== '') yield { kind: 'more', text };
  }

  get text(): string {
    return this.#text.text;
  }

  get usage(): TokenUsage {
    const { inputTokens = 0, outputTokens = 0, totalTokens = inputTokens + outputTokens } = this.#usage;
    return { inputTokens, outputTokens, totalTokens };
  }
}

function isEnded(answer: AnswerState): answer is AnswerState & { end: AnswerEnd } {
  return answer.end !== undefined;
}

/** A model's, or an agent's, own word for why it stopped, in OpenAI's. */
function finishOf(stopReason: string | undefined): Extract<AnswerEnd, { kind: 'answered' }>['finish'] {
  switch (stopReason) {
    case 'length':
    case 'max_tokens':
    case 'max_steps':
      return 'length';
    case 'content-filter':
    case 'content_filter':
    case 'refusal':
      return 'content_filter';
    default:
      return 'stop';
  }
}

function failureOf({ reason = 'failed', error }: RunPartData<'lifecycle'>): AnswerEnd {
  const isAborted = reason === 'aborted';
  return {
    kind: 'failed',
    isAborted,
    message: error ?? (isAborted ? 'The run was aborted.' : `The run ended: ${reason}.`),
  };
}
