import type { ConnectParams } from '@openclaw/protocol';
import { afterEach, describe, expect, test } from 'vitest';
import { startGateway, type TestGateway, type TestGatewayOptions, testToken } from '../gateway.ts';
import { carelessRule, funnelRule, type HeaderRule, IdentityProxy, serveRule } from './identity-proxy.ts';
import { operatorParams, RawSocket } from './raw-socket.ts';

const ada = '100.64.0.1';
const eve = '100.64.0.2';
const logins: Record<string, string> = { [ada]: 'ada@example.com', [eve]: 'eve@example.com' };
const whois = async (address: string) => (logins[address] ? { login: logins[address] } : undefined);
const token = { mode: 'token', token: testToken } as const;
/** Everything that somebody may write into a request to pass for Ada. */
const claims = {
  'Tailscale-User-Login': 'ada@example.com',
  'Tailscale-User-Name': 'Ada',
  'X-Forwarded-For': ada,
  'X-Forwarded-User': 'ada',
  Forwarded: `for=${ada}`,
};

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function gatewayWith(options: TestGatewayOptions): Promise<TestGateway> {
  const running = await startGateway(options);
  closers.push(() => running.close());
  return running;
}

async function behind(running: TestGateway, rule: HeaderRule, clientAddress: string): Promise<IdentityProxy> {
  const proxy = await IdentityProxy.start(running.port, rule);
  proxy.clientAddress = clientAddress;
  closers.push(() => proxy.close());
  return proxy;
}

/** What a client gets for its `connect`: what it is granted, or the reason why nothing. */
async function outcome(
  url: string,
  { headers = {}, auth = {} }: { headers?: Record<string, string>; auth?: NonNullable<ConnectParams['auth']> } = {},
) {
  const socket = new RawSocket(url, { headers });
  closers.push(() => socket.terminate());
  const refused = socket.closed.then(() => ({ refused: 'the upgrade' }));
  const answered = socket
    .connect(operatorParams({ auth, scopes: ['operator.read', 'operator.admin'] }))
    .then(({ ok, payload, error }) =>
      ok ? { scopes: (payload as { auth: { scopes: string[] } }).auth.scopes } : { refused: error?.details?.code },
    );
  return Promise.race([refused, answered]);
}

const asHttp = (url: string, headers: Record<string, string> = {}) =>
  fetch(`${url.replace('ws:', 'http:')}/v1/models`, { headers }).then(({ status }) => status);

describe('behind tailscale serve', () => {
  const options = { auth: token, tailscale: { allowLogins: ['ada@example.com'], whois }, openAi: { responses: true } };

  test('the user whom Tailscale names comes in without a token, with no more than the configured scopes', async () => {
    const running = await gatewayWith(options);
    const { url } = await behind(running, serveRule(logins), ada);
    expect(await outcome(url)).toEqual({ scopes: ['operator.read'] });
    expect(await asHttp(url)).toBe(200);
  });

  test('a user who is not on the list does not come in, whatever the headers of the request claim', async () => {
    const running = await gatewayWith(options);
    const { url } = await behind(running, serveRule(logins), eve);
    expect(await outcome(url, { headers: claims })).toEqual({ refused: 'AUTH_VERIFIED_USER_REQUIRED' });
    expect(await asHttp(url, claims)).toBe(401);
  });

  test('a name that belongs to another address, or to none, is not believed', async () => {
    const running = await gatewayWith(options);
    const strangers = await behind(running, carelessRule, '203.0.113.9');
    expect(await outcome(strangers.url, { headers: claims })).toMatchObject({ refused: expect.any(String) });
    expect(await asHttp(strangers.url, claims)).not.toBe(200);
    const neighbours = await behind(running, carelessRule, eve);
    expect(await outcome(neighbours.url, { headers: claims })).toMatchObject({ refused: expect.any(String) });
    expect(await asHttp(neighbours.url, claims)).not.toBe(200);
  });

  test('where Tailscale is not configured its headers are refused, the right token beside them or not', async () => {
    const running = await gatewayWith({ auth: token });
    const { url } = await behind(running, serveRule(logins), ada);
    expect(await outcome(url)).toEqual({ refused: 'the upgrade' });
    expect(await outcome(url, { auth: { token: testToken } })).toEqual({ refused: 'the upgrade' });
  });
});

describe('behind tailscale funnel', () => {
  const tailscale = { whois };

  test('the internet names nobody: without a trusted proxy it is refused, with one it needs a token', async () => {
    const closed = await behind(await gatewayWith({ auth: token, tailscale }), funnelRule, '198.51.100.7');
    expect(await outcome(closed.url, { headers: claims, auth: { token: testToken } })).toEqual({
      refused: 'the upgrade',
    });

    const running = await gatewayWith({
      auth: token,
      tailscale,
      trustedProxies: ['127.0.0.1'],
      openAi: { responses: true },
    });
    const { url } = await behind(running, funnelRule, '198.51.100.7');
    expect(await outcome(url, { headers: claims })).toMatchObject({ refused: expect.any(String) });
    expect(await asHttp(url, claims)).toBe(401);
    expect(await outcome(url, { headers: claims, auth: { token: testToken } })).toMatchObject({
      scopes: expect.arrayContaining(['operator.read']),
    });
  });
});

describe('a proxy that says who it is', () => {
  const auth = { mode: 'trusted-proxy', userHeader: 'x-forwarded-user', allowUsers: ['ada'] } as const;
  const naming =
    (user: string | undefined): HeaderRule =>
    ({ 'x-forwarded-user': _claimed, forwarded: _also, ...headers }, clientAddress) => ({
      ...headers,
      'x-forwarded-for': clientAddress,
      ...(user === undefined ? {} : { 'x-forwarded-user': user }),
    });

  test('its user comes in; nobody, another user, and the same words from whom is no trusted proxy do not', async () => {
    const trusted = await gatewayWith({ auth, trustedProxies: ['127.0.0.1'], openAi: { responses: true } });
    const good = await behind(trusted, naming('ada'), '203.0.113.9');
    expect(await outcome(good.url)).toMatchObject({ scopes: expect.arrayContaining(['operator.read']) });
    const other = await behind(trusted, naming('eve'), '203.0.113.9');
    expect(await outcome(other.url, { headers: claims })).toEqual({ refused: 'AUTH_VERIFIED_USER_REQUIRED' });
    const nobody = await behind(trusted, naming(undefined), '203.0.113.9');
    expect(await outcome(nobody.url, { headers: claims })).toEqual({ refused: 'AUTH_IDENTITY_HEADER_REQUIRED' });

    const untrusted = await gatewayWith({ auth, trustedProxies: ['203.0.113.1'], openAi: { responses: true } });
    expect(await outcome(untrusted.url, { headers: { 'x-forwarded-user': 'ada' } })).toMatchObject({
      refused: expect.any(String),
    });
    expect(await asHttp(untrusted.url, { 'x-forwarded-user': 'ada' })).not.toBe(200);
  });
});

describe('a gateway without auth', () => {
  test('is for programs of this machine: anything that was passed on is refused, with every header that says so', async () => {
    const running = await gatewayWith({ auth: { mode: 'none' }, openAi: { responses: true } });
    expect(await outcome(running.url)).toMatchObject({ scopes: expect.arrayContaining(['operator.read']) });
    expect(await asHttp(running.url)).toBe(200);
    for (const headers of [
      { 'X-Forwarded-For': '127.0.0.1' },
      { 'X-Real-IP': '127.0.0.1' },
      { Forwarded: 'for=127.0.0.1' },
      { 'X-Forwarded-Proto': 'https' },
      { 'X-Forwarded-Host': 'localhost' },
      { 'Tailscale-User-Login': 'ada@example.com' },
      { Via: '1.1 proxy' },
      { 'CF-Connecting-IP': '127.0.0.1' },
    ] as Record<string, string>[]) {
      expect(await outcome(running.url, { headers }), JSON.stringify(headers)).toEqual({ refused: 'the upgrade' });
      expect(await asHttp(running.url, headers), JSON.stringify(headers)).toBe(403);
    }
  });

  test('lets nobody in through a trusted proxy either, and does not listen beyond loopback', async () => {
    const running = await gatewayWith({
      auth: { mode: 'none' },
      trustedProxies: ['127.0.0.1'],
      openAi: { responses: true },
    });
    const { url } = await behind(running, carelessRule, '127.0.0.1');
    expect(await outcome(url)).toMatchObject({ refused: 'AUTH_REQUIRED' });
    expect(await asHttp(url)).toBe(401);
    await expect(running.gateway.listen({ port: 0, host: '0.0.0.0' })).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
    });
  });
});
