import { expect, test } from 'vitest';
import { parseConfig } from '../src/config.ts';
import { knownSecrets } from '../src/known-secrets.ts';
import type { Settings } from '../src/settings.ts';

test('everything that is hidden in the configuration is known as a secret, and what is shown is not', () => {
  const source = `{
    bind: '127.0.0.1-shown',
    auth: { mode: 'token', token: { env: 'CONFIGURED' }, password: 'a password' },
    tokens: { ci: { token: 'a-named-token-of-ci', scopes: ['operator.read'] } },
    agent: {
      baseUrl: 'https://models.example/v1?key=in-the-address',
      apiKey: 'sk-of-the-model',
      mcpServers: {
        web: { url: 'https://mcp.example', headers: { authorization: 'Bearer of-the-server' } },
        own: { command: 'run-me-please', args: ['--key=in-an-argument'], env: { KEY: 'in-a-variable', N: '1' } },
      },
    },
  }`;
  const { config, shown } = parseConfig(source, { CONFIGURED: 'from-the-environment' }, '/c.json5');
  const settings = { config, shown, live: { auth: { mode: 'token', token: 'kept-in-a-file' } } } as unknown as Settings;
  const env = { OPENAI_API_KEY: 'sk-of-openai', HOME: '/home/somebody', EMPTY_TOKEN: undefined };
  expect(knownSecrets(settings, { token: 'of-the-flag', agentKey: 'short' }, env).sort()).toEqual(
    [
      '--key=in-an-argument',
      'Bearer of-the-server',
      'a password',
      'a-named-token-of-ci',
      'from-the-environment',
      'https://models.example/v1?key=in-the-address',
      'in-a-variable',
      'in-the-address',
      'kept-in-a-file',
      'of-the-server',
      'of-the-flag',
      'sk-of-openai',
      'sk-of-the-model',
    ].sort(),
  );
});
