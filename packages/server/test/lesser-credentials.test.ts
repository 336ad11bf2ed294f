import { describe, expect, test } from 'vitest';
import { Identities, type Member, sharedToken } from './identity-fixture.ts';
import { makeDevice } from './raw-client.ts';

const away = '203.0.113.9';
const publicUrl = 'wss://gateway.example';
const auth = { mode: 'token', token: sharedToken } as const;
const trustedProxies = ['127.0.0.1'];

async function codeOf(maker: Member, scopes?: readonly string[]): Promise<string> {
  const { payload } = await maker.ask('device.pair.setupCode', { publicUrl, ...(scopes ? { scopes } : {}) });
  return (JSON.parse(Buffer.from(payload.setupCode, 'base64url').toString()) as { bootstrapToken: string })
    .bootstrapToken;
}

describe('a device with more rights than what its bearer shows', () => {
  test('gets no token from a code that grants less, once its own were revoked', async () => {
    const gateway = await Identities.open();
    const [owner, device] = [await gateway.join(), makeDevice()];
    await gateway.join({ device });
    await owner.ask('device.token.revoke', { deviceId: device.id, role: 'operator' });
    const bootstrapToken = await codeOf(owner, ['operator.read']);
    const { deviceToken } = (await gateway.join({ device, from: away, changes: { auth: { bootstrapToken } } })).hello
      .auth;
    const { error } = await gateway.refused({ device, from: away, changes: { auth: { deviceToken } } });
    expect(error.details.code).toBe('AUTH_SCOPE_MISMATCH');
    const reader = { auth: { deviceToken }, scopes: ['operator.read'] };
    expect((await gateway.join({ device, from: away, changes: reader })).hello.auth.scopes).toEqual(['operator.read']);
  });

  test('gets none from a user who may do less', async () => {
    const tailscale = { whois: async () => ({ login: 'ada@example.com' }) };
    const gateway = await Identities.open({ tailscale });
    const [owner, device] = [await gateway.join(), makeDevice()];
    await gateway.join({ device });
    await owner.ask('device.token.revoke', { deviceId: device.id, role: 'operator' });
    const headers = { 'tailscale-user-login': 'ada@example.com' };
    const member = await gateway.join({ device, from: '100.64.0.7', headers, changes: { auth: {} } });
    expect(member.hello.auth.scopes).toEqual(['operator.read', 'operator.write', 'operator.approvals']);
    expect(member.hello.auth).not.toHaveProperty('deviceToken');
  });
});

describe('who may pair and no more', () => {
  test('can’t take away, narrow or rename a device that may do more, but its own', async () => {
    const gateway = await Identities.open();
    const [owner, admin, phone] = [await gateway.join(), makeDevice(), makeDevice()];
    const held = await gateway.join({ device: admin });
    const { deviceToken } = (await gateway.join({ device: phone, changes: { scopes: ['operator.pairing'] } })).hello
      .auth;
    const changes = { auth: { deviceToken }, scopes: ['operator.pairing'] };
    const helper = await gateway.join({ device: phone, from: away, changes });
    const deviceId = admin.id;
    for (const [method, params] of [
      ['device.pair.remove', { deviceId }],
      ['device.pair.rename', { deviceId, label: 'kitchen' }],
      ['device.token.revoke', { deviceId, role: 'operator' }],
      ['device.token.rotate', { deviceId, role: 'operator', scopes: ['operator.read'] }],
    ] as const) {
      const { error } = await helper.ask(method, params);
      expect([method, error?.code, error?.details?.code]).toEqual([method, 'FORBIDDEN', 'MISSING_SCOPE']);
    }
    expect((await held.ask('tokens.list')).ok).toBe(true);
    expect((await helper.ask('device.pair.rename', { deviceId: phone.id, label: 'mine' })).ok).toBe(true);
    expect((await owner.ask('device.pair.remove', { deviceId })).ok).toBe(true);
    expect((await helper.ask('device.pair.remove', { deviceId: phone.id })).ok).toBe(true);
  });
});

describe('what somebody handed out', () => {
  test('as a code dies with the credential that it was made with', async () => {
    const gateway = await Identities.open();
    const [owner, device] = [await gateway.join(), makeDevice()];
    const made = (await owner.ask('tokens.create', { role: 'operator', id: 'helper', scopes: ['operator.admin'] }))
      .payload;
    const maker = await gateway.join({ changes: { auth: { token: made.token } } });
    const { deviceToken } = (await gateway.join({ device })).hello.auth;
    const removed = await gateway.join({ device, changes: { auth: { deviceToken } } });
    const codes = [await codeOf(maker), await codeOf(removed)];
    const kept = await codeOf(owner);
    await owner.ask('tokens.revoke', { tokenId: made.tokenId });
    await owner.ask('device.pair.remove', { deviceId: device.id });
    for (const bootstrapToken of codes) {
      const { error } = await gateway.refused({ from: away, changes: { auth: { bootstrapToken } } });
      expect(error.details.code).toBe('AUTH_BOOTSTRAP_TOKEN_INVALID');
    }
    await gateway.join({ from: away, changes: { auth: { bootstrapToken: kept } } });
  });

  test('is told apart in the audit trail: which code let whom in', async () => {
    const gateway = await Identities.open();
    const owner = await gateway.join();
    const { setupId } = (await owner.ask('device.pair.setupCode', { publicUrl })).payload;
    const bootstrapToken = await codeOf(owner);
    await gateway.join({ from: away, changes: { auth: { bootstrapToken } } });
    const { entries } = (await owner.ask('audit.entries', { actions: ['setup.created', 'setup.used'] })).payload;
    const [used, second, first] = entries;
    expect(first.target).toBe(setupId);
    expect(used.reason).toContain(second.target);
  });
});

describe('the token of a device', () => {
  const proxy = { mode: 'trusted-proxy', userHeader: 'x-user' } as const;
  const ada = { from: away, headers: { 'x-user': 'ada' }, changes: { auth: {} } };

  test('that was given on the word of a proxy dies with the right of its user', async () => {
    const tokens = [{ name: 'owner', token: 'the-token-of-the-owner', scopes: ['operator.admin'] }];
    const gateway = await Identities.open({ auth: proxy, tokens });
    const [owner, device] = [
      await gateway.join({ changes: { auth: { token: 'the-token-of-the-owner' } } }),
      makeDevice(),
    ];
    const { requestId } = (await gateway.refused({ ...ada, device })).error.details;
    await owner.ask('device.pair.approve', { requestId });
    const { deviceToken } = (await gateway.join({ ...ada, device })).hello.auth;
    const alone = { device, from: away, changes: { auth: { deviceToken } } };
    const member = await gateway.join(alone);
    gateway.gateway.reconfigure({ auth: { ...proxy, allowUsers: ['bob'] }, trustedProxies, tokens });
    expect((await member.closed).code).toBe(4001);
    expect((await gateway.refused(alone)).error.details.code).toBe('AUTH_IDENTITY_HEADER_REQUIRED');
    const response = await fetch(`${gateway.origin}/media/x`, { headers: { authorization: `Bearer ${deviceToken}` } });
    expect(response.status).toBe(401);
    gateway.gateway.reconfigure({ auth: { ...proxy, allowUsers: ['ada'] }, trustedProxies, tokens });
    await gateway.join(alone);
  });

  test('that was given by a gateway without auth dies when it gets one, and the shared token gives another', async () => {
    const gateway = await Identities.open({ auth: { mode: 'none' } });
    const device = makeDevice();
    const { deviceToken } = (await gateway.join({ device, changes: { auth: {} } })).hello.auth;
    gateway.gateway.reconfigure({ auth, trustedProxies });
    const { error } = await gateway.refused({ device, changes: { auth: { deviceToken } } });
    expect(error.details.code).toBe('AUTH_DEVICE_TOKEN_MISMATCH');
    const again = (await gateway.join({ device })).hello.auth.deviceToken;
    await gateway.join({ device, changes: { auth: { deviceToken: again } } });
    gateway.gateway.reconfigure({ auth: { ...auth, token: 'another shared token' }, trustedProxies });
    await gateway.join({ device, changes: { auth: { deviceToken: again } } });
  });
});

test('what a client says of itself is shown to others in one line, and acts on no terminal', async () => {
  const gateway = await Identities.open();
  const owner = await gateway.join();
  const words = '\u001b[2J\nwords';
  const facts = { version: words, platform: words, displayName: words, deviceFamily: words };
  const client = { id: 'openclaw-ios', mode: 'ui', instanceId: words, modelIdentifier: words, ...facts };
  await gateway.join({ device: makeDevice(), changes: { client } });
  const told = JSON.stringify([
    (await owner.ask('system-presence')).payload,
    (await owner.ask('device.pair.list')).payload,
  ]);
  expect(told).toContain('[2J');
  expect(told).not.toMatch(/\\u001b|\\n/);
});
