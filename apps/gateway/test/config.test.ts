import { describe, expect, test } from 'vitest';
import { parseConfig, readConfig } from '../src/config.ts';
import { shownConfig } from '../src/config-redaction.ts';
import { defaultConfig } from '../src/default-config.ts';
import type { StartError } from '../src/exit.ts';

const read = (source: string, env = {}) => parseConfig(source, env, 'my.json5').config;

const refused = (source: string, env = {}) => {
  try {
    parseConfig(source, env, 'my.json5');
  } catch (error) {
    return error as StartError;
  }
  throw new Error('was not refused');
};

describe('configuration', () => {
  test('an empty file is the default', () => {
    expect(read('{}')).toEqual(defaultConfig);
  });

  test('it is JSON5: comments, trailing commas, bare names', () => {
    expect(read('{ port: 1, /* where */ bind: "lan", }')).toMatchObject({
      port: 1,
      bind: 'lan',
    });
  });

  test('${NAME} is the value of the environment, at any depth, and $${ stands for itself', () => {
    const source = '{ auth: { mode: "password", password: "${SECRET}" }, agent: { models: ["a-${TAG}", "$${TAG}"] } }';
    const config = read(source, { SECRET: 's', TAG: 'x' });
    expect(config.auth).toEqual({ mode: 'password', password: 's' });
    expect(config.agent.models).toEqual(['a-x', '${TAG}']);
  });

  test('a value that looks like a variable is not expanded again', () => {
    expect(read('{ bind: "${A}" }', { A: '${B}', B: 'no' }).bind).toBe('${B}');
  });

  test.each([
    ['{ port: ', {}, /my\.json5.*1:9/],
    ['{ port: "x" }', {}, /"port"/],
    ['{ prot: 1 }', {}, /"prot" is not a setting/],
    ['{ http: { alowedOrigins: [] } }', {}, /"http\.alowedOrigins" is not a setting/],
    ['{ auth: { mode: "password" } }', {}, /"auth\.password"/],
    ['{ auth: { mode: "none", token: "x" } }', {}, /"auth\.token" does not go with what else "auth" says/],
    ['{ auth: { mode: "open" } }', {}, /"auth\.mode"/],
    ['{ agent: { apiKey: "${MY_KEY}" } }', {}, /"agent\.apiKey".*MY_KEY/],
    ['{ agent: { baseUrl: "file:///etc/passwd" } }', {}, /"agent\.baseUrl"/],
    ['{ agent: { mcpServers: { x: {} } } }', {}, /"agent\.mcpServers\.x\.command" is missing/],
    ['{ auth: { token: "x" } }', {}, /"auth\.mode" must be "token" or "password" or/],
    ['{ tls: { key: "k.pem" } }', {}, /"tls\.cert" is missing/],
    ['{ tls: "selfsigned" }', {}, /"tls" must be "self-signed"/],
    ['{ retention: { maxEvents: 0 } }', {}, /"retention\.maxEvents" must be at least 1/],
    ['{ http: { publicUrl: "gateway.example" } }', {}, /"http\.publicUrl" must be an address with its scheme/],
    ['{ http: { allowedOrigins: ["https://panel.example/"] } }', {}, /"http\.allowedOrigins\.0".*without a path/],
    ['{ http: { allowedHosts: ["https://gateway.example"] } }', {}, /"http\.allowedHosts\.0".*a name alone/],
    ['{ http: { allowedHosts: ["gateway.example:443"] } }', {}, /"http\.allowedHosts\.0".*a name alone/],
    ['[]', {}, /the file/],
  ])('%s is refused with the place', (source, env, named) => {
    const { message, exitCode } = refused(source, env);
    expect(message).toMatch(named);
    expect(message).toContain('my.json5');
    expect(message).not.toContain('\n');
    expect(exitCode).toBe(78);
  });

  test('origins may be those of apps, and have ports', () => {
    const allowedOrigins = ['https://panel.example:8443', 'capacitor://localhost', 'http://[::1]:3000'];
    expect(read(JSON.stringify({ http: { allowedOrigins } })).http.allowedOrigins).toEqual(allowedOrigins);
  });

  test('a file that is not there is named', () => {
    expect(() => readConfig('/nonexistent/c.json5', {})).toThrow(/\/nonexistent\/c\.json5.*no such file/);
  });

  test('what is shown holds no secret', () => {
    const source = `{
      auth: { mode: 'token', token: 'hush-1', password: 'hush-2' },
      agent: {
        model: 'm', apiKey: 'hush-3', baseUrl: 'http://m/v1',
        mcpServers: { files: { command: 'x', env: { KEY: 'hush-4' } }, web: { url: 'http://w', headers: { a: 'hush-5' } } },
      },
    }`;
    const shown = JSON.stringify(shownConfig(read(source)));
    expect(shown).not.toContain('hush');
    expect(shown).toContain('http://m/v1');
  });
});
