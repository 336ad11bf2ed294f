import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

/** What a file imports before it runs; types and what is imported where it is used are not among that. */
function importsOf(file: URL): string[] {
  const source = readFileSync(file, 'utf8');
  const statements = source.matchAll(/^(?:import|export)\s+(?!type\b)([^;'"]*?from\s+)?['"]([^'"]+)['"]/gm);
  return [...statements]
    .filter(([, names = '']) => !/^\{\s*(type \w+,?\s*)+\}\s*from\s*$/.test(names))
    .map(([, , specifier = '']) => specifier);
}

test('a start without a configuration loads nothing that only a configuration, a log line or TLS needs', () => {
  const found = new Set<string>();
  const visit = (file: URL) => {
    for (const specifier of importsOf(file)) {
      const isOwn = specifier.startsWith('.');
      const name = isOwn ? new URL(specifier, file).href.split('/src/')[1] : specifier;
      if (name === undefined || found.has(name)) continue;
      found.add(name);
      if (isOwn) visit(new URL(specifier, file));
    }
  };
  for (const entry of ['main.ts', 'program.ts']) visit(new URL(`../src/${entry}`, import.meta.url));
  expect([...found]).toEqual(expect.arrayContaining(['settings.ts', 'default-config.ts', '@openclaw/store-sqlite']));
  const heavy = ['zod', 'json5', 'pino', 'prom-client', '@openclaw/client', '@openclaw/server', '@openclaw/protocol'];
  const late = ['config.ts', 'config-schema.ts', 'live-config.ts', 'certificate.ts', 'commands/setup-code.ts'];
  expect([...heavy, ...late].filter((name) => found.has(name))).toEqual([]);
});
