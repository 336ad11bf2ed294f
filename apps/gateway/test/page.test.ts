import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { pageDirectory } from '../src/page.ts';

let root: string;
const place = (path: string) => {
  mkdirSync(join(root, path), { recursive: true });
  writeFileSync(join(root, path, 'index.html'), '');
};
const from = (path: string) => pageDirectory(pathToFileURL(join(root, path)).href);

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'page-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test('the built program serves the page beside it', () => {
  place('apps/gateway/dist/page');
  expect(from('apps/gateway/dist/page.js')).toBe(join(root, 'apps/gateway/dist/page'));
});

test('from its sources it serves what was built', () => {
  place('examples/chat-web/dist');
  expect(from('apps/gateway/src/page.ts')).toBe(join(root, 'examples/chat-web/dist'));
});

test('without a built page there is none', () => {
  mkdirSync(join(root, 'apps/gateway/dist/page'), { recursive: true });
  expect(from('apps/gateway/dist/page.js')).toBeUndefined();
});
