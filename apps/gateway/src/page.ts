import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where the built chat page is: beside the built program, or, when that runs from its sources, in the example itself. */
export function pageDirectory(base: string = import.meta.url): string | undefined {
  const candidates = ['./page', '../dist/page', '../../../examples/chat-web/dist'];
  return candidates
    .map((path) => fileURLToPath(new URL(path, base)))
    .find((path) => existsSync(join(path, 'index.html')));
}
