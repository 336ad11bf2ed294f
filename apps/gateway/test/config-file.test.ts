import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readConfigText, writeConfigText } from '../src/config-file.ts';

let directory: string;
const at = (name: string) => join(directory, name);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'config-file-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('the configuration file', () => {
  test('a missing file reads as empty, with a hash of its own', () => {
    const { text, exists, hash } = readConfigText(at('c.json5'));
    expect({ text, exists }).toEqual({ text: '', exists: false });
    expect(hash).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  });

  test('a new file is readable by its owner alone, and leaves nothing else behind', async () => {
    const written = await writeConfigText(at('c.json5'), '{}');
    expect(written).toEqual(readConfigText(at('c.json5')));
    expect(statSync(at('c.json5')).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(['c.json5']);
  });

  test('a file that is replaced keeps its mode, and its text before is kept beside it', async () => {
    writeFileSync(at('c.json5'), 'one', { mode: 0o640 });
    await writeConfigText(at('c.json5'), 'two');
    expect(statSync(at('c.json5')).mode & 0o777).toBe(0o640);
    expect(readFileSync(at('c.json5'), 'utf8')).toBe('two');
    expect(readFileSync(at('c.json5.bak'), 'utf8')).toBe('one');
  });

  test('of a symbolic link the file behind it is replaced', async () => {
    mkdirSync(at('real'));
    writeFileSync(at('real/c.json5'), 'one');
    symlinkSync('real/c.json5', at('c.json5'));
    await writeConfigText(at('c.json5'), 'two');
    expect(readFileSync(at('real/c.json5'), 'utf8')).toBe('two');
    expect(readdirSync(directory).sort()).toEqual(['c.json5', 'real']);
  });

  test('what can’t be written leaves the old text and nothing else', async () => {
    writeFileSync(at('c.json5'), 'one');
    mkdirSync(at('c.json5.bak'));
    await expect(writeConfigText(at('c.json5'), 'two')).rejects.toThrow();
    expect(readFileSync(at('c.json5'), 'utf8')).toBe('one');
    expect(readdirSync(directory).sort()).toEqual(['c.json5', 'c.json5.bak']);
  });
});
