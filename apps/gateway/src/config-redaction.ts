import { settingIndex } from './config-index.ts';
import type { ConfigProblem } from './config-values.ts';

/** What is shown in place of a secret; v4's word, so that its forms know it. Sent back in a change, it keeps the secret. */
export const secretMark = '__OPENCLAW_REDACTED__';

/** A second look at names, should a field lack its mark in the schema. */
const secretName = /(token|secret|password|passphrase|apikey)$/i;

/** What may be shown of settings: every secret, and everything that may hold one, as a mark. */
export function shownConfig(config: object): Record<string, unknown> {
  return shown(config, []) as Record<string, unknown>;
}

function shown(value: unknown, path: readonly string[]): unknown {
  const name = path.at(-1) ?? '';
  if (settingIndex().isSecret(path)) return value === undefined ? undefined : secretMark;
  if (typeof value === 'string' && secretName.test(name)) return secretMark;
  if (Array.isArray(value)) {
    // The program itself may be shown, its arguments not: keys are often among them.
    if (name === 'args') return value.map(() => secretMark);
    if (name === 'command') return value.map((item, at) => (at === 0 ? item : secretMark));
    return value.map((item, at) => shown(item, [...path, String(at)]));
  }
  if (typeof value === 'object' && value !== null) {
    const mayHoldSecrets = name === 'env' || name === 'headers';
    return Object.fromEntries(
      Object.entries(value).map(([key, field]) => [key, mayHoldSecrets ? secretMark : shown(field, [...path, key])]),
    );
  }
  return typeof value === 'string' && /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? shownAddress(value) : value;
}

/** An address with a mark where user, password or query may be a secret. */
function shownAddress(address: string): string {
  if (!URL.canParse(address)) return secretMark;
  const { protocol, username, password, host, pathname, search, hash } = new URL(address);
  if (username === '' && password === '' && search === '' && hash === '') return address;
  const user = username === '' && password === '' ? '' : `${secretMark}@`;
  return `${protocol}//${user}${host}${pathname}${search === '' && hash === '' ? '' : `?${secretMark}`}`;
}

/**
 * `wanted` with what `stored` says in place of each mark: a secret stays as it is written, a reference a reference. A mark
 * may stand only where one is shown for what is stored there; `resolved` is `stored` with its references followed. Rows of a
 * list are told apart by their `name`, else by their place in a list of the same length.
 */
export function keepSecrets(
  wanted: unknown,
  stored: unknown,
  resolved: unknown,
): { value: unknown; problems: ConfigProblem[] } {
  const problems: ConfigProblem[] = [];
  const visit = (value: unknown, source: unknown, inUse: unknown, path: readonly string[]): unknown => {
    if (typeof value === 'string' && value.includes(secretMark)) {
      if (source !== undefined && showsAs(inUse, path) === value) return source;
      problems.push({
        path: path.join('.'),
        message:
          'is the mark of a secret, and there is none stored here that it could stand for; write the value itself',
      });
      return value;
    }
    if (Array.isArray(value)) {
      return value.map((item, at) => {
        const from = rowOf(item, at, value.length, source);
        return from === undefined
          ? visit(item, undefined, undefined, [...path, String(at)])
          : visit(item, part(source, from), part(inUse, from), [...path, String(at)]);
      });
    }
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, field]) => [
        key,
        visit(field, part(source, key), part(inUse, key), [...path, key]),
      ]),
    );
  };
  return { value: visit(wanted, stored, resolved, []), problems };
}

/** How a plain value is shown at a place; the rules for lists and named fields around it included. */
function showsAs(value: unknown, path: readonly string[]): unknown {
  if (typeof value !== 'string') return undefined;
  const around = path.at(-2) ?? '';
  const at = path.at(-1) ?? '';
  if (around === 'env' || around === 'headers' || around === 'args') return secretMark;
  if (around === 'command' && at !== '0') return secretMark;
  return shown(value, path);
}

/** Which row of the stored list a row stands for. */
function rowOf(item: unknown, at: number, length: number, stored: unknown): string | undefined {
  if (!Array.isArray(stored)) return undefined;
  const name = part(item, 'name');
  if (typeof name === 'string') {
    const found = stored.findIndex((row) => part(row, 'name') === name);
    return found < 0 ? undefined : String(found);
  }
  return stored.length === length ? String(at) : undefined;
}

function part(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;
}
