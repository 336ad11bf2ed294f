import { contractSchema } from '../src/schema.ts';
import type { Contract } from './contract-changes.ts';

/** What of the contract is compared from change to change: everything but the words. */
export function contractSnapshot(): Contract {
  return withoutWords(contractSchema()) as Contract;
}

/** The file's text. */
export function snapshotText(): string {
  return `${JSON.stringify(contractSnapshot(), null, 1)}\n`;
}

/** Copies a schema without its descriptions. A *property* called `description` or `summary` is a schema and stays. */
function withoutWords(value: unknown, isNames = false): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutWords(item));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(
        ([key, field]) =>
          isNames || !(['description', 'summary', '$schema', 'title'].includes(key) && typeof field === 'string'),
      )
      .map(([key, field]) => [key, withoutWords(field, ['properties', 'methods', 'events'].includes(key))]),
  );
}
