import type { SideResult } from './settings.ts';
import { Tally } from './tally.ts';

/** How a client shows its connection: words, and whether they are good news. */
export interface Link {
  words: string;
  isUp: boolean;
}

/** One of the two clients as the page sees it. */
export class Side {
  tally: Tally;
  link: Link = { words: 'connecting', isUp: false };
  isEnded = false;
  /** The whole text as the end of the run tells it; only v4's frames hold one. */
  finalText: string | undefined;
  /** Told when anything changes. */
  onChange: () => void = () => undefined;
  /** Told when the answer went on after its connection had been lost. */
  onWentOn: () => void = () => undefined;
  #wasDown = false;

  constructor(count: number) {
    this.tally = new Tally(count);
  }

  /** Begins a new answer. */
  restart(): void {
    this.tally = new Tally(this.tally.count);
    this.isEnded = false;
    this.finalText = undefined;
    this.#wasDown = false;
  }

  setLink(link: Link): void {
    this.link = link;
    if (!link.isUp) this.#wasDown = true;
    this.onChange();
  }

  /** Takes text as it streams in; with `isWhole` it stands for everything before, too. */
  take(text: string, { isWhole = false } = {}): void {
    if (isWhole) this.tally.replace(text);
    else this.tally.append(text);
    if (this.#wasDown && this.link.isUp) {
      this.#wasDown = false;
      this.onWentOn();
    }
    this.onChange();
  }

  end(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.tally.end();
    // An end also says that the answer goes on no more.
    if (this.#wasDown && this.link.isUp) {
      this.#wasDown = false;
      this.onWentOn();
    }
    this.onChange();
  }

  async result(expectedHash: string): Promise<SideResult> {
    const { received, count, lost, doubled, reordered, text } = this.tally;
    return {
      received,
      expected: count,
      lost,
      doubled,
      reordered,
      hashMatches: (await sha256(text)) === expectedHash,
      ended: this.isEnded ? 'yes' : 'no',
    };
  }
}

/** SHA-256 of a text, hex. */
export async function sha256(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
