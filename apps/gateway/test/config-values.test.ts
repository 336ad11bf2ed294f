import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { settingIndex } from '../src/config-index.ts';
import { resolveValues } from '../src/config-values.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'config-values-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const env = { HUSH: 'hush', EMPTY: '' };
const resolved = (source: unknown) => resolveValues(source, { env, directory, index: settingIndex() });
const secretFile = (text: string, mode = 0o600) => {
  const path = join(directory, 'secret.txt');
  writeFileSync(path, text);
  chmodSync(path, mode);
};

describe('references in a configuration', () => {
  test('a variable that is missing or empty has the default that is given, which may be empty', () => {
    const source = { bind: '${HUSH:-other}', list: ['${NONE:-de}-${EMPTY:-fault}', '${NONE:-}'] };
    expect(resolved(source)).toMatchObject({ value: { bind: 'hush', list: ['de-fault', ''] }, problems: [] });
  });

  test('one without a default is named, and every one of them', () => {
    expect(resolved({ bind: '${NONE}', http: { page: '${EMPTY}' } }).problems).toEqual([
      { path: 'bind', message: expect.stringContaining('${NONE}') },
      { path: 'http.page', message: expect.stringContaining('${EMPTY}') },
    ]);
  });

  test('a secret may be a variable or a file beside the configuration, without the white space around it', () => {
    secretFile('  of the file\n\n');
    const source = {
      auth: { token: { env: 'HUSH' }, password: { file: './secret.txt' } },
      tokens: { ci: { token: { file: join(directory, 'secret.txt') } } },
      hooks: { mappings: { git: { secret: { env: 'HUSH' } } } },
      agent: {
        apiKey: { env: 'HUSH' },
        mcpServers: { m: { env: { env: { env: 'HUSH' } }, headers: { file: { env: 'HUSH' } } } },
      },
    };
    expect(resolved(source)).toEqual({
      value: {
        auth: { token: 'hush', password: 'of the file' },
        tokens: { ci: { token: 'of the file' } },
        hooks: { mappings: { git: { secret: 'hush' } } },
        agent: { apiKey: 'hush', mcpServers: { m: { env: { env: 'hush' }, headers: { file: 'hush' } } } },
      },
      problems: [],
      warnings: [],
      secretFiles: [join(directory, 'secret.txt'), join(directory, 'secret.txt')],
    });
  });

  test('elsewhere such an object is an object', () => {
    const source = { agent: { tools: [{ parameters: { env: 'HUSH' } }] }, bind: { file: './secret.txt' } };
    expect(resolved(source)).toMatchObject({ value: source, problems: [], secretFiles: [] });
  });

  test('what a file says is not looked at again', () => {
    secretFile('${HUSH}');
    expect(resolved({ auth: { token: { file: './secret.txt' } } }).value).toEqual({ auth: { token: '${HUSH}' } });
  });

  test('a secret that every user can read is told', () => {
    secretFile('text', 0o644);
    const { warnings, value } = resolved({ auth: { token: { file: './secret.txt' } } });
    expect(value).toEqual({ auth: { token: 'text' } });
    expect(warnings).toEqual([expect.stringMatching(/secret\.txt.*"auth\.token".*chmod 600/)]);
  });

  test.each([
    [{ env: 'NONE' }, /NONE, which is not set/],
    [{ file: './none.txt' }, /none\.txt, which does not exist/],
    [{ file: './secret.txt' }, /which is empty/],
    [{ file: '.' }, /EISDIR/],
    [{ env: 'HUSH', file: './secret.txt' }, /must be a text/],
    [{ vault: 'x' }, /must be a text/],
    [{ env: 3 }, /must be a text/],
    [{}, /must be a text/],
  ])('%j is refused with its place', (token, message) => {
    secretFile(' \n');
    expect(resolved({ auth: { token } }).problems).toEqual([
      { path: 'auth.token', message: expect.stringMatching(message) },
    ]);
  });
});
