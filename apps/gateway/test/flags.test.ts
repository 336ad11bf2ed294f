import { describe, expect, test } from 'vitest';
import type { StartError } from '../src/exit.ts';
import { helpText, readFlags } from '../src/flags.ts';

const refused = (args: string[], env = {}) => {
  try {
    readFlags(args, env);
  } catch (error) {
    return error as StartError;
  }
  throw new Error('was not refused');
};

describe('flags', () => {
  test('every flag is read', () => {
    const args =
      '--port 0 --bind lan --token t --state-dir /s --config c.json5 --agent-url http://a/v1 --agent-model m --agent-key k';
    expect(readFlags(args.split(' '), {})).toEqual({
      kind: 'run',
      flags: {
        port: 0,
        bind: 'lan',
        token: 't',
        stateDirectory: '/s',
        config: 'c.json5',
        agentUrl: 'http://a/v1',
        agentModel: 'm',
        agentKey: 'k',
      },
    });
  });

  test('a variable of the environment stands in for its flag, and the flag wins', () => {
    const env = { OPENCLAW_GATEWAY_PORT: '1', OPENCLAW_GATEWAY_TOKEN: 'env', OPENCLAW_WS_STATE_DIR: '/env' };
    expect(readFlags(['--token', 'flag'], env)).toEqual({
      kind: 'run',
      flags: { port: 1, token: 'flag', stateDirectory: '/env' },
    });
  });

  test('an empty variable counts as none', () => {
    expect(readFlags([], { OPENCLAW_GATEWAY_TOKEN: '', OPENCLAW_GATEWAY_PORT: '' })).toEqual({
      kind: 'run',
      flags: {},
    });
  });

  test.each([
    [['--prot', '1'], /'--prot'/],
    [['--port', '65536'], /"65536"/],
    [['--port', '1e3'], /"1e3"/],
    [['--port=-1'], /"-1"/],
    [['--token='], /--token is empty/],
    [['--state-dir='], /--state-dir is empty/],
    [['setup-code', '--url='], /--url is empty/],
    [['--state-dir='], /--state-dir/],
    [['stray'], /"stray"/],
    [['check-config', 'stray'], /"stray"/],
    [['--url', 'ws://a'], /--url/],
  ])('%j is refused with its name, in one sentence, with exit code 64', (args, named) => {
    const { message, exitCode } = refused(args);
    expect(message).toMatch(named);
    expect(message).toMatch(/--help\.$/);
    expect(message).not.toContain('\n');
    expect(exitCode).toBe(64);
  });

  test('a command comes with the same flags', () => {
    expect(readFlags(['check-config', '--config', 'c.json5'], {})).toEqual({
      kind: 'check-config',
      flags: { config: 'c.json5' },
    });
    expect(readFlags(['--port', '1', 'setup-code', '--url', 'wss://a'], {})).toEqual({
      kind: 'setup-code',
      flags: { port: 1 },
      url: 'wss://a',
    });
    expect(readFlags(['hash-password'], {})).toEqual({ kind: 'hash-password', flags: {} });
  });

  test('help and version win over everything else that is well-formed', () => {
    expect(readFlags(['--port', '1', '-h'], {})).toEqual({ kind: 'help' });
    expect(readFlags(['-v'], { OPENCLAW_GATEWAY_PORT: '1' })).toEqual({ kind: 'version' });
  });

  test('the help names every flag and its variable, in lines that fit a terminal', () => {
    for (const flag of ['port', 'bind', 'token', 'state-dir', 'config', 'agent-url', 'agent-model', 'agent-key']) {
      expect(helpText).toContain(`--${flag}`);
    }
    for (const variable of ['OPENCLAW_GATEWAY_PORT', 'OPENCLAW_GATEWAY_TOKEN', 'OPENCLAW_WS_STATE_DIR']) {
      expect(helpText).toContain(variable);
    }
    expect(Math.max(...helpText.split('\n').map((line) => line.length))).toBeLessThanOrEqual(128);
  });
});
