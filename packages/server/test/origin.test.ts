import { describe, expect, test } from 'vitest';
import { isKnownHost, isLoopbackAddress, judgeOrigin, type Remote } from '../src/connection/origin.ts';

const local: Remote = {
  address: '127.0.0.1',
  isLoopback: true,
  isProxied: false,
  isEncrypted: false,
  host: '127.0.0.1:18789',
};
const away: Remote = { ...local, address: '203.0.113.9', isLoopback: false, host: 'gateway.lan:18789' };
const secure: Remote = { ...away, isEncrypted: true, host: 'gateway.lan' };
const proxied: Remote = { ...away, isProxied: true, host: 'panel.example' };

function verdict(origin: string | undefined, remote: Remote, allowed: readonly string[] = []): string {
  return judgeOrigin(origin === undefined ? {} : { origin }, remote, allowed).is;
}

describe('an origin', () => {
  test.each([
    'https://panel.example',
    'https://panel.example:8443',
    'capacitor://localhost',
    'tauri://localhost',
    'app://obsidian.md',
    'http://localhost',
  ])('%s is allowed when it is on the list, and only letter by letter', (origin) => {
    expect(verdict(origin, away, [origin])).toBe('allowed');
    for (const other of [
      `${origin}/`,
      `${origin}.evil.example`,
      `${origin}1`,
      origin.toUpperCase(),
      ` ${origin}`,
      '*',
    ]) {
      expect([other, verdict(other, away, [origin])]).toEqual([other, 'refused']);
    }
    expect(verdict(origin, away, ['*', 'https://*.example', 'https://other.example'])).toBe('refused');
  });

  test('that is missing is a program’s', () => {
    expect(verdict(undefined, away)).toBe('absent');
  });

  test.each([local, away, secure, proxied])('null is refused, even from the list', (remote) => {
    expect(verdict('null', remote, ['null'])).toBe('refused');
  });

  test.each<[string, Remote]>([
    ['http://127.0.0.1:18789', local],
    ['http://localhost:18789', { ...local, host: 'LOCALHOST:18789' }],
    ['http://[::1]:18789', { ...local, host: '[::1]:18789' }],
    ['http://localhost', { ...local, host: 'localhost:80' }],
    ['https://gateway.lan', secure],
    ['https://gateway.lan', { ...secure, host: 'gateway.lan:443' }],
    ['https://localhost:18789', { ...local, isEncrypted: true, host: 'localhost:18789' }],
    ['https://panel.example', proxied],
    ['http://panel.example', proxied],
    ['https://panel.example', { ...proxied, isEncrypted: true }],
  ])('%s is the gateway’s own', (origin, remote) => {
    expect(verdict(origin, remote)).toBe('allowed');
  });

  test.each<[string, string, Remote]>([
    ['another port', 'http://127.0.0.1:3000', local],
    ['another name of this machine', 'http://localhost:18789', local],
    ['no port', 'http://127.0.0.1', local],
    ['plain HTTP from afar, which anyone on the way could have written', 'http://gateway.lan:18789', away],
    ['a page without TLS for a socket with it', 'http://gateway.lan', secure],
    ['a page without TLS behind a proxy with it', 'http://panel.example', { ...proxied, isEncrypted: true }],
    ['a name that ends alike', 'https://evil-panel.example', proxied],
    ['a name that begins alike', 'https://panel.example.evil.example', proxied],
    ['an app’s scheme', 'capacitor://127.0.0.1:18789', local],
    ['an extension', 'chrome-extension://abcdefghijklmnop', local],
    ['a name in front of the host', 'http://127.0.0.1:18789@evil.example', local],
    ['a path', 'http://127.0.0.1:18789/x', local],
    ['nothing', '', local],
    ['no URL', '127.0.0.1:18789', local],
    ['two', 'http://127.0.0.1:18789, http://evil.example', local],
    ['no host', 'http://', local],
    [
      'the word for a host that is not there',
      'http://undefined',
      { address: '', isLoopback: true, isProxied: false, isEncrypted: false },
    ],
  ])('is not the own one: %s', (_, origin, remote) => {
    expect(verdict(origin, remote)).toBe('refused');
  });
});

describe('a host', () => {
  const known = { boundHost: 'Box.lan', allowedHosts: ['gateway.example', 'Mixed.Case'] };

  test.each([
    'localhost',
    'app.localhost:1',
    '127.0.0.1',
    '10.0.0.1:80',
    '[::1]:80',
    '[fd7a:115c:a1e0::1]',
    'box.lan',
    'BOX.LAN:18789',
    'gateway.example.',
    'mixed.case',
  ])('%s is known', (host) => {
    expect(isKnownHost(host, known)).toBe(true);
  });

  test.each([
    undefined,
    '',
    'evil.example',
    'gateway.example.evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'evil.example:80:80',
    'evil.example/localhost',
    'evil@localhost@x',
    '[::1',
    '::1',
    'local host',
    'gateway.example, localhost',
  ])('%s is not', (host) => {
    expect(isKnownHost(host, known)).toBe(false);
  });
});

test('this machine’s addresses are 127.0.0.0/8 and ::1, also as IPv4 in IPv6', () => {
  for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '::FFFF:127.0.0.1'])
    expect([address, isLoopbackAddress(address)]).toEqual([address, true]);
  for (const address of [
    undefined,
    '',
    '0.0.0.0',
    '10.0.0.1',
    '::',
    '::ffff:10.0.0.1',
    '127.0.0.1.evil',
    '127.1',
    '::2',
  ])
    expect([address, isLoopbackAddress(address)]).toEqual([address, false]);
});
