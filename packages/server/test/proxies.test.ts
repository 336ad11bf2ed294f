import type { IncomingHttpHeaders } from 'node:http';
import { VirtualClock } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import type { AccessOptions } from '../src/connection/access-options.ts';
import type { Remote } from '../src/connection/origin.ts';
import { Proxies } from '../src/connection/proxies.ts';
import { TailscaleUsers } from '../src/connection/tailscale.ts';
import { ask, askUpgrade } from './ask.ts';
import { listening } from './edge-fixture.ts';
import { connectFrame } from './raw-client.ts';

function remoteOf(
  headers: IncomingHttpHeaders,
  { peer = '10.0.0.1', ...options }: Partial<AccessOptions> & { peer?: string } = {},
): Remote | undefined {
  const users = new TailscaleUsers({ clock: new VirtualClock() });
  const access: AccessOptions = {
    auth: { mode: 'token', token: 't' },
    trustedProxies: ['10.0.0.0/8', '::1'],
    ...options,
  };
  return new Proxies(access, users).remoteOf({ peerAddress: peer, headers, isEncrypted: false });
}

function addressOf(headers: IncomingHttpHeaders, options: Parameters<typeof remoteOf>[1] = {}): string | undefined {
  return remoteOf(headers, options)?.address;
}

/** Every header by which somebody may say that a request was passed on. */
const forwarded: IncomingHttpHeaders[] = [
  { forwarded: 'for=127.0.0.1' },
  { 'x-forwarded-for': '127.0.0.1' },
  { 'x-forwarded-for': '' },
  { 'x-forwarded-host': 'localhost' },
  { 'x-forwarded-proto': 'https' },
  { 'x-forwarded-port': '443' },
  { 'x-forwarded-user': 'ada' },
  { 'x-forwarded-anything': '' },
  { 'x-real-ip': '127.0.0.1' },
  { 'x-client-ip': '127.0.0.1' },
  { 'cf-connecting-ip': '127.0.0.1' },
  { 'true-client-ip': '127.0.0.1' },
  { via: '1.1 proxy' },
  { 'tailscale-user-login': 'ada@example.com' },
];

describe('a request that somebody passed on', () => {
  test.each(forwarded)('is nobody’s when its proxy is not trusted: %o', (headers) => {
    for (const peer of ['127.0.0.1', '::1', '::ffff:127.0.0.1', '203.0.113.9']) {
      expect(remoteOf(headers, { peer, trustedProxies: [] })).toBeUndefined();
      expect(remoteOf(headers, { peer, trustedProxies: ['192.0.2.1'] })).toBeUndefined();
    }
  });

  test.each(forwarded)('is never local, even through a trusted proxy on this machine: %o', (headers) => {
    for (const peer of ['127.0.0.1', '::1']) {
      const remote = remoteOf(headers, { peer, trustedProxies: ['127.0.0.1', '::1'] });
      expect(remote).toMatchObject({ isLoopback: false, isProxied: true });
    }
  });

  test('by nobody is what its socket says', () => {
    expect(remoteOf({}, { peer: '127.0.0.1' })).toMatchObject({
      address: '127.0.0.1',
      isLoopback: true,
      isProxied: false,
    });
    expect(remoteOf({}, { peer: '::ffff:10.0.0.1' })).toMatchObject({ address: '10.0.0.1', isLoopback: false });
    expect(remoteOf({}, { peer: '' })).toMatchObject({ isLoopback: false });
  });
});

describe('the client behind trusted proxies', () => {
  test.each([
    ['203.0.113.9', '203.0.113.9'],
    ['203.0.113.9:4711', '203.0.113.9'],
    [' 203.0.113.9 ', '203.0.113.9'],
    ['2001:db8::9', '2001:db8::9'],
    ['[2001:db8::9]:4711', '2001:db8::9'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    // What a stranger wrote stands to the left.
    ['127.0.0.1, 203.0.113.9', '203.0.113.9'],
    ['198.51.100.1, 203.0.113.9', '203.0.113.9'],
    ['unknown, 203.0.113.9', '203.0.113.9'],
    ['203.0.113.9, 10.1.2.3', '203.0.113.9'],
    ['127.0.0.1, 203.0.113.9, 10.1.2.3, 10.0.0.7', '203.0.113.9'],
    // All are proxies: the farthest asks for itself.
    ['10.1.1.1, 10.2.2.2', '10.1.1.1'],
  ])('X-Forwarded-For: %s is %s', (chain, address) => {
    expect(addressOf({ 'x-forwarded-for': chain })).toBe(address);
    expect(remoteOf({ 'x-forwarded-for': chain })?.isLoopback).toBe(false);
  });

  test.each([
    ['for=203.0.113.9', '203.0.113.9'],
    ['For="203.0.113.9:4711"; proto=https', '203.0.113.9'],
    ['for="[2001:db8::9]:4711"', '2001:db8::9'],
    ['for=127.0.0.1, for=203.0.113.9;by=10.0.0.1', '203.0.113.9'],
    ['for=_hidden, for=203.0.113.9', '203.0.113.9'],
    ['for=203.0.113.9, for=10.1.2.3', '203.0.113.9'],
    ['for="203.0.113.9";host="a\\"b"', '203.0.113.9'],
  ])('Forwarded: %s is %s', (chain, address) => {
    expect(addressOf({ forwarded: chain })).toBe(address);
  });

  test.each<IncomingHttpHeaders>([
    { 'x-forwarded-for': 'garbage' },
    { 'x-forwarded-for': 'garbage, 203.0.113.9' },
    { 'x-forwarded-for': '203.0.113.9, garbage' },
    { 'x-forwarded-for': '203.0.113.9,' },
    { 'x-forwarded-for': ',' },
    { 'x-forwarded-for': '127.0.0.1 203.0.113.9' },
    { 'x-forwarded-for': '1.2.3' },
    { 'x-forwarded-for': '0x7f.0.0.1' },
    { 'x-forwarded-for': '127.0.0.1\u0000' },
    { 'x-forwarded-for': 'localhost' },
    { 'x-forwarded-for': '203.0.113.9, unknown' },
    { 'x-forwarded-for': Array(40).fill('203.0.113.9').join(',') },
    { forwarded: 'for=garbage' },
    { forwarded: 'for=' },
    { forwarded: 'for=203.0.113.9;' },
    { forwarded: 'by=203.0.113.9' },
    { forwarded: '203.0.113.9' },
    { forwarded: 'for="203.0.113.9' },
    { forwarded: 'for=_hidden' },
    { forwarded: Array(40).fill('for=203.0.113.9').join(',') },
    // One of the two was written by a stranger.
    { forwarded: 'for=127.0.0.1', 'x-forwarded-for': '203.0.113.9' },
    { forwarded: 'for=203.0.113.9', 'x-forwarded-for': '198.51.100.1' },
  ])('that is not told in an orderly way is nobody: %o', (headers) => {
    expect(remoteOf(headers)).toBeUndefined();
  });

  test('has the name and the protocol that the proxy tells', () => {
    expect(
      remoteOf({ 'x-forwarded-for': '203.0.113.9', 'x-forwarded-host': 'gw.example', 'x-forwarded-proto': 'https' }),
    ).toMatchObject({ host: 'gw.example', isEncrypted: true });
    expect(remoteOf({ forwarded: 'for=203.0.113.9;host="gw.example:8443";proto=https' })).toMatchObject({
      host: 'gw.example:8443',
      isEncrypted: true,
    });
    expect(remoteOf({ 'x-forwarded-for': '203.0.113.9', host: 'gw.example' })).toMatchObject({
      host: 'gw.example',
      isEncrypted: false,
    });
    expect(remoteOf({ 'x-forwarded-for': '203.0.113.9', 'x-forwarded-host': 'evil.example, gw.example' })?.host).toBe(
      'gw.example',
    );
  });

  test.each([
    [['10.0.0.1'], '10.0.0.1', true],
    [['10.0.0.1'], '10.0.0.2', false],
    [['10.0.0.1'], '::ffff:10.0.0.1', true],
    [['10.0.0.0/8'], '10.255.255.255', true],
    [['10.0.0.0/8'], '11.0.0.1', false],
    [['2001:db8::/32'], '2001:db8:9::1', true],
    [['2001:db8::/32'], '2001:db9::1', false],
    [['::1'], '::1', true],
    [['127.0.0.1'], '::1', false],
    [[], '10.0.0.1', false],
  ] as [string[], string, boolean][])('with %o trusted, %s is trusted: %s', (trustedProxies, peer, isTrusted) => {
    expect(remoteOf({ 'x-forwarded-for': '203.0.113.9' }, { peer, trustedProxies }) !== undefined).toBe(isTrusted);
  });

  test.each([
    'proxy.lan',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '::1/129',
    '*',
    '',
    '0.0.0.0/0',
    '::/0',
    '10.0.0.0/-1',
  ])('"%s" is refused as a trusted proxy', (entry) => {
    expect(() => remoteOf({}, { trustedProxies: [entry] })).toThrow(
      expect.objectContaining({ code: 'INVALID_REQUEST', message: expect.stringContaining(`"${entry}"`) }),
    );
  });
});

describe('the user that a trusted proxy names', () => {
  const auth = {
    mode: 'trusted-proxy',
    userHeader: 'X-Auth-User',
    requiredHeaders: ['X-Auth-Verified'],
    allowUsers: ['ada', 'grace'],
  } as const;
  const told = { 'x-auth-user': 'ada', 'x-auth-verified': '1', 'x-forwarded-for': '203.0.113.9' };

  test('is believed', async () => {
    const user = await remoteOf(told, { auth })?.identify?.();
    expect(user).toEqual({ kind: 'proxy', name: 'ada', proxy: '10.0.0.1' });
  });

  test('is not believed of anyone else, nor does the header make a call local', () => {
    expect(remoteOf(told, { auth, peer: '203.0.113.1' })).toBeUndefined();
    expect(
      remoteOf({ 'x-auth-user': 'ada' }, { auth, peer: '127.0.0.1', trustedProxies: ['10.0.0.1'] }),
    ).toBeUndefined();
    expect(remoteOf(told, { peer: '10.0.0.1' })?.identify).toBeUndefined();
  });

  test.each([
    [{ 'x-auth-user': '' }, 'AUTH_IDENTITY_HEADER_REQUIRED'],
    [{ 'x-auth-user': undefined }, 'AUTH_IDENTITY_HEADER_REQUIRED'],
    [{ 'x-auth-verified': undefined }, 'AUTH_IDENTITY_HEADER_REQUIRED'],
    [{ 'x-auth-user': 'mallory' }, 'AUTH_VERIFIED_USER_REQUIRED'],
    [{ 'x-auth-user': 'ada, grace' }, 'AUTH_VERIFIED_USER_REQUIRED'],
  ])('is refused with %o: %s', async (changes, code) => {
    await expect(remoteOf({ ...told, ...changes }, { auth })?.identify?.()).rejects.toMatchObject({
      details: { code },
    });
  });
});

describe('at the door', () => {
  test('a trusted proxy’s client connects with the name that it called, and is not local', async () => {
    const { dial, host } = await listening({ trustedProxies: ['127.0.0.1'], allowedHosts: ['gw.example'] });
    const client = dial({ headers: { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-host': 'gw.example' } });
    await client.next();
    client.send(connectFrame());
    expect((await client.next()).ok).toBe(true);
    expect(host.peers[0]?.remoteAddress).toBe('203.0.113.9');
  });

  test('a name that only the proxy’s client gave has to be known, too', async () => {
    const { origin } = await listening({ trustedProxies: ['127.0.0.1'] });
    const strange: Record<string, string>[] = [
      { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-host': 'evil.example' },
      { 'x-forwarded-for': '203.0.113.9', host: 'evil.example', 'x-forwarded-host': 'localhost' },
      { forwarded: 'for=203.0.113.9;host=evil.example' },
    ];
    for (const headers of strange) {
      expect(JSON.parse((await askUpgrade(origin, headers)).text)).toMatchObject({
        error: { type: 'host_not_allowed' },
      });
      expect(await ask(origin, '/', { headers })).toMatchObject({ status: 403 });
    }
  });

  test('no auth means no proxy', async () => {
    const { dial } = await listening({ auth: { mode: 'none' }, trustedProxies: ['127.0.0.1'] });
    const client = dial({ headers: { 'x-forwarded-for': '127.0.0.1' } });
    await client.next();
    client.send(connectFrame({ auth: {} }));
    expect(await client.next()).toMatchObject({ ok: false });
  });

  test('a header that comes after too many others is not lost, and so makes nobody local', async () => {
    const { origin } = await listening({ auth: { mode: 'none' } });
    const junk = Object.fromEntries(Array.from({ length: 1_200 }, (_, index) => [`a${index}`, '']));
    const answer = await askUpgrade(origin, { ...junk, 'x-forwarded-for': '203.0.113.9' });
    expect(answer.status).toBe(431);
    expect(await ask(origin, '/', { headers: junk })).toMatchObject({ status: 431 });
    const patient = await listening({ auth: { mode: 'none' }, limits: { maxHeaders: 5_000 } });
    const told = await askUpgrade(patient.origin, { ...junk, 'x-forwarded-for': '203.0.113.9' });
    expect(JSON.parse(told.text)).toMatchObject({ error: { type: 'proxy_attribution_required' } });
  });
});
