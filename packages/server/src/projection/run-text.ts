/** How far a reader has followed a {@link RunText}. A plain value: it may be kept while the text goes on. */
export interface TextCursor {
  /** How often the text had been set anew by then. */
  rewriteCount: number;
  /** Its UTF-16 length then. */
  units: number;
}

/** What a reader has not seen of a text: more of it, or all of it when what the reader saw no longer stands. */
export interface TextPiece {
  delta: string;
  isReplaced: boolean;
}

/** The cursor of a reader that has seen nothing. */
export const textStart: TextCursor = { rewriteCount: 0, units: 0 };

/**
 * A text of a run that grows: one part of the answer or the thinking, or (`chat`) the whole answer, which is all that v4's
 * chat knows. It remembers how far it has been sent to those who keep up; slow readers keep a cursor of their own.
 */
export class RunText {
  readonly stream: 'assistant' | 'thinking' | 'chat';
  /** Empty for `chat`. */
  readonly itemId: string;
  /** The `seq` and time of the last event that it was made of. */
  seq = 0;
  ts = 0;
  /** How far the readers that keep up have been sent. */
  sent: TextCursor = textStart;
  #text: string;
  #rewriteCount = 0;

  constructor(stream: RunText['stream'], itemId: string, text = '') {
    this.stream = stream;
    this.itemId = itemId;
    this.#text = text;
    this.sent = this.end;
  }

  get text(): string {
    return this.#text;
  }

  /** The cursor of a reader that has seen all of it. */
  get end(): TextCursor {
    return { rewriteCount: this.#rewriteCount, units: this.#text.length };
  }

  append(delta: string): void {
    this.#text += delta;
  }

  /** Sets the whole text. Readers just get more when the old one is its beginning, unless `isRewrite` says that it is not. */
  set(text: string, isRewrite = !text.startsWith(this.#text)): void {
    if (isRewrite) this.#rewriteCount++;
    this.#text = text;
  }

  /** What a reader at `cursor` has not seen; undefined when that is nothing. */
  since({ rewriteCount, units }: TextCursor): TextPiece | undefined {
    if (rewriteCount !== this.#rewriteCount) return { delta: this.#text, isReplaced: true };
    return units < this.#text.length ? { delta: this.#text.slice(units), isReplaced: false } : undefined;
  }
}
