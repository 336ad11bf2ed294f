import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GatewayOptions, LiveOptions } from '@openclaw/server';
import JSON5 from 'json5';
import { describe, expect, test } from 'vitest';
import { configurationPage } from '../scripts/configuration-page.ts';
import { limitSettingsSource } from '../scripts/limit-settings.ts';
import { ConfigError, parseConfig } from '../src/config.ts';
import { configForm } from '../src/config-form.ts';
import { settingIndex } from '../src/config-index.ts';
import { secretMark, shownConfig } from '../src/config-redaction.ts';
import { configSchema } from '../src/config-schema.ts';
import { settingsOf } from '../src/setting.ts';

const settings = settingsOf(configSchema);
const paths = settings.map(({ path }) => path);
const read = (config: unknown) => parseConfig(JSON5.stringify(config), {}, `${tmpdir()}/c.json5`).config;

/** Where each option of the server is in the file. An option that is missing here does not compile. */
const live: Record<keyof LiveOptions, string> = {
  auth: 'auth',
  tokens: 'tokens',
  tailscale: 'tailscale',
  allowedOrigins: 'http.allowedOrigins',
  allowedHosts: 'http.allowedHosts',
  trustedProxies: 'http.trustedProxies',
  publicUrl: 'http.publicUrl',
  limits: 'limits',
  tls: 'tls',
  effects: 'effects',
  hooks: 'hooks',
  openAi: 'openAi',
  uploads: 'uploads',
};

type Section<Name extends keyof GatewayOptions> = Record<keyof NonNullable<GatewayOptions[Name]>, true>;
type Mapping = NonNullable<NonNullable<GatewayOptions['hooks']>['mappings']>[string];

const effects: Section<'effects'> = { hook: true, http: true, channel: true, sources: true };
const hooks: Section<'hooks'> = {
  token: true,
  secret: true,
  allowRequestSessionKey: true,
  defaultSessionKey: true,
  maxBodyBytes: true,
  toleranceMs: true,
  mappings: true,
};
const mapping: Record<keyof Mapping, true> = {
  action: true,
  message: true,
  sessionKey: true,
  agentId: true,
  mode: true,
  secret: true,
  signature: true,
  idempotencyKey: true,
  idempotencyHeader: true,
};
const openAi: Section<'openAi'> = {
  chatCompletions: true,
  responses: true,
  maxBodyBytes: true,
  maxOpenAnswers: true,
  heartbeatMs: true,
  stallMs: true,
};
const uploads: Section<'uploads'> = {
  maxBytes: true,
  maxImageBytes: true,
  totalBytes: true,
  principalBytes: true,
  maxCount: true,
  principalCount: true,
  lifetimeMs: true,
  types: true,
  maxConcurrent: true,
};
const retention: Section<'retention'> = {
  maxAgeMs: true,
  auditAgeMs: true,
  maxEvents: true,
  maxBytes: true,
  mergeAfterMs: true,
};
const limits = Object.fromEntries(
  Object.keys(configSchema.shape.limits.unwrap().shape).map((name) => [name, true]),
) as Section<'limits'>;

describe('the schema of the configuration', () => {
  test('has every option of the server', () => {
    expect(paths).toEqual(expect.arrayContaining(Object.values(live)));
    const sections = { effects, hooks, 'hooks.mappings.*': mapping, openAi, uploads, retention, limits };
    for (const [section, options] of Object.entries(sections)) {
      const there = settingIndex().namesIn(section.split('.'));
      expect([section, there.sort()]).toEqual([section, Object.keys(options).sort()]);
    }
  });

  test('says of everything what it does', () => {
    for (const { path, about, isSection } of settings) {
      // A row of a list, and the section of one name, are told of where the list is.
      if (isSection && path.endsWith('*')) continue;
      expect([path, about]).toEqual([path, expect.stringMatching(/^[A-Z`].*[.]$/s)]);
    }
  });

  test('is what the docs say, and the limits are the server’s (npm run generate)', () => {
    const kept = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
    expect(kept('../src/limit-settings.gen.ts')).toBe(limitSettingsSource());
    expect(kept('../../../docs/gateway/configuration.md')).toBe(configurationPage());
  });

  test('takes what is a default as well when it is written out', () => {
    for (const { path, standard, isSecret } of settings) {
      if (standard === undefined || isSecret || path.includes('*') || !/^(\d+|true|false|'.*')$/.test(standard))
        continue;
      const config = path.split('.').reduceRight<unknown>((value, name) => ({ [name]: value }), JSON5.parse(standard));
      expect(() => read(config), path).not.toThrow();
    }
  });

  test('tells a form which fields are secrets, and what else a secret may be', () => {
    const { schema, uiHints } = configForm();
    for (const { path, isSecret } of settings)
      expect([path, uiHints[path]?.sensitive ?? false]).toEqual([path, isSecret]);
    const { properties } = schema as { properties: { tokens: { additionalProperties: { properties: unknown } } } };
    expect(properties.tokens.additionalProperties.properties).toMatchObject({
      token: { anyOf: [{ type: 'string' }, { required: ['env'] }, { required: ['file'] }] },
    });
    expect(uiHints['http.allowedOrigins']).toMatchObject({ label: 'Allowed origins', help: expect.any(String) });
    expect(uiHints.port).toMatchObject({ advanced: true });
  });
});

describe('a configuration in the docs', () => {
  const docs = new URL('../../../docs/deploy/', import.meta.url);
  const files = readdirSync(docs).filter((name) => name.endsWith('.json5'));
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const examples = [
    ...files.map((name): [string, string] => [name, readFileSync(new URL(name, docs), 'utf8')]),
    ...[...readme.matchAll(/```json5\n(.*?)```/gs)].map(([, text = '']): [string, string] => ['README.md', text]),
  ];

  test.each(examples)('is valid: %s', (_, source) => {
    const directory = mkdtempSync(join(tmpdir(), 'docs-'));
    try {
      for (const [, name = ''] of source.matchAll(/file: '([^'/]+|\.\/[^']+)'/g))
        writeFileSync(join(directory, name), 'x'.repeat(32));
      const names = [...source.matchAll(/env: '(\w+)'|\$\{(\w+)/g)].map(([, one, other]) => one ?? other ?? '');
      const env = Object.fromEntries(names.map((name) => [name, 'x'.repeat(32)]));
      expect(() => parseConfig(source, env, join(directory, 'config.json5'))).not.toThrow();
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

const canary = 'canary-3f9a-secret';
const secrets = {
  auth: { mode: 'token', token: canary, password: canary },
  tokens: { ci: { token: canary, scopes: ['operator.read'] } },
  hooks: {
    token: canary,
    secret: canary,
    mappings: { git: { message: 'm', secret: canary } },
  },
  agent: {
    apiKey: canary,
    baseUrl: `https://user:${canary}@model.example/v1?key=${canary}`,
    tools: [{ name: 't', description: 'd', command: ['run', `--key=${canary}`], env: { KEY: canary } }],
    mcpServers: {
      one: { command: 'm', args: [canary], env: { KEY: canary } },
      two: { url: `https://m.example/mcp?key=${canary}`, headers: { authorization: canary } },
    },
  },
};

describe('a secret of the configuration', () => {
  test('is not shown, whichever field it is in', () => {
    const pathsOf = (value: unknown, at: string[]): string[][] =>
      typeof value === 'object' && value !== null
        ? Object.entries(value).flatMap(([key, field]) => pathsOf(field, [...at, key]))
        : [at];
    const given = pathsOf(secrets, []);
    for (const { path, isSecret } of settings) {
      const pattern = path.split('.');
      const isGiven = given.some(
        (one) => one.length === pattern.length && pattern.every((part, at) => part === '*' || part === one[at]),
      );
      if (isSecret) expect([path, isGiven]).toEqual([path, true]);
    }
    const shown = JSON.stringify(shownConfig(read(secrets)));
    expect(shown).not.toContain(canary);
    expect(shown.split(secretMark).length).toBeGreaterThan(12);
    expect(shown).toContain('model.example/v1');
  });

  test('is not in what is said of a configuration that is not valid', () => {
    const spoilt = [
      { ...secrets, auth: { mode: canary } },
      { ...secrets, auth: { mode: 'token', token: [canary] } },
      { ...secrets, tokens: { ci: { token: { vault: canary }, scopes: [canary] } } },
      { ...secrets, agent: { baseUrl: `ftp://${canary}`, provider: canary, maxSteps: canary } },
      { ...secrets, http: { allowedOrigins: [canary], publicUrl: canary } },
      { ...secrets, effects: { hook: canary } },
      { ...secrets, port: canary, limits: { maxSockets: canary } },
    ];
    for (const config of spoilt) {
      const error = (() => {
        try {
          return read(config);
        } catch (thrown) {
          return thrown;
        }
      })();
      expect(error).toBeInstanceOf(ConfigError);
      expect(`${(error as ConfigError).message} ${JSON.stringify((error as ConfigError).problems)}`).not.toContain(
        canary,
      );
    }
  });
});
