import { type ConnectParams, operatorScopes } from '@openclaw/protocol';
import { describe, expect, test } from 'vitest';
import type { ClientOptions } from 'ws';
import { authRefusal } from '../src/connection/connect-refusal.ts';
import { Credentials } from '../src/connection/credentials.ts';
import { type ConnectFacts, Handshake } from '../src/connection/handshake.ts';
import { PairedDevices } from '../src/connection/paired-devices.ts';
import { type EdgeFixture, listening } from './edge-fixture.ts';
import { connectFrame, connectParams, makeDevice, signed, type TestDevice } from './raw-client.ts';
import { StubHost } from './stub-host.ts';

interface Attempt {
  changes?: Partial<ConnectParams>;
  options?: ClientOptions;
  device?: TestDevice;
  version?: 'v2' | 'v3';
  /** What the device signs instead of the truth. */
  lie?: { nonce?: string; signedAt?: number };
  /** Changes what was signed. */
  tamper?: (params: ConnectParams) => ConnectParams;
}

/** Connects and gives the answer's payload or error, and the close. */
async function attempt(
  { dial, host }: EdgeFixture,
  { changes, options, device, version = 'v3', lie, tamper }: Attempt = {},
) {
  const client = dial(options);
  const { nonce, ts } = (await client.next()).payload;
  let params = connectParams(changes);
  if (device) params = signed(params, device, { nonce, signedAt: ts, version, ...lie });
  if (tamper) params = tamper(params);
  client.send({ ...connectFrame(), params });
  const answer = await client.next();
  const close = answer.ok ? undefined : await client.closed;
  return { payload: answer.payload, error: answer.error, close, peer: answer.ok ? host.peers.at(-1) : undefined };
}

const named = (id: string, mode = 'ui') => ({ client: { id, version: '1', platform: 'linux', mode } });

describe('the shared token or password', () => {
  test('works in either field, and with either secret', async () => {
    const edge = await listening({ auth: { mode: 'token', token: 'right', password: 'word' } });
    for (const auth of [
      { token: 'right' },
      { password: 'right' },
      { token: 'word' },
      { token: 'x', password: 'word' },
    ]) {
      expect((await attempt(edge, { changes: { auth } })).payload.auth.scopes.length).toBe(2);
    }
  });

  test.each([
    ['AUTH_TOKEN_MISMATCH', { token: 'wrong-and-secret' }, 'unauthorized: gateway token mismatch'],
    ['AUTH_PASSWORD_MISMATCH', { password: 'wrong-and-secret' }, 'unauthorized: gateway password mismatch'],
    ['AUTH_DEVICE_TOKEN_MISMATCH', { deviceToken: 'wrong-and-secret' }, 'unauthorized: device token mismatch'],
    ['AUTH_BOOTSTRAP_TOKEN_INVALID', { bootstrapToken: 'wrong-and-secret' }, 'unauthorized: the link was used'],
  ])('gives %s for a wrong one, without telling it again', async (code, auth, begin) => {
    const { error, close } = await attempt(await listening(), { changes: { auth } });
    expect(error).toMatchObject({
      code: 'INVALID_REQUEST',
      details: {
        code,
        authReason: code.slice(5).toLowerCase(),
        canRetryWithDeviceToken: false,
        recommendedNextStep: 'update_auth_credentials',
      },
    });
    expect(error.message.startsWith(begin)).toBe(true);
    expect(close?.code).toBe(1008);
    expect(error.message.startsWith(close?.reason ?? '?')).toBe(true);
    expect(JSON.stringify([error, close])).not.toContain('secret');
  });

  test('without any credentials and device, the device is asked for', async () => {
    const { error, close } = await attempt(await listening(), { changes: { auth: {} } });
    expect(error).toEqual({
      code: 'NOT_PAIRED',
      message: 'device identity required',
      details: { code: 'DEVICE_IDENTITY_REQUIRED' },
    });
    expect(close?.code).toBe(1008);
  });

  test('a token where only a password is configured says so', async () => {
    const edge = await listening({ auth: { mode: 'password', password: 'word' } });
    expect((await attempt(edge)).error.details.code).toBe('AUTH_TOKEN_NOT_CONFIGURED');
  });

  test('an edge refuses an empty secret, compression, and no auth beyond loopback', async () => {
    await expect(listening({ auth: { mode: 'token', token: '' } })).rejects.toThrow(/empty/);
    await expect(listening({ perMessageDeflate: true as unknown as false })).rejects.toThrow(/perMessageDeflate/);
    const { edge } = await listening({ auth: { mode: 'none' } });
    await expect(edge.listen({ port: 0, host: '0.0.0.0' })).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });

  test('wrong ones from this machine lock nobody out; from elsewhere ten of them do, for a minute', async () => {
    const edge = await listening({ trustedProxies: ['127.0.0.1'] });
    const wrong = { auth: { token: 'wrong' } };
    const away = { headers: { 'x-forwarded-for': '203.0.113.9' } };
    for (let n = 0; n < 14; n++) await attempt(edge, { changes: wrong });
    expect((await attempt(edge)).payload.type).toBe('hello-ok');
    for (let n = 0; n < 10; n++) {
      expect((await attempt(edge, { changes: wrong, options: away })).error.details.code).toBe('AUTH_TOKEN_MISMATCH');
    }
    expect((await attempt(edge, { options: away })).error).toMatchObject({
      retryAfterMs: 60_000,
      details: { code: 'AUTH_RATE_LIMITED', recommendedNextStep: 'wait_then_retry' },
    });
    expect((await attempt(edge, { options: { headers: { 'x-forwarded-for': '203.0.113.10' } } })).payload.type).toBe(
      'hello-ok',
    );
    await edge.host.clock.advance(60_001);
    expect((await attempt(edge, { options: away })).payload.type).toBe('hello-ok');
  });
});

describe('scopes', () => {
  test('are none when none were asked for, never unknown ones, and never more than an operator’s', async () => {
    const edge = await listening();
    expect((await attempt(edge, { changes: { scopes: undefined } })).payload.auth.scopes).toEqual([]);
    const asked = [...operatorScopes, 'operator.everything', 'root'];
    expect((await attempt(edge, { changes: { scopes: asked } })).payload.auth.scopes).toEqual([...operatorScopes]);
  });

  test.each([
    ['test', 'test'],
    ['openclaw-probe', 'probe'],
    ['cli', 'probe'],
  ])('%s in mode %s gets none', async (id, mode) => {
    expect((await attempt(await listening(), { changes: named(id, mode) })).payload.auth.scopes).toEqual([]);
  });

  test.each(['gateway-client', 'cli', 'my-own-sdk'])('%s gets what it asked for', async (id) => {
    const { peer } = await attempt(await listening(), { changes: named(id) });
    expect([...(peer?.identity.scopes ?? [])]).toEqual(['operator.read', 'operator.write']);
  });
});

describe('pages', () => {
  test.each(['openclaw-tui', 'openclaw-control-ui'])('%s has to bring a device', async (id) => {
    const edge = await listening();
    const options = { origin: edge.origin };
    expect((await attempt(edge, { changes: named(id), options })).error).toMatchObject({
      code: 'INVALID_REQUEST',
      details: { code: 'CONTROL_UI_DEVICE_IDENTITY_REQUIRED' },
    });
    expect((await attempt(edge, { changes: named(id), options, device: makeDevice() })).payload.type).toBe('hello-ok');
  });

  test.each(['webchat-ui', 'openclaw-control-ui'])('%s has to come from an origin', async (id) => {
    const { error } = await attempt(await listening(), { changes: named(id) });
    expect(error.details).toEqual({ code: 'CONTROL_UI_ORIGIN_NOT_ALLOWED', reason: 'origin missing or invalid' });
  });

  test('of foreign origins are refused, whatever they call themselves, unless the origin is allowed', async () => {
    const edge = await listening({ allowedOrigins: ['https://panel.example', 'null'] });
    for (const origin of [
      'https://evil.example',
      'null',
      'https://panel.example.evil',
      'http://panel.example',
      'http://127.0.0.1:1',
      'x',
    ]) {
      const { error, close } = await attempt(edge, { options: { origin } });
      expect([origin, error?.details.code]).toEqual([origin, 'CONTROL_UI_ORIGIN_NOT_ALLOWED']);
      expect(close?.code).toBe(1008);
    }
    for (const origin of ['https://panel.example', edge.origin]) {
      expect((await attempt(edge, { options: { origin }, changes: named('webchat-ui') })).payload.type).toBe(
        'hello-ok',
      );
    }
  });
});

describe('tokens that were made', () => {
  test('an operator token is allowed its scopes, and is a principal of its own', async () => {
    const edge = await listening();
    const { token } = edge.edge.credentials.createToken({ role: 'operator', id: 'ci', scopes: ['operator.write'] });
    const { peer, payload } = await attempt(edge, {
      changes: { auth: { token }, scopes: ['operator.read', 'operator.write', 'operator.admin'] },
    });
    expect(payload.auth.scopes).toEqual(['operator.read', 'operator.write']);
    expect(peer?.identity).toMatchObject({ role: 'operator', principal: 'token:ci' });
  });

  test('an agent is the one that its token names; no other credential makes an agent', async () => {
    const edge = await listening();
    const agent = edge.edge.credentials.createToken({ role: 'agent', id: 'main' });
    const operator = edge.edge.credentials.createToken({ role: 'operator', id: 'ci', scopes: ['operator.admin'] });
    const { peer } = await attempt(edge, { changes: { role: 'agent', auth: { token: agent.token } } });
    expect(peer?.identity).toMatchObject({ role: 'agent', id: 'main', principal: 'token:agent/main' });
    for (const token of ['right', operator.token]) {
      const { error } = await attempt(edge, { changes: { role: 'agent', auth: { token } } });
      expect(error.details.code).toBe('AUTH_TOKEN_MISMATCH');
    }
    expect((await attempt(edge, { changes: { auth: { token: agent.token } } })).error.message).toContain('role agent');
  });

  test('are kept as hashes only, and names that look like another principal are refused', async () => {
    const { edge, host } = await listening();
    const { token } = edge.credentials.createToken({ role: 'operator', id: 'ci' });
    const code = edge.credentials.createBootstrapCode();
    await host.committer.idle();
    const kept = JSON.stringify(await host.store.close().then(() => host.store.open()));
    expect(kept).toContain('"token"');
    expect(kept).not.toContain(token);
    expect(kept).not.toContain(code);
    expect(edge.credentials.verifyToken(token)).toMatchObject({
      role: 'operator',
      id: 'ci',
      scopes: ['operator.read'],
    });
    expect(edge.credentials.verifyToken('')).toBeUndefined();
    for (const id of ['', 'shared', 'none', 'agent/main']) {
      expect(() => edge.credentials.createToken({ role: 'operator', id })).toThrow(/can't be the id/);
    }
  });

  test('a code lets a page in once and gives it a token to come back with', async () => {
    const edge = await listening();
    const bootstrapToken = edge.edge.credentials.createBootstrapCode();
    const scopes = [...operatorScopes];
    const first = await attempt(edge, { changes: { auth: { bootstrapToken }, scopes } });
    expect(first.payload.auth.scopes).toEqual(scopes);
    const { deviceToken, issuedAtMs } = first.payload.auth;
    expect(deviceToken).toMatch(/^[\w-]{43}$/);
    expect(issuedAtMs).toBe(edge.host.clock.now());
    expect((await attempt(edge, { changes: { auth: { bootstrapToken } } })).error.details.code).toBe(
      'AUTH_BOOTSTRAP_TOKEN_INVALID',
    );
    for (const auth of [{ deviceToken }, { token: deviceToken }]) {
      const again = await attempt(edge, { changes: { auth, scopes } });
      expect(again.payload.auth.scopes).toEqual(scopes);
      expect(again.peer?.identity.principal).toBe(first.peer?.identity.principal);
    }
  });

  test('a code is too old after ten minutes', async () => {
    const edge = await listening();
    const bootstrapToken = edge.edge.credentials.createBootstrapCode();
    await edge.host.clock.advance(600_000);
    expect((await attempt(edge, { changes: { auth: { bootstrapToken } } })).error.details.code).toBe(
      'AUTH_BOOTSTRAP_TOKEN_INVALID',
    );
  });
});

describe('a device', () => {
  test.each(['v2', 'v3'] as const)(
    'signs with %s, is paired silently, and comes back with its token',
    async (version) => {
      const edge = await listening();
      const device = makeDevice();
      const first = await attempt(edge, { device, version });
      const { deviceToken, issuedAtMs } = first.payload.auth;
      expect(deviceToken).toMatch(/^[\w-]{43}$/);
      expect(issuedAtMs).toBe(edge.host.clock.now());
      expect(first.peer?.identity).toMatchObject({ principal: `device:${device.id}`, deviceId: device.id });
      expect((await attempt(edge, { device, version })).payload.auth.deviceToken).toBe(deviceToken);
      for (const auth of [{ deviceToken }, { token: deviceToken }]) {
        const again = await attempt(edge, { device, version, changes: { auth } });
        expect(again.payload.auth).toEqual({ role: 'operator', scopes: ['operator.read', 'operator.write'] });
        expect(again.peer?.identity.principal).toBe(`device:${device.id}`);
      }
      expect(JSON.stringify(edge.host.documents.entries('device'))).not.toContain(deviceToken);
    },
  );

  test.each<[string, string, Attempt]>([
    ['a blank nonce', 'DEVICE_AUTH_NONCE_REQUIRED/device-nonce-missing', { lie: { nonce: ' ' } }],
    ['another nonce', 'DEVICE_AUTH_NONCE_MISMATCH/device-nonce-mismatch', { lie: { nonce: 'other' } }],
    [
      'an old signature',
      'DEVICE_AUTH_SIGNATURE_EXPIRED/device-signature-stale',
      { lie: { signedAt: 1_699_999_000_000 } },
    ],
    [
      'scopes that were not signed',
      'DEVICE_AUTH_SIGNATURE_INVALID/device-signature',
      { tamper: (params) => ({ ...params, scopes: ['operator.admin'] }) },
    ],
    [
      'a broken signature',
      'DEVICE_AUTH_SIGNATURE_INVALID/device-signature',
      { tamper: (params) => ({ ...params, device: { ...params.device!, signature: 'AAAA' } }) },
    ],
    [
      'another device’s id',
      'DEVICE_AUTH_DEVICE_ID_MISMATCH/device-id-mismatch',
      { tamper: (params) => ({ ...params, device: { ...params.device!, id: makeDevice().id } }) },
    ],
    [
      'an unreadable key',
      'DEVICE_AUTH_DEVICE_ID_MISMATCH/device-id-mismatch',
      { tamper: (params) => ({ ...params, device: { ...params.device!, publicKey: '!' } }) },
    ],
  ])('with %s is refused, even with the right token', async (_, expected, what) => {
    const { error, close } = await attempt(await listening(), { device: makeDevice(), ...what });
    expect(error.code).toBe('INVALID_REQUEST');
    expect(`${error.details.code}/${error.details.reason}`).toBe(expected);
    expect(close).toEqual({ code: 1008, reason: error.message });
  });

  test('asking for more with its own token is refused; with the shared token it is widened', async () => {
    const edge = await listening();
    const device = makeDevice();
    const { deviceToken } = (await attempt(edge, { device })).payload.auth;
    const scopes = ['operator.read', 'operator.admin'];
    expect((await attempt(edge, { device, changes: { auth: { deviceToken }, scopes } })).error.details).toEqual({
      code: 'AUTH_SCOPE_MISMATCH',
      authReason: 'scope_mismatch',
      canRetryWithDeviceToken: false,
      recommendedNextStep: 'review_auth_configuration',
    });
    const wider = (await attempt(edge, { device, changes: { scopes } })).payload.auth;
    expect(wider.deviceToken).not.toBe(deviceToken);
    for (const token of [deviceToken, wider.deviceToken]) {
      expect((await attempt(edge, { device, changes: { auth: { token }, scopes } })).payload.auth.scopes).toEqual(
        scopes,
      );
    }
  });

  test('on a new platform is the same device, and its facts are kept', async () => {
    const edge = await listening();
    const device = makeDevice();
    const { deviceToken } = (await attempt(edge, { device })).payload.auth;
    const client = { id: 'gateway-client', version: '2', platform: 'darwin', mode: 'backend', deviceFamily: 'Mac' };
    expect((await attempt(edge, { device, changes: { client, auth: { deviceToken } } })).payload.type).toBe('hello-ok');
    expect(edge.host.documents.get('device', device.id)).toMatchObject({ platform: 'darwin', deviceFamily: 'Mac' });
  });

  test('another device can’t use its token', async () => {
    const edge = await listening();
    const { deviceToken } = (await attempt(edge, { device: makeDevice() })).payload.auth;
    for (const device of [makeDevice(), undefined]) {
      const { error } = await attempt(edge, { ...(device ? { device } : {}), changes: { auth: { deviceToken } } });
      expect(error.details.code).toBe('AUTH_DEVICE_TOKEN_MISMATCH');
    }
  });

  test('with a wrong shared token is told that its own token may do, once it is known', async () => {
    const edge = await listening();
    const device = makeDevice();
    await attempt(edge, { device });
    const { error } = await attempt(edge, { device, changes: { auth: { token: 'wrong' } } });
    expect(error.details).toMatchObject({
      canRetryWithDeviceToken: true,
      recommendedNextStep: 'retry_with_device_token',
    });
  });

  test('from elsewhere has to be paired first', async () => {
    const edge = await listening({ trustedProxies: ['127.0.0.1'] });
    const options = { headers: { 'x-forwarded-for': '203.0.113.9' } };
    const device = makeDevice();
    const { error, close } = await attempt(edge, { device, options });
    expect(error).toMatchObject({
      code: 'NOT_PAIRED',
      details: {
        code: 'PAIRING_REQUIRED',
        reason: 'not-paired',
        deviceId: device.id,
        requestedScopes: ['operator.read', 'operator.write'],
      },
    });
    expect(close?.code).toBe(1008);
    await attempt(edge, { device });
    expect((await attempt(edge, { device, options })).payload.type).toBe('hello-ok');
    expect(
      (await attempt(edge, { device, options, changes: { scopes: ['operator.admin'] } })).error.details.reason,
    ).toBe('scope-upgrade');
  });

  test('keeps its token over a restart of the gateway', async () => {
    const host = await StubHost.create();
    const credentials = new Credentials(host);
    const device = makeDevice();
    const facts: ConnectFacts = {
      nonce: 'n',
      remote: { address: '127.0.0.1', isLoopback: true },
      origin: { is: 'absent' },
    };
    const start = () =>
      new Handshake({
        secret: { mode: 'token', token: 'right' },
        credentials,
        devices: new PairedDevices(host),
        clock: host.clock,
        phase: () => 'ready',
      });
    const connect = (handshake: Handshake, changes?: Partial<ConnectParams>) =>
      handshake.authorize(signed(connectParams(changes), device, { nonce: 'n', signedAt: host.clock.now() }), facts);
    const old = connect(start()).deviceToken!.deviceToken;
    const next = start();
    expect(connect(next, { auth: { deviceToken: old } }).identity.deviceId).toBe(device.id);
    // The plain token is known to nobody but the device: with the shared token it gets a new one, and the old one stays good.
    expect(connect(next).deviceToken!.deviceToken).not.toBe(old);
    expect(connect(next, { auth: { deviceToken: old } }).identity.deviceId).toBe(device.id);
  });
});

describe('a gateway without auth', () => {
  test('takes everyone on loopback as what they ask for', async () => {
    const edge = await listening({ auth: { mode: 'none' } });
    const { peer, payload } = await attempt(edge, { changes: { auth: {} } });
    expect(payload.auth.scopes).toEqual(['operator.read', 'operator.write']);
    expect(payload.snapshot.authMode).toBe('none');
    expect(peer?.identity.principal).toBe('token:none');
  });

  test('takes nobody who comes through a proxy, and no foreign page', async () => {
    const edge = await listening({ auth: { mode: 'none' }, trustedProxies: ['127.0.0.1'] });
    const options = { headers: { 'x-forwarded-for': '127.0.0.1' } };
    expect((await attempt(edge, { changes: { auth: {} }, options })).error.details.code).toBe('AUTH_REQUIRED');
    const page = await attempt(edge, { changes: { auth: {} }, options: { origin: 'https://evil.example' } });
    expect(page.error.details.code).toBe('CONTROL_UI_ORIGIN_NOT_ALLOWED');
  });
});

test('a refusal names its reason in v4’s words', () => {
  expect(authRefusal('AUTH_TOKEN_MISSING', 'x').details).toMatchObject({ authReason: 'token_missing' });
});
