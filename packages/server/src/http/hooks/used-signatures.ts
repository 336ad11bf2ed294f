import type { Clock } from '@openclaw/protocol';
import type { Documents } from '../../streams/documents.ts';

interface Used {
  /** The hook and the key that it came with, hashed. */
  use: string;
  /** On the wall clock: it is refused by its time from then on. */
  untilMs: number;
}

const usedKind = 'hook-signature';
/** How often those whose time is over are looked for, in ms. */
const pruneMs = 60_000;

/**
 * Signatures that were used, for as long as their time allows. Neither the hook nor the key is part of what is signed: who saw
 * a request could send it again to another hook, or under another key.
 */
export class UsedSignatures {
  readonly #documents: Documents;
  readonly #clock: Clock;
  #pruneAtMs = 0;

  constructor({ documents, clock }: { documents: Documents; clock: Clock }) {
    this.#documents = documents;
    this.#clock = clock;
  }

  /** Takes a signature for this use, with this tick's commit; false when it was another's before. */
  claim(digest: string, used: Used): boolean {
    const known = this.#documents.get<Used>(usedKind, digest);
    if (known) return known.use === used.use;
    this.#prune();
    this.#documents.set(usedKind, digest, used);
    return true;
  }

  #prune(): void {
    const elapsedMs = this.#clock.elapsed();
    if (elapsedMs < this.#pruneAtMs) return;
    this.#pruneAtMs = elapsedMs + pruneMs;
    const nowMs = this.#clock.now();
    for (const [id, { untilMs }] of this.#documents.entries<Used>(usedKind)) {
      if (untilMs < nowMs) this.#documents.set(usedKind, id, undefined);
    }
  }
}
