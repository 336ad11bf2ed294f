import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Flags } from '../src/flags.ts';
import { isLoopback, resolveSettings } from '../src/settings.ts';

let parent: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'settings-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const settings = async (flags: Flags = {}, config?: string) => {
  const stateDirectory = join(parent, 'state');
  if (config !== undefined) writeFileSync(join(parent, 'c.json5'), config);
  return resolveSettings(
    { stateDirectory, ...(config === undefined ? {} : { config: join(parent, 'c.json5') }), ...flags },
    {},
  );
};

describe('settings', () => {
  test('without a word it is the usual port on loopback with a token of its own', async () => {
    const { host, port, live, tokenFile, agent } = await settings();
    expect({ host, port, agent }).toEqual({ host: '127.0.0.1', port: 18_789, agent: { kind: 'demo' } });
    expect(live.auth).toEqual({ mode: 'token', token: readFileSync(String(tokenFile), 'utf8').trim() });
  });

  test('a flag wins over the configuration', async () => {
    const { port, host } = await settings({ port: 5 }, '{ port: 6, bind: "lan" }');
    expect({ port, host }).toEqual({ port: 5, host: '0.0.0.0' });
  });

  test('a given token is not written down', async () => {
    const { live, tokenFile } = await settings({ token: 'given' });
    expect({ auth: live.auth, tokenFile }).toEqual({ auth: { mode: 'token', token: 'given' }, tokenFile: undefined });
    expect(existsSync(join(parent, 'state', 'token'))).toBe(false);
  });

  test('a token by flag goes with the password of the configuration', async () => {
    expect((await settings({ token: 't' }, '{ auth: { mode: "password", password: "p" } }')).live.auth).toEqual({
      mode: 'token',
      token: 't',
      password: 'p',
    });
  });

  test('the configuration in the state directory is read by itself', async () => {
    await settings();
    const path = join(parent, 'state', 'config.json5');
    writeFileSync(path, '{ port: 7 }');
    expect(await settings()).toMatchObject({ port: 7, configPath: path });
  });

  test('a page that is not there is refused before it is needed', async () => {
    await expect(settings({}, '{ http: { page: "./nowhere" } }')).rejects.toThrow(
      /"http.page" names .*nowhere.*index.html/,
    );
  });

  test('a bad configuration leaves no state directory behind', async () => {
    await expect(settings({}, '{ prot: 1 }')).rejects.toThrow(/prot/);
    expect(existsSync(join(parent, 'state'))).toBe(false);
  });

  test.each(['0.0.0.0', 'lan', '::', '192.168.1.7', 'example.org'])(
    'without auth it does not bind to %s',
    async (bind) => {
      await expect(settings({ bind }, '{ auth: { mode: "none" } }')).rejects.toThrow(
        expect.objectContaining({ exitCode: 78 }),
      );
      expect((await settings({ bind, token: 't' }, '{ auth: { mode: "none" } }')).live.auth).toEqual({
        mode: 'token',
        token: 't',
      });
    },
  );

  test('loopback has several names, and 127 in a name is not one', async () => {
    expect(['127.0.0.1', '127.8.8.8', '::1', 'localhost'].every(isLoopback)).toBe(true);
    expect(['127.example.org', '0.0.0.0', '10.0.0.1'].some(isLoopback)).toBe(false);
  });
});
