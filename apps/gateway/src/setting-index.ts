import type { Setting } from './setting.ts';

/** Finds what matches a path of a file, such as `tokens.ci.scopes`. */
export class SettingIndex {
  readonly #settings: readonly Setting[];

  constructor(settings: readonly Setting[]) {
    this.#settings = settings;
  }

  /** The setting at a path; the nearest one around it when the path is inside of a value. */
  at(path: readonly string[]): Setting | undefined {
    for (let length = path.length; length > 0; length--) {
      const found = this.#settings.find((setting) => matches(setting.path.split('.'), path, length));
      if (found) return found;
    }
    return undefined;
  }

  /** Whether exactly this path is a secret. */
  isSecret(path: readonly string[]): boolean {
    return this.#settings.some((setting) => setting.isSecret && matches(setting.path.split('.'), path, path.length));
  }

  /** The names that may stand at a place. */
  namesIn(path: readonly string[]): string[] {
    return this.#settings
      .map((setting) => setting.path.split('.'))
      .filter((pattern) => pattern.length === path.length + 1 && matches(pattern.slice(0, -1), path, path.length))
      .map((pattern) => pattern.at(-1) as string)
      .filter((name) => name !== '*');
  }

  /** The setting that an unknown name was probably meant to be: the same name elsewhere, or one that is spelt nearly so. */
  nearest(path: readonly string[], name: string): string | undefined {
    const beside = this.namesIn(path)
      .map((known) => ({ known, distance: distance(known.toLowerCase(), name.toLowerCase()) }))
      .filter((candidate) => candidate.distance <= Math.max(1, Math.floor(name.length / 3)))
      .sort((one, other) => one.distance - other.distance)[0]?.known;
    if (beside !== undefined) return [...path, beside].join('.');
    return this.#settings.find((setting) => setting.path.split('.').at(-1) === name)?.path;
  }
}

function matches(pattern: readonly string[], path: readonly string[], length: number): boolean {
  return pattern.length === length && pattern.every((part, index) => part === '*' || part === path[index]);
}

/** Letters to add, drop, change or swap between two words. */
function distance(one: string, other: string): number {
  let before: number[] = [];
  let row = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let line = 1; line <= one.length; line++) {
    const next = [line];
    for (let column = 1; column <= other.length; column++) {
      const isSame = one[line - 1] === other[column - 1];
      const isSwapped =
        line > 1 && column > 1 && one[line - 1] === other[column - 2] && one[line - 2] === other[column - 1];
      next[column] = Math.min(
        (row[column] as number) + 1,
        (next[column - 1] as number) + 1,
        (row[column - 1] as number) + (isSame ? 0 : 1),
        isSwapped ? (before[column - 2] as number) + 1 : Number.POSITIVE_INFINITY,
      );
    }
    before = row;
    row = next;
  }
  return row[other.length] as number;
}
