import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { keptToken, prepareStateDirectory } from '../src/state-directory.ts';

let parent: string;
const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'state-directory-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

describe('the state directory', () => {
  test('is made, parents included, and for nobody else', () => {
    const directory = prepareStateDirectory(join(parent, 'a', 'b'));
    expect(modeOf(directory)).toBe('700');
  });

  test('may be an empty directory, or a fresh volume, and is closed to others', () => {
    const directory = join(parent, 'empty');
    mkdirSync(join(directory, 'lost+found'), { recursive: true });
    chmodSync(directory, 0o755);
    prepareStateDirectory(directory);
    expect(modeOf(directory)).toBe('700');
  });

  test('may hold a configuration that was written before the first start', () => {
    const directory = join(parent, 'configured');
    mkdirSync(directory);
    writeFileSync(join(directory, 'config.json5'), '{}');
    expect(prepareStateDirectory(directory)).toBe(directory);
    expect(readFileSync(join(directory, 'config.json5'), 'utf8')).toBe('{}');
  });

  test('is known again', () => {
    const directory = prepareStateDirectory(join(parent, 'known'));
    writeFileSync(join(directory, 'gateway.sqlite'), '');
    expect(prepareStateDirectory(directory)).toBe(directory);
  });

  test('is not somebody else’s: what is in it, and its mode, stay as they are', () => {
    chmodSync(parent, 0o755);
    writeFileSync(join(parent, 'letter.txt'), 'dear');
    expect(() => prepareStateDirectory(parent)).toThrow(
      expect.objectContaining({ exitCode: 78, message: expect.stringContaining(parent) }),
    );
    expect(readdirSync(parent)).toEqual(['letter.txt']);
    expect(modeOf(parent)).toBe('755');
  });

  test('is not a file', () => {
    const file = join(parent, 'file');
    writeFileSync(file, '');
    expect(() => prepareStateDirectory(file)).toThrow(
      expect.objectContaining({ exitCode: 78, message: expect.stringContaining('not a directory') }),
    );
  });
});

describe('the kept token', () => {
  test('is made once, and for nobody else', () => {
    const token = keptToken(parent);
    expect(token).toMatch(/^[\w-]{43}$/);
    expect(keptToken(parent)).toBe(token);
    expect(modeOf(join(parent, 'token'))).toBe('600');
  });

  test('is closed to others when it was not', () => {
    writeFileSync(join(parent, 'token'), 'mine\n', { mode: 0o644 });
    expect(keptToken(parent)).toBe('mine');
    expect(modeOf(join(parent, 'token'))).toBe('600');
  });

  test('is never empty', () => {
    writeFileSync(join(parent, 'token'), '\n');
    expect(() => keptToken(parent)).toThrow(expect.objectContaining({ exitCode: 78 }));
    expect(readFileSync(join(parent, 'token'), 'utf8')).toBe('\n');
  });
});
