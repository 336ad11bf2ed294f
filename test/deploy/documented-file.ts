import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A file of docs/deploy as it is printed there, with what every machine has to change put in place of the examples. */
export function documentedFile(name: string, changes: Readonly<Record<string, string>>): string {
  let text = readFileSync(fileURLToPath(new URL(`../../docs/deploy/${name}`, import.meta.url)), 'utf8');
  for (const [from, to] of Object.entries(changes)) {
    if (!text.includes(from)) throw new Error(`docs/deploy/${name} has no "${from}" any more; the test has to follow.`);
    text = text.replaceAll(from, to);
  }
  return text;
}
