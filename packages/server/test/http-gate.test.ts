import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { HttpCaller } from '../src/http/route.ts';
import { type GatewayOptions, hashPassword } from '../src/index.ts';
import { Identities, sharedToken } from './identity-fixture.ts';
import { makeDevice } from './raw-client.ts';

const away = { 'x-forwarded-for': '203.0.113.9' };

/** A gateway with a route that tells who calls. */
async function open(options: Partial<GatewayOptions> = {}) {
  const gateway = await Identities.open({
    routes: [
      {
        path: '/who',
        methods: ['GET', 'POST'],
        async handle({ authorize, query, response }) {
          const scope = (query.get('scope') ?? 'operator.read') as Parameters<typeof authorize>[0];
          const { principal, scopes }: HttpCaller = await authorize(scope);
          response.end(JSON.stringify({ principal, scopes: [...scopes] }));
        },
      },
    ],
    ...options,
  });
  const ask = async (bearer?: string, headers: Record<string, string> = {}, scope = 'operator.read') => {
    const authorization: Record<string, string> = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
    const response = await fetch(`${gateway.origin}/who?scope=${scope}`, { headers: { ...headers, ...authorization } });
    const body = (await response.json()) as { principal: string; scopes: string[]; error: { type: string } };
    return { status: response.status, headers: response.headers, ...body };
  };
  return { gateway, ask };
}

describe('over HTTP', () => {
  test('each credential is the same principal as over WebSocket', async () => {
    const tokens = [{ name: 'ci', token: 'a-token-of-its-own', scopes: ['operator.read'] }];
    const { gateway, ask } = await open({ tokens });
    const owner = await gateway.join();
    const made = (await owner.ask('tokens.create', { role: 'operator', id: 'made' })).payload.token;
    const device = makeDevice();
    const scopes = ['operator.read', 'operator.write'];
    const { deviceToken } = (await gateway.join({ device, changes: { scopes } })).hello.auth;
    for (const headers of [{}, away]) {
      expect((await ask(sharedToken, headers)).principal).toBe('token:shared');
      expect(await ask('a-token-of-its-own', headers)).toMatchObject({
        principal: 'token:ci',
        scopes: ['operator.read'],
      });
      expect(await ask(made, headers)).toMatchObject({ principal: 'token:made', scopes: ['operator.read'] });
      expect(await ask(deviceToken, headers)).toMatchObject({ principal: `device:${device.id}`, scopes });
    }
    await owner.ask('device.pair.remove', { deviceId: device.id });
    expect((await ask(deviceToken)).status).toBe(401);
  });

  test('a password may be the bearer token, hashed or not', async () => {
    for (const password of ['open sesame', await hashPassword('open-sesame')]) {
      const { ask } = await open({ auth: { mode: 'password', password } });
      const given = password === 'open sesame' ? 'open' : 'open-sesame';
      expect((await ask(given)).status).toBe(given === 'open' ? 401 : 200);
    }
  });

  test('without a valid credential it is 401, and says how', async () => {
    const { ask } = await open();
    for (const bearer of [undefined, 'wrong', '']) {
      const { status, headers, error } = await ask(bearer);
      expect([status, headers.get('www-authenticate'), error.type]).toEqual([401, 'Bearer', 'unauthorized']);
    }
    expect((await ask(undefined, { authorization: 'Basic cmlnaHQ6cmlnaHQ=' })).status).toBe(401);
  });

  test('without the scope, or with a token of another role, it is 403', async () => {
    const { gateway, ask } = await open();
    const owner = await gateway.join();
    const make = async (params: object) => (await owner.ask('tokens.create', params)).payload.token as string;
    const reader = await ask(await make({ role: 'operator', id: 'reader' }), {}, 'operator.write');
    expect(reader).toMatchObject({ status: 403, error: { type: 'forbidden' } });
    expect(reader.error).toMatchObject({ message: expect.stringContaining('missing scope: operator.write') });
    expect((await ask(await make({ role: 'agent', id: 'main' }))).status).toBe(403);
    expect((await ask(await make({ role: 'channel', id: 'telegram/main' }))).status).toBe(403);
    expect((await ask(await gateway.gateway.createBootstrapCode())).status).toBe(401);
  });

  test('ten wrong ones from elsewhere make the address wait; WebSocket and HTTP count together', async () => {
    const { gateway, ask } = await open();
    for (let n = 0; n < 5; n++) expect((await ask('wrong', away)).status).toBe(401);
    for (let n = 0; n < 5; n++) {
      await gateway.refused({ from: '203.0.113.9', changes: { auth: { token: 'wrong' } } });
    }
    const { status, headers, error } = await ask(sharedToken, away);
    expect([status, headers.get('retry-after'), error.type]).toEqual([429, '60', 'rate_limited']);
    expect((await ask(sharedToken)).status).toBe(200);
    await gateway.clock.advance(60_001);
    expect((await ask(sharedToken, away)).status).toBe(200);
  });

  test('an answer that still goes on is cut when its credential is taken away, and no other', async () => {
    const answers = new Map<string, ServerResponse>();
    const { gateway } = await open({
      routes: [
        {
          path: '/long',
          methods: ['GET'],
          async handle({ authorize, response }) {
            const { principal } = await authorize('operator.read');
            answers.set(principal, response);
            response.write('begun');
          },
        },
      ],
    });
    const owner = await gateway.join();
    const make = async (id: string) => (await owner.ask('tokens.create', { role: 'operator', id })).payload;
    const [one, other] = [await make('one'), await make('other')];
    const begin = async ({ token }: { token: string }) => {
      const response = await fetch(`${gateway.origin}/long`, { headers: { authorization: `Bearer ${token}` } });
      const reader = response.body!.getReader();
      expect(new TextDecoder().decode((await reader.read()).value)).toBe('begun');
      return reader;
    };
    const [cut, kept] = [await begin(one), await begin(other)];
    await owner.ask('tokens.revoke', { tokenId: one.tokenId });
    await expect(cut.read()).rejects.toThrow();
    answers.get('token:other')?.end(' and ended');
    expect(new TextDecoder().decode((await kept.read()).value)).toBe(' and ended');
  });

  test('an answer is cut by its own credential, whatever else is asked on its socket', async () => {
    let begun = () => {};
    const isBegun = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const { gateway } = await open({
      routes: [
        {
          path: '/long',
          methods: ['GET'],
          async handle({ authorize, response, query }) {
            await authorize('operator.read');
            if (query.has('quick')) begun();
            else response.write('begun');
          },
        },
      ],
    });
    const owner = await gateway.join();
    const make = async (id: string) => (await owner.ask('tokens.create', { role: 'operator', id })).payload;
    const [one, other] = [await make('one'), await make('other')];
    const { port } = new URL(gateway.origin);
    const socket = connect(Number(port), '127.0.0.1');
    const isCut = new Promise<void>((resolve) => socket.on('close', () => resolve()));
    socket.on('error', () => undefined);
    socket.resume();
    const request = (path: string, { token }: { token: string }) =>
      `GET ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\n\r\n`;
    socket.write(request('/long', one) + request('/long?quick', other));
    await isBegun;
    await owner.ask('tokens.revoke', { tokenId: one.tokenId });
    await isCut;
  });

  test('a refusal is in the audit trail, without what was given', async () => {
    const { gateway, ask } = await open();
    await ask('a-wrong-secret', away);
    const owner = await gateway.join();
    const { entries } = (await owner.ask('audit.entries')).payload;
    expect(entries).toMatchObject([{ action: 'http.refused', remoteIp: '203.0.113.9', code: 'unauthorized' }]);
    expect(JSON.stringify(entries)).not.toContain('a-wrong-secret');
  });
});

describe('who is named by a proxy', () => {
  const auth = { mode: 'trusted-proxy', userHeader: 'x-user', allowUsers: ['ada'] } as const;

  test('is believed only through the proxy, and only when allowed', async () => {
    const { gateway, ask } = await open({ auth });
    const ada = { ...away, 'x-user': 'ada' };
    expect(await ask(undefined, ada)).toMatchObject({ status: 200, principal: 'user:ada' });
    expect((await ask(undefined, { ...away, 'x-user': 'eve' })).status).toBe(401);
    expect((await ask(undefined, away)).status).toBe(401);
    expect((await ask('guess', ada)).status).toBe(401);
    gateway.gateway.reconfigure({ auth, trustedProxies: ['203.0.113.1'] });
    expect((await ask(undefined, ada)).status).toBe(403);
    expect((await ask(undefined, { 'x-user': 'ada' })).status).toBe(403);
  });

  test('is the same over WebSocket, with the codes of v4', async () => {
    const { gateway } = await open({ auth });
    const arrive = (user: string | undefined) => ({
      from: '203.0.113.9',
      headers: { ...(user !== undefined && { 'x-user': user }) },
      changes: { auth: {} },
    });
    expect((await gateway.join(arrive('ada'))).hello.auth.scopes.length).toBe(5);
    expect((await gateway.refused(arrive('eve'))).error.details.code).toBe('AUTH_VERIFIED_USER_REQUIRED');
    expect((await gateway.refused(arrive(undefined))).error.details.code).toBe('AUTH_IDENTITY_HEADER_REQUIRED');
    expect((await gateway.refused({ changes: { auth: {} } })).error.details.code).toBe('AUTH_IDENTITY_HEADER_REQUIRED');
    const device = makeDevice();
    expect((await gateway.refused({ ...arrive('ada'), device })).error.details.code).toBe('PAIRING_REQUIRED');
  });
});

test('without auth every local request is let in, and none that came through a proxy', async () => {
  const { ask } = await open({ auth: { mode: 'none' } });
  expect((await ask()).principal).toBe('token:none');
  expect((await ask(undefined, { 'x-forwarded-for': '127.0.0.1' })).status).toBe(401);
});
