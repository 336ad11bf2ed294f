import type { Message, RunPartData } from '@openclaw/protocol';

/** What became of the answer with one delta. */
export type Growth =
  /** So much more is said. */
  | { kind: 'more'; text: string }
  /** What was said is not the beginning of the answer any more; this is the whole of it now. */
  | { kind: 'anew'; text: string };

/** Between what an agent says before a tool call and what it says after it. */
const between = '\n\n';

/**
 * The answer of a run as one text: its parts in the order in which they began, with an empty line between them. What an
 * earlier part still says shows when the last one goes on: so growth rests on the order of what is said, not on its cuts.
 */
export class AnswerText {
  readonly #parts: { itemId: string; text: string }[] = [];
  /** What was shown before an earlier part went on; undefined when all is shown. */
  #shown: string | undefined;

  get text(): string {
    return this.#parts.flatMap(({ text }) => (text === '' ? [] : [text])).join(between);
  }

  /** Sets the answer to a text; undefined when it is that already. */
  set(text: string): Growth | undefined {
    this.#shown ??= this.text;
    this.#parts.splice(0, this.#parts.length, { itemId: '', text });
    return this.show();
  }

  /** Takes a delta in; undefined when it shows nothing new. */
  add({ itemId, at, delta, replace }: RunPartData<'assistant'>): Growth | undefined {
    const index = this.#parts.findLastIndex((part) => part.itemId === itemId);
    let part = this.#parts[index];
    if (!part) {
      part = { itemId, text: '' };
      this.#parts.push(part);
    }
    const news = replace ? delta : delta.slice(Math.max(0, part.text.length - at));
    const isLast = part === this.#parts.at(-1);
    if (isLast && this.#shown === undefined && (!replace || part.text === '')) {
      if (news === '') return undefined;
      const isFirst = part.text !== '' || this.#parts.every(({ text }) => text === '');
      part.text += news;
      return { kind: 'more', text: isFirst ? news : between + news };
    }
    this.#shown ??= this.text;
    part.text = replace ? news : part.text + news;
    return isLast ? this.show() : undefined;
  }

  /** Shows what earlier parts said; undefined when that is nothing. */
  show(): Growth | undefined {
    const before = this.#shown;
    this.#shown = undefined;
    return before === undefined ? undefined : growth(before, this.text);
  }
}

/** The text of a message in the transcript, as its run's deltas gave it; undefined when the transcript has it cut. */
export function messageText({ content }: Message): string | undefined {
  const blocks = content.filter((block) => block.type === 'text');
  if (blocks.some(({ cut }) => cut)) return undefined;
  return blocks.map(({ text }) => text).join(between);
}

function growth(before: string, after: string): Growth | undefined {
  if (!after.startsWith(before)) return { kind: 'anew', text: after };
  return after === before ? undefined : { kind: 'more', text: after.slice(before.length) };
}
