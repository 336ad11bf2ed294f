import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import JSON5 from 'json5';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ConfigError } from '../src/config.ts';
import { editedConfig } from '../src/config-edit.ts';
import { readConfigText } from '../src/config-file.ts';
import { secretMark, shownConfig } from '../src/config-redaction.ts';

let stateDirectory: string;

beforeEach(() => {
  stateDirectory = mkdtempSync(join(tmpdir(), 'config-edit-'));
});
afterEach(() => rmSync(stateDirectory, { recursive: true, force: true }));

const env = { HUSH: 'hush-of-the-environment', HOST: 'gateway.example' };

const edit = (kind: 'patch' | 'set', before: string, raw: unknown) => {
  const configPath = join(stateDirectory, 'config.json5');
  writeFileSync(configPath, before);
  const ground = { flags: { stateDirectory }, env, now: () => 0, stateDirectory, configPath };
  return editedConfig(kind, typeof raw === 'string' ? raw : JSON5.stringify(raw), readConfigText(configPath), ground);
};
const patched = async (before: string, raw: unknown) => JSON5.parse((await edit('patch', before, raw)).text);
const problemsOf = async (edited: Promise<unknown>) => {
  try {
    await edited;
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  throw new Error('was not refused');
};

describe('a patch', () => {
  test('of a file that can’t be read says that it is the file', async () => {
    expect(await problemsOf(edit('patch', '{ this is', { metrics: false }))).toEqual([
      { path: '', message: expect.stringMatching(/on the disk is no JSON5.*1:8.*config\.set/) },
    ]);
  });

  test('merges sections, replaces lists, and deletes with null', async () => {
    const before =
      "{ port: 1, http: { allowedHosts: ['a'], trustedProxies: ['10.0.0.1'] }, limits: { handshakeMs: 5 } }";
    expect(await patched(before, { http: { allowedHosts: ['b'] }, limits: null })).toEqual({
      port: 1,
      http: { allowedHosts: ['b'], trustedProxies: ['10.0.0.1'] },
    });
  });

  test('leaves references what they are', async () => {
    const before = "{ auth: { mode: 'token', token: { env: 'HUSH' } }, http: { allowedHosts: ['${HOST}'] } }";
    const { text, settings } = await edit('patch', before, { port: 5 });
    expect(JSON5.parse(text)).toEqual({ ...JSON5.parse(before), port: 5 });
    expect(settings.live.allowedHosts).toEqual(['gateway.example']);
    expect(text).not.toContain('hush');
  });

  test('keeps a secret, and a reference to one, for its mark', async () => {
    const before =
      "{ auth: { mode: 'token', token: 'a-secret-of-the-file', password: '${HUSH}' }, agent: { apiKey: { env: 'HUSH' } } }";
    const marks = { auth: { token: secretMark, password: secretMark }, agent: { apiKey: secretMark, model: 'm' } };
    const addressed = { ...marks, agent: { ...marks.agent, baseUrl: 'http://m.example/v1' } };
    expect(await patched(before, addressed)).toEqual({
      auth: { mode: 'token', token: 'a-secret-of-the-file', password: '${HUSH}' },
      agent: { apiKey: { env: 'HUSH' }, model: 'm', baseUrl: 'http://m.example/v1' },
    });
  });

  test('keeps the rows of a list by their names when one is taken out', async () => {
    const tools = [
      { name: 'one', description: 'd', command: ['one', '--key=first'] },
      { name: 'two', description: 'd', command: ['two', '--key=second'] },
    ];
    const shown = shownConfig({ agent: { tools } }) as { agent: { tools: typeof tools } };
    expect(JSON.stringify(shown)).not.toContain('--key');
    const after = await patched(JSON5.stringify({ agent: { tools } }), { agent: { tools: [shown.agent.tools[1]] } });
    expect(after.agent.tools).toEqual([tools[1]]);
  });

  test('keeps the password in an address that is shown without it', async () => {
    const before = { agent: { mcpServers: { web: { url: 'https://ada:hush@web.example/mcp?key=hush' } } } };
    const shown = shownConfig(before);
    expect(JSON.stringify(shown)).not.toContain('hush');
    expect(await patched(JSON5.stringify(before), shown)).toEqual(before);
  });

  test.each([
    ['where nothing is stored', '{}', { auth: { token: secretMark } }, 'auth.token'],
    ['in a place of another kind', '{ port: 1 }', { bind: secretMark }, 'bind'],
    [
      'inside of another text',
      "{ auth: { mode: 'token', token: 'x' } }",
      { auth: { token: `Bearer ${secretMark}` } },
      'auth.token',
    ],
    [
      'in a list that has another length',
      "{ agent: { mcpServers: { m: { command: 'c', args: ['a', 'b'] } } } }",
      { agent: { mcpServers: { m: { args: [secretMark] } } } },
      'agent.mcpServers.m.args.0',
    ],
  ])('refuses the mark of a secret %s', async (_, before, raw, path) => {
    expect(await problemsOf(edit('patch', before, raw))).toEqual([
      { path, message: expect.stringContaining('is the mark of a secret') },
    ]);
  });

  test('mends a file that does not pass, but not one that is no JSON5', async () => {
    expect(await patched('{ prot: 1 }', { prot: null, port: 1 })).toEqual({ port: 1 });
    expect((await problemsOf(edit('patch', '{ port: ', { port: 1 })))[0]?.message).toMatch(/is no JSON5/);
  });

  test.each(['[]', 'null', '"{}"', '3'])('%s is no patch', async (raw) => {
    expect(await problemsOf(edit('patch', '{}', raw))).toEqual([{ path: '', message: 'must be an object: { … }' }]);
  });

  test('can’t reach the prototype of anything', async () => {
    const raw = '{ "__proto__": { "bind": "lan" }, "constructor": { "prototype": { "x": 1 } } }';
    expect((await problemsOf(edit('patch', '{}', raw))).map(({ path }) => path)).toContain('constructor');
    expect(Object.hasOwn(Object.prototype, 'x')).toBe(false);
    expect(({} as { bind?: string }).bind).toBeUndefined();
  });
});

describe('a whole', () => {
  test('is written as it was given, comments and all', async () => {
    const raw = '{\n  // why\n  port: 1, // so\n}\n';
    expect((await edit('set', '{ port: 2 }', raw)).text).toBe(raw);
  });

  test('keeps secrets for their marks, and its comments', async () => {
    const before = "{ auth: { mode: 'token', token: { env: 'HUSH' }, password: 'it’s \"so\"' } }";
    const raw = `{\n  // why\n  auth: { mode: 'token', token: "${secretMark}", password: '${secretMark}' },\n}`;
    const { text } = await edit('set', before, raw);
    expect(text).toContain('// why');
    expect(JSON5.parse(text)).toEqual(JSON5.parse(before));
  });

  test('is printed anew when a mark stands where no value is', async () => {
    const raw = `{ /* '${secretMark}' */ auth: { mode: 'token', token: '${secretMark}' } }`;
    const { text } = await edit('set', "{ auth: { mode: 'token', token: 'kept-secret' } }", raw);
    expect(JSON5.parse(text)).toEqual({ auth: { mode: 'token', token: 'kept-secret' } });
  });

  test('takes the place of a file that is no JSON5', async () => {
    expect((await edit('set', '{ port: ', '{ port: 3 }')).settings.port).toBe(3);
  });

  test('names the setting that was probably meant', async () => {
    expect(await problemsOf(edit('set', '{}', { http: { alowedOrigin: [] } }))).toEqual([
      { path: 'http.alowedOrigin', message: 'is not a setting; did you mean "http.allowedOrigins"?' },
    ]);
    expect(await problemsOf(edit('set', '{}', { gateway: { port: 1 }, allowedHosts: [] }))).toEqual([
      { path: 'gateway', message: 'is not a setting' },
      { path: 'allowedHosts', message: 'is not a setting; did you mean "http.allowedHosts"?' },
    ]);
  });
});
