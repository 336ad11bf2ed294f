import type { ConnectParams } from '@openclaw/protocol';
import { describe, expect, test } from 'vitest';
import { Access } from '../src/connection/access.ts';
import type { ConnectFacts, Grant, Handshake } from '../src/connection/handshake.ts';
import { defaultLimits } from '../src/connection/limits.ts';
import { type Attempt, attempt } from './connect-attempt.ts';
import { listening } from './edge-fixture.ts';
import { connectFrame, connectParams, makeDevice, signed } from './raw-client.ts';
import { StubHost } from './stub-host.ts';

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

  test('whose whole connect is sent again on another connection is refused: the nonce is another', async () => {
    const edge = await listening();
    const first = edge.dial();
    const { nonce } = (await first.next()).payload;
    const params = signed(connectParams(), makeDevice(), { nonce, signedAt: edge.host.clock.now() });
    first.send({ ...connectFrame(), params });
    expect((await first.next()).ok).toBe(true);
    for (const same of [params, { ...params, device: { ...params.device!, nonce: 'other' } }]) {
      const { error } = await attempt(edge, { tamper: () => same });
      expect(error.details.code).toBe('DEVICE_AUTH_NONCE_MISMATCH');
    }
    // With the nonce of the new connection the signature is not the device's.
    const second = edge.dial();
    const fresh = (await second.next()).payload.nonce;
    second.send({ ...connectFrame(), params: { ...params, device: { ...params.device!, nonce: fresh } } });
    expect((await second.next()).error.details.code).toBe('DEVICE_AUTH_SIGNATURE_INVALID');
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
    const device = makeDevice();
    const facts: ConnectFacts = {
      nonce: 'n',
      remote: { address: '127.0.0.1', isLoopback: true, isProxied: false, isEncrypted: false },
      origin: { is: 'absent' },
    };
    const start = () =>
      new Access({
        host,
        options: { auth: { mode: 'token', token: 'right' } },
        limits: () => defaultLimits,
        connections: () => [],
        isProxy: () => false,
      }).handshake;
    const connect = (handshake: Handshake, changes?: Partial<ConnectParams>) =>
      handshake.authorize(
        signed(connectParams(changes), device, { nonce: 'n', signedAt: host.clock.now() }),
        facts,
      ) as Grant;
    const old = connect(start()).deviceToken!.deviceToken;
    const next = start();
    expect(connect(next, { auth: { deviceToken: old } }).identity.deviceId).toBe(device.id);
    // The plain token is known to nobody but the device: with the shared token it gets a new one, and the old one stays good.
    expect(connect(next).deviceToken!.deviceToken).not.toBe(old);
    expect(connect(next, { auth: { deviceToken: old } }).identity.deviceId).toBe(device.id);
  });
});
