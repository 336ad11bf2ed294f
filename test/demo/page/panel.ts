import type { Side } from './side.ts';
import type { PartFate } from './tally.ts';

const number = new Intl.NumberFormat('en');

/** Draws one side: a cell per part, the score above, the text below. */
export class Panel {
  readonly #root: HTMLElement;
  readonly #side: Side;
  readonly #expectedHash: string;
  #cells: HTMLElement[] = [];
  #isDrawing = false;
  #shownSegments = 0;
  /** What is known of the hash of what streamed. */
  #hash: { text: string; isRight: boolean } | undefined;

  constructor(root: HTMLElement, side: Side, expectedHash: string) {
    this.#root = root;
    this.#side = side;
    this.#expectedHash = expectedHash;
    this.restart();
  }

  /** Begins a new answer. */
  restart(): void {
    const { tally } = this.#side;
    const grid = this.#find('.grid');
    this.#cells = Array.from({ length: tally.count }, () => document.createElement('i'));
    grid.replaceChildren(...this.#cells);
    this.#find('.text').replaceChildren();
    this.#shownSegments = 0;
    this.#hash = undefined;
    tally.onFate = (part, fate) => this.#setFate(part, fate);
    this.draw();
  }

  /** Marks the part at which something was broken. */
  mark(fault: string): void {
    const cell = this.#cells[this.#side.tally.newest];
    if (cell) cell.dataset.fault = fault;
  }

  /** Shows the hash of what streamed. */
  showHash(text: string): void {
    this.#hash = { text, isRight: text === this.#expectedHash };
    this.draw();
  }

  /** Draws once per frame, however often it is asked. */
  draw(): void {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    requestAnimationFrame(() => {
      this.#isDrawing = false;
      this.#draw();
    });
  }

  #draw(): void {
    const { tally, link, isEnded } = this.#side;
    const { received, count, lost, doubled, reordered } = tally;
    const state = this.#find('.link');
    state.textContent = isEnded ? `${link.words}, answer over` : link.words;
    state.dataset.up = String(link.isUp);
    const score = this.#find('.score');
    score.replaceChildren(
      figure(`${number.format(received)} / ${number.format(count)}`, 'parts received', received === count && isEnded),
      figure(
        `${number.format(lost)} · ${number.format(doubled)} · ${number.format(reordered)}`,
        'lost · doubled · reordered',
        lost + doubled + reordered === 0,
      ),
      this.#hash
        ? figure(
            `${this.#hash.isRight ? '✓' : '✗'} ${this.#hash.text.slice(0, 8)}…`,
            this.#hash.isRight ? 'SHA-256 matches' : 'SHA-256 differs',
            this.#hash.isRight,
          )
        : figure('…', 'SHA-256 at the end'),
    );
    this.#find('.grid').setAttribute('aria-label', `${received} of ${count} parts received, ${lost} lost`);
    this.#drawText();
  }

  #drawText(): void {
    const box = this.#find('.text');
    const { segments } = this.#side.tally;
    if (segments.length < this.#shownSegments) {
      box.replaceChildren();
      this.#shownSegments = 0;
    }
    segments.forEach((segment, index) => {
      if (segment.kind === 'text') {
        const known = box.childNodes[index];
        if (!known) box.append(segment.text);
        else if (known.textContent !== segment.text) known.textContent = segment.text;
      } else if (!box.childNodes[index]) {
        const hole = document.createElement('mark');
        hole.textContent = `${number.format(segment.parts)} parts missing`;
        box.append(hole);
      }
    });
    this.#shownSegments = segments.length;
    if (this.#side.isEnded) {
      // The holes are what one wants to see at the end.
      const hole = box.querySelector<HTMLElement>('mark:last-of-type');
      box.scrollTop = hole ? hole.offsetTop - box.clientHeight / 2 : box.scrollHeight;
    } else box.scrollTop = box.scrollHeight;
  }

  #setFate(part: number, fate: PartFate): void {
    const cell = this.#cells[part - 1];
    if (cell) cell.dataset.fate = fate;
  }

  #find(selector: string): HTMLElement {
    return this.#root.querySelector<HTMLElement>(selector) as HTMLElement;
  }
}

function figure(value: string, label: string, isGood?: boolean): HTMLElement {
  const root = document.createElement('p');
  const strong = document.createElement('strong');
  strong.textContent = value;
  root.append(strong, label);
  if (isGood !== undefined) root.dataset.good = String(isGood);
  return root;
}
