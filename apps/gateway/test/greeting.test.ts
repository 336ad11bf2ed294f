import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Flags } from '../src/flags.ts';
import { greeting } from '../src/greeting.ts';
import { resolveSettings } from '../src/settings.ts';

const greeted = async (
  flags: Flags,
  { config = '{}', env = {}, code }: { config?: string; env?: object; code?: string },
) => {
  const directory = mkdtempSync(join(tmpdir(), 'greeting-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'c.json5');
  writeFileSync(path, config);
  const settings = await resolveSettings({ ...flags, config: path, stateDirectory: join(directory, 'state') }, {});
  const address = { address: settings.host, port: 5, family: 'IPv4' };
  const lines = greeting({ settings, address, version: '1', hasPage: true, code, env: { ...env }, tookMs: 1_234 });
  return lines.join('\n').replaceAll(directory, '/d');
};

test('on this machine only, it says where to go and where the token is, and nothing of phones', async () => {
  const text = await greeted({}, { code: 'once' });
  expect(text).toContain('Gateway 1 at http://127.0.0.1:5, started in 1.23 s. State: /d/state');
  expect(text).toContain('Open   http://127.0.0.1:5/#code=once');
  expect(text).toContain('the token in /d/state/token.');
  expect(text).not.toContain('Phone');
});

test('paths are short below the home of a person, and whole below that of a service', async () => {
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv('HOME', tmpdir());
  expect(await greeted({}, {})).toMatch(/State: ~\/greeting-\w+\/state/);
  vi.stubEnv('HOME', '/');
  expect(await greeted({}, {})).toContain('State: /d/state');
});

test('on the network, it says how a phone gets in, as it was started', async () => {
  const command = 'setup-code --port 5 --state-dir /d/state --config /d/c.json5   shows a code to scan';
  expect(await greeted({ bind: 'lan' }, {})).toContain(`Phone  openclaw-ws-gateway ${command}`);
  const env = { OPENCLAW_STARTED_BY: 'npm start' };
  expect(await greeted({ bind: 'lan' }, { env })).toContain(`Phone  node apps/gateway/dist/main.js ${command}`);
});

test('with TLS the address says so, and an agent from outside is told', async () => {
  const text = await greeted({}, { config: "{ tls: 'self-signed', agent: { external: true } }" });
  expect(text).toContain('https://127.0.0.1:5');
  expect(text).toContain('No agent is started here');
});
