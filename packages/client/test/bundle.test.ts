import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build, minify } from 'vite';
import { afterAll, expect, test } from 'vitest';

const source = `export { connect } from '@openclaw/client';`;
const directories: string[] = [];

afterAll(async () => {
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
});

/** What a browser loads of `code`, and what it loads later, when it meets a gateway without streams. */
async function bundle(code: string, isMinified: boolean): Promise<{ first: string; later: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'client-bundle-'));
  directories.push(directory);
  const entry = join(directory, 'entry.js');
  await writeFile(entry, code);
  const output = await build({
    configFile: false,
    logLevel: 'silent',
    root: import.meta.dirname,
    resolve: {
      conditions: ['@openclaw/source', 'browser', 'import', 'default'],
      alias: { '@openclaw/client': join(import.meta.dirname, '../src/index.ts') },
    },
    // Lib mode, so that nothing of vite's own comes along; it keeps whitespace, so minifying is a step of its own.
    build: { write: false, minify: false, target: 'es2023', lib: { entry, formats: ['es'], fileName: 'entry' } },
  });
  const [result] = Array.isArray(output) ? output : [output];
  if (!result || !('output' in result)) throw new Error('vite gave no output');
  const chunks = result.output.flatMap((chunk) => (chunk.type === 'chunk' ? [chunk] : []));
  const text = async (isLater: boolean) => {
    const codes = chunks.filter(({ isDynamicEntry }) => isDynamicEntry === isLater).map((chunk) => chunk.code);
    if (!isMinified) return codes.join('\n');
    const small = await Promise.all(codes.map((plain) => minify('chunk.js', plain, { module: true })));
    return small.map((result) => result.code).join('\n');
  };
  return { first: await text(false), later: await text(true) };
}

test('the browser bundle holds no Node built-in, no ws and no schema library', async () => {
  const { first, later } = await bundle(source, false);
  expect(first + later).not.toMatch(/from\s*["']node:|require\(["']|["']node:/);
  expect(first + later).not.toMatch(/class WebSocketServer|ZodType/);
  expect(first).toContain('connect.challenge');
  expect(later).toContain('chat.history');
});

test('the device identity is made for browsers too, and costs nothing where it is not imported', async () => {
  const { first } = await bundle(`export * from '${join(import.meta.dirname, '../src/device/index.ts')}';`, false);
  expect(first).not.toMatch(/from\s*["']node:|require\(["']|["']node:/);
  expect(first).toContain('Ed25519');
  expect((await bundle(source, false)).first).not.toContain('Ed25519');
});

test('the browser bundle has at most 12 kB, minified and gzipped', async () => {
  const { first, later } = await bundle(source, true);
  const bytes = gzipSync(first, { level: 9 }).length;
  console.log(
    `client bundle: ${first.length} bytes minified, ${bytes} gzipped; for v4 gateways later ${gzipSync(later, { level: 9 }).length} more`,
  );
  expect(bytes).toBeLessThanOrEqual(12_000);
});

test('importing it without using it leaves nothing in a bundle: it has no side effects', async () => {
  const { first } = await bundle(`import '@openclaw/client'; export const answer = 42;`, true);
  expect(first.length).toBeLessThan(200);
});
