import type { Committer } from './committer.ts';

/** Small documents beside the streams: paired devices, hashed tokens, the session index. Read from memory, written with the tick. */
export class Documents {
  readonly #committer: Committer;
  readonly #values = new Map<string, Map<string, unknown>>();

  constructor(committer: Committer) {
    this.#committer = committer;
  }

  /** Fills memory at start. */
  load(documents: readonly { kind: string; id: string; value: string }[]): void {
    for (const { kind, id, value } of documents) this.#ofKind(kind).set(id, JSON.parse(value));
  }

  /** The document, as it is after all changes so far; trusted to be what `set` was given. */
  get<T>(kind: string, id: string): T | undefined {
    return this.#values.get(kind)?.get(id) as T | undefined;
  }

  /** All documents of a kind, oldest first. */
  entries<T>(kind: string): [string, T][] {
    return [...(this.#values.get(kind) ?? [])] as [string, T][];
  }

  count(kind: string): number {
    return this.#values.get(kind)?.size ?? 0;
  }

  /** Writes a document with this tick's commit; undefined deletes it. A durable one is on the disk before anything leaves. */
  set(kind: string, id: string, value: unknown, { durable = true }: { durable?: boolean } = {}): void {
    const ofKind = this.#ofKind(kind);
    const before = ofKind.get(id);
    const batch = this.#committer.change(() => {
      if (before === undefined) ofKind.delete(id);
      else ofKind.set(id, before);
    });
    batch.documents.push({ kind, id, value: value === undefined ? null : JSON.stringify(value) });
    if (durable) batch.durable = true;
    if (value === undefined) ofKind.delete(id);
    else ofKind.set(id, value);
  }

  #ofKind(kind: string): Map<string, unknown> {
    let ofKind = this.#values.get(kind);
    if (!ofKind) {
      ofKind = new Map();
      this.#values.set(kind, ofKind);
    }
    return ofKind;
  }
}
