/** How one part of the answer fared. */
export type PartFate = 'awaited' | 'received' | 'lost' | 'doubled' | 'late';

/** A stretch of text that came, or of parts that did not. */
export type Segment = { kind: 'text'; text: string } | { kind: 'hole'; parts: number };

/**
 * Counts an answer that is known beforehand, the numbers from 1 to `count`, exactly as it streams in: what came, what never
 * did, what came twice, what came behind a later one.
 */
export class Tally {
  readonly count: number;
  /** Everything that streamed in, joined. */
  text = '';
  segments: Segment[] = [];
  doubled = 0;
  reordered = 0;
  /** The last number that came. */
  newest = 0;
  /** Called for each part whose fate changed. */
  onFate: (part: number, fate: PartFate) => void = () => undefined;
  #fates: PartFate[];
  #rest = '';

  constructor(count: number) {
    this.count = count;
    this.#fates = Array.from({ length: count + 1 }, () => 'awaited');
  }

  get received(): number {
    return this.#fates.reduce((sum, fate) => sum + (fate === 'awaited' || fate === 'lost' ? 0 : 1), 0);
  }

  /** Parts that something later overtook, and, once it has ended, those that never came. */
  get lost(): number {
    return this.#fates.reduce((sum, fate) => sum + (fate === 'lost' ? 1 : 0), 0);
  }

  /** Takes text that streamed in. */
  append(text: string): void {
    this.text += text;
    const words = (this.#rest + text).split(' ');
    this.#rest = words.pop() ?? '';
    for (const word of words) this.#take(word);
    this.#addText(text);
  }

  /** Starts over with a text that was set anew. */
  replace(text: string): void {
    this.text = '';
    this.#rest = '';
    this.newest = 0;
    this.segments = [];
    for (let part = 1; part <= this.count; part++) this.#setFate(part, 'awaited');
    this.append(text);
  }

  /** Ends the count: what is still awaited will not come. */
  end(): void {
    this.#take(this.#rest);
    this.#rest = '';
    for (let part = 1; part <= this.count; part++) if (this.#fates[part] === 'awaited') this.#setFate(part, 'lost');
  }

  #take(word: string): void {
    const part = Number(word);
    if (!Number.isInteger(part) || part < 1 || part > this.count) return;
    const fate = this.#fates[part];
    if (fate === 'awaited') {
      for (let passed = this.newest + 1; passed < part; passed++) this.#setFate(passed, 'lost');
      if (part > this.newest + 1) this.#addHole(part - this.newest - 1);
      this.newest = part;
      this.#setFate(part, 'received');
    } else if (fate === 'lost') {
      this.reordered++;
      this.#setFate(part, 'late');
    } else {
      this.doubled++;
      this.#setFate(part, 'doubled');
    }
  }

  #setFate(part: number, fate: PartFate): void {
    this.#fates[part] = fate;
    this.onFate(part, fate);
  }

  #addText(text: string): void {
    const last = this.segments.at(-1);
    if (last?.kind === 'text') last.text += text;
    else this.segments.push({ kind: 'text', text });
  }

  #addHole(parts: number): void {
    this.segments.push({ kind: 'hole', parts });
  }
}
