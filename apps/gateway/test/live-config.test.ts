import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VirtualClock } from '@openclaw/protocol/testing';
import type { ConfigChange } from '@openclaw/server';
import { expect, onTestFinished, test } from 'vitest';
import { LiveConfig } from '../src/live-config.ts';
import { resolveSettings } from '../src/settings.ts';

/** A configuration in use, whose file is read when the test says so. */
const opened = async (text: string) => {
  const directory = mkdtempSync(join(tmpdir(), 'live-config-'));
  const path = join(directory, 'c.json5');
  writeFileSync(path, text);
  const stateDirectory = join(directory, 'state');
  const flags = { config: path, stateDirectory };
  const settings = await resolveSettings(flags, {});
  const clock = new VirtualClock();
  const changes: ConfigChange[] = [];
  const config = new LiveConfig({
    settings,
    ground: { flags, env: {}, now: () => 0, stateDirectory, configPath: path },
    apply: () => {},
    changed: (change) => changes.push(change),
    warn: () => {},
    clock,
  });
  onTestFinished(() => {
    config.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return { config, clock, path, changes, directory };
};

test('what a refused configuration names may come later, wherever it is', async () => {
  const { config, clock, path, changes, directory } = await opened('{}');
  writeFileSync(path, "{ tokens: { ci: { token: { file: './later/token' }, scopes: ['operator.read'] } } }");
  await config.reload();
  expect(config.get()).toMatchObject({ valid: false, problem: expect.stringContaining('does not exist') });
  mkdirSync(join(directory, 'later'));
  writeFileSync(join(directory, 'later/token'), 'a-token-for-the-ci-jobs', { mode: 0o600 });
  await clock.advance(5_000);
  await expect.poll(() => config.get().valid).toBe(true);
  expect(config.get()).toMatchObject({ valid: true, config: { tokens: { ci: { scopes: ['operator.read'] } } } });
  // Told once when it was refused, and once when it was taken; trying again in between is no news.
  expect(changes).toEqual([
    expect.objectContaining({ problem: expect.any(String) }),
    expect.objectContaining({ changed: ['tokens.ci'] }),
  ]);
});

test('a file that could not be read for a while is in use again, as it was', async () => {
  const { config, path, changes } = await opened('{ limits: { maxConnections: 5 } }');
  rmSync(path);
  mkdirSync(path);
  await config.reload();
  expect(config.get()).toMatchObject({ valid: false, problem: expect.stringContaining("can't be read") });
  rmSync(path, { recursive: true });
  writeFileSync(path, '{ limits: { maxConnections: 5 } }');
  await config.reload();
  expect(config.get()).toMatchObject({ valid: true, config: { limits: { maxConnections: 5 } } });
  expect(changes).toHaveLength(2);
});
