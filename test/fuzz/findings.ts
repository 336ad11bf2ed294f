/** Something that must not happen, with what is needed to make it happen again. */
export interface Finding {
  what: string;
  input: string;
}

/** Collects findings; the same one is kept once, with how often it came. */
export class Findings {
  readonly #found = new Map<string, { finding: Finding; count: number }>();

  add(what: string, input: unknown): void {
    const shown = typeof input === 'string' ? input : JSON.stringify(input);
    const known = this.#found.get(what);
    if (known) known.count++;
    else this.#found.set(what, { finding: { what, input: shown.slice(0, 2_000) }, count: 1 });
  }

  get lines(): string[] {
    return [...this.#found.values()].map(
      ({ finding, count }) => `${finding.what}${count > 1 ? ` (${count} times)` : ''}\n    input: ${finding.input}`,
    );
  }
}
