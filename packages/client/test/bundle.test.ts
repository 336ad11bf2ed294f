import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { afterAll, expect, test } from 'vitest';

const directories: string[] = [];

afterAll(async () => {
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
});

/** What a browser gets of `import { connect } from '@openclaw/client'`. */
async function bundle(source: string, isMinified: boolean): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'client-bundle-'));
  directories.push(directory);
  const entry = join(directory, 'entry.js');
  await writeFile(entry, source);
  const output = await build({
    configFile: false,
    logLevel: 'silent',
    root: import.meta.dirname,
    resolve: {
      conditions: ['@openclaw/source', 'browser', 'import', 'default'],
      alias: { '@openclaw/client': join(import.meta.dirname, '../src/index.ts') },
    },
    build: {
      write: false,
      minify: isMinified,
      target: 'es2023',
      lib: { entry, // The `es` format of lib mode keeps its whitespace.
        formats: ['iife'],
        name: 'client',
        fileName: 'entry' },
    },
  });
  const [result] = Array.isArray(output) ? output : [output];
  if (!result || !('output' in result)) throw new Error('vite gave no output');
  return result.output.map((chunk) => ('code' in chunk ? chunk.code : '')).join('\n');
}

test('the browser bundle holds no Node built-in, no ws and no schema library', async () => {
  const code = await bundle(`export { connect } from '@openclaw/client';`, false);
  expect(code).not.toMatch(/from\s*["']node:|require\(["']/);
  expect(code).not.toMatch(/perMessageDeflate\$1|class WebSocketServer|ZodType/);
  expect(code).toContain('connect.challenge');
});

test('the browser bundle has at most 12 kB, minified and gzipped', async () => {
  const code = await bundle(`export { connect } from '@openclaw/client';`, true);
  const bytes = gzipSync(code, { level: 9 }).length;
  console.log(`client bundle: ${code.length} bytes minified, ${bytes} bytes gzipped`);
  expect(bytes).toBeLessThanOrEqual(12_000);
});

test('importing it without using it leaves nothing in a bundle: it has no side effects', async () => {
  const code = await bundle(`import '@openclaw/client'; export const answer = 42;`, true);
  expect(code.length).toBeLessThan(200);
});
