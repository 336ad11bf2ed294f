import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { dialCodes } from '../src/node/dial-failure.ts';
import { problemFailure } from '../src/node/dial-problem.ts';
import { isExempt, proxyFor } from '../src/node/proxy-choice.ts';
import { authority, targetOf } from '../src/node/target.ts';

const attempt = {
  url: 'wss://gateway.example',
  host: 'gateway.example',
  port: 443,
  isSecure: true,
  signal: new AbortController().signal,
  enter() {},
};

function coded(code: string): Error {
  return Object.assign(new Error(`x ${code}`), { code });
}

describe('an error on the way', () => {
  test.each([
    ['ENOTFOUND', 'dns-failed'],
    ['EAI_AGAIN', 'dns-failed'],
    ['ECONNREFUSED', 'refused'],
    ['EHOSTUNREACH', 'unreachable'],
    ['ENETUNREACH', 'unreachable'],
    ['ETIMEDOUT', 'timeout'],
    ['ECONNRESET', 'reset'],
    ['EPROTO', 'tls-failed'],
    ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'tls-failed'],
    ['CERT_NOT_YET_VALID', 'tls-untrusted'],
    ['CERT_REVOKED', 'tls-untrusted'],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'tls-untrusted'],
    ['HPE_INVALID_CONSTANT', 'not-a-gateway'],
    ['EMFILE', 'unknown'],
  ])('%s is told as %s, with the address and what to do', (code, expected) => {
    const failure = problemFailure(coded(code), attempt, false);
    expect(failure).toMatchObject({ code: expected, nextStep: expect.stringMatching(/\.$/) });
    expect(failure?.cause).toContain('gateway.example:443');
    expect(failure?.cause).toContain(code);
  });

  test('of several addresses is the first one’s', () => {
    const error = new AggregateError([coded('ECONNREFUSED'), coded('ENETUNREACH')]);
    expect(problemFailure(error, attempt, false)?.code).toBe('refused');
  });

  test('says nothing once the WebSocket is open, unless what came are no frames', () => {
    expect(problemFailure(coded('ECONNRESET'), attempt, true)).toBeUndefined();
    expect(problemFailure(coded('WS_ERR_INVALID_OPCODE'), attempt, true)?.code).toBe('not-a-gateway');
  });
});

test('the table of the README has every code with its meaning and next step', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const rows = Object.entries(dialCodes).map(([code, [meaning, next]]) => `| \`${code}\` | ${meaning} | ${next} |`);
  const start = readme.indexOf('| `unknown` |');
  expect(readme.slice(start, start + rows.join('\n').length)).toBe(rows.join('\n'));
});

describe('the proxy of the environment', () => {
  const secure = { host: 'gateway.example', port: 443, isSecure: true };
  const plain = { ...secure, port: 80, isSecure: false };

  test('is the one for the scheme, small letters first, else ALL_PROXY', () => {
    const all = { HTTPS_PROXY: 'http://s:1', HTTP_PROXY: 'http://p:1', ALL_PROXY: 'http://a:1' };
    expect(proxyFor(secure, all)).toBe('http://s:1');
    expect(proxyFor(plain, all)).toBe('http://p:1');
    expect(proxyFor(secure, { ...all, https_proxy: 'http://small:1' })).toBe('http://small:1');
    expect(proxyFor(secure, { all_proxy: 'a:1', HTTP_PROXY: 'http://p:1' })).toBe('http://a:1');
    expect(proxyFor(secure, {})).toBeUndefined();
    expect(proxyFor(secure, { HTTPS_PROXY: '' })).toBeUndefined();
  });

  test.each(['localhost', 'app.localhost', '127.0.0.1', '127.8.8.8', '::1'])('is never one for %s', (host) => {
    expect(proxyFor({ ...plain, host }, { ALL_PROXY: 'http://a:1' })).toBeUndefined();
  });

  test.each<[string, string, boolean, number?]>([
    ['*', 'gateway.example', true],
    ['gateway.example', 'gateway.example', true],
    ['GATEWAY.example', 'gateway.EXAMPLE', true],
    ['example', 'gateway.example', true],
    ['.example', 'gateway.example', true],
    ['*.example', 'gateway.example', true],
    ['way.example', 'gateway.example', false],
    ['a, b gateway.example', 'gateway.example', true],
    ['gateway.example:443', 'gateway.example', true],
    ['gateway.example:8443', 'gateway.example', false],
    ['10.0.0.0/8', '10.1.2.3', true],
    ['10.0.0.0/8', '11.1.2.3', false],
    ['10.1.2.3:443', '10.1.2.3', true],
    ['10.0.0.0/99', '10.1.2.3', false],
    ['10.0.0.0/', '10.1.2.3', false],
    ['10.0.0.0/8.5', '10.1.2.3', false],
    ['0.0.0.0/0', 'gateway.example', false],
    ['2001:db8::/32', '2001:db8::7', true],
    ['2001:db8::7', '2001:db8:0::7', true],
    ['[2001:db8::7]:443', '2001:db8::7', true],
    ['[2001:db8::7]:80', '2001:db8::7', false],
    ['.', 'gateway.example', false],
    ['', 'gateway.example', false],
  ])('NO_PROXY=%s exempts %s: %s', (list, host, expected, port = 443) => {
    expect(isExempt({ host, port, isSecure: true }, list)).toBe(expected);
  });
});

test('a target is the host and port of the url, with brackets only where they belong', () => {
  expect(targetOf('wss://gateway.example/path')).toEqual({ host: 'gateway.example', port: 443, isSecure: true });
  const target = targetOf('ws://[2001:db8::7]:8080');
  expect(target).toEqual({ host: '2001:db8::7', port: 8080, isSecure: false });
  expect(target && authority(target)).toBe('[2001:db8::7]:8080');
  expect(targetOf('ws://')).toBeUndefined();
});
