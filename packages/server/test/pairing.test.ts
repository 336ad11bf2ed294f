import { operatorScopes } from '@openclaw/protocol';
import { describe, expect, test } from 'vitest';
import { memoryStore } from '../src/index.ts';
import { Identities } from './identity-fixture.ts';
import { makeDevice } from './raw-client.ts';

const away = '203.0.113.9';
const scopes = ['operator.read', 'operator.write'];
const hourMs = 3_600_000;

describe('a device that is not known, from elsewhere', () => {
  test('leaves a request, is let in once that is approved, and then comes with its own token alone', async () => {
    const gateway = await Identities.open();
    const [owner, device] = [await gateway.join(), makeDevice()];
    const client = { id: 'openclaw-ios', version: '1', platform: 'iOS', mode: 'ui', displayName: 'Ada’s phone' };
    const phone = { device, from: away, changes: { scopes, client } };
    const { error, close } = await gateway.refused(phone);
    const { requestId } = error.details;
    expect(error).toMatchObject({
      code: 'NOT_PAIRED',
      details: {
        code: 'PAIRING_REQUIRED',
        reason: 'not-paired',
        deviceId: device.id,
        requestedRole: 'operator',
        requestedScopes: scopes,
        approvedRoles: [],
        approvedScopes: [],
        recommendedNextStep: 'wait_then_retry',
      },
    });
    expect(error.details.remediationHint).toContain(requestId);
    expect(close).toEqual({ code: 1008, reason: expect.stringContaining(`(requestId: ${requestId})`) });

    const asked = { requestId, deviceId: device.id, displayName: 'Ada’s phone', scopes, remoteIp: away };
    expect((await owner.ask('device.pair.list')).payload).toMatchObject({ pending: [asked], paired: [] });
    const { payload } = await owner.ask('device.pair.approve', { requestId });
    expect(payload).toMatchObject({
      requestId,
      device: { deviceId: device.id, displayName: 'Ada’s phone', scopes, approvedVia: 'operator', tokens: [] },
    });
    const member = await gateway.join(phone);
    const { deviceToken } = member.hello.auth;
    expect(deviceToken).toMatch(/^[\w-]{43}$/);
    const alone = await gateway.join({ ...phone, changes: { ...phone.changes, auth: { deviceToken } } });
    expect(alone.hello.auth).toEqual({ role: 'operator', scopes });
    const { paired, pending } = (await owner.ask('device.pair.list')).payload;
    expect(pending).toEqual([]);
    expect(paired).toMatchObject([{ deviceId: device.id, connected: true, tokens: [{ role: 'operator' }] }]);
    expect(paired[0].lastSeenAtMs % hourMs).toBe(0);
    expect(JSON.stringify(paired)).not.toContain(deviceToken);
  });

  test('has one request: the same again keeps it, another takes its place', async () => {
    const gateway = await Identities.open();
    const [owner, device] = [await gateway.join(), makeDevice()];
    const ask = async (changes: object) =>
      (await gateway.refused({ device, from: away, changes })).error.details.requestId as string;
    const first = await ask({ scopes });
    expect(await ask({ scopes: [...scopes].reverse() })).toBe(first);
    const other = await ask({ scopes: ['operator.read'] });
    expect(other).not.toBe(first);
    const { pending } = (await owner.ask('device.pair.list')).payload;
    expect(pending).toMatchObject([{ requestId: other, scopes: ['operator.read'] }]);
    const { error } = await owner.ask('device.pair.approve', { requestId: first });
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', message: expect.stringMatching(/^unknown requestId/) });
  });

  test('that asks for more than was approved asks again, and what it has stays good', async () => {
    const gateway = await Identities.open();
    const [owner, device] = [await gateway.join(), makeDevice()];
    const { deviceToken } = (await gateway.join({ device, changes: { scopes } })).hello.auth;
    const wider = { device, from: away, changes: { scopes: ['operator.read', 'operator.admin'] } };
    const { error } = await gateway.refused(wider);
    expect(error.details).toMatchObject({
      reason: 'scope-upgrade',
      approvedRoles: ['operator'],
      approvedScopes: scopes,
    });
    expect((await owner.ask('device.pair.list')).payload.pending).toMatchObject([{ isRepair: true }]);
    await owner.ask('device.pair.approve', { requestId: error.details.requestId });
    for (const changes of [{ scopes }, wider.changes]) {
      const again = await gateway.join({ device, from: away, changes: { ...changes, auth: { deviceToken } } });
      expect(again.hello.auth.scopes).toEqual(changes.scopes);
    }
  });

  test('can’t write over what an operator is shown', async () => {
    const gateway = await Identities.open();
    const owner = await gateway.join();
    const client = { id: 'cli', version: '1', platform: 'a\r\nb', mode: 'cli', displayName: '\u001b[2Jmy \u202Ephone' };
    await gateway.refused({ device: makeDevice(), from: away, changes: { client } });
    const { pending } = (await owner.ask('device.pair.list')).payload;
    expect(pending).toMatchObject([{ displayName: '[2Jmy  phone', platform: 'a  b' }]);
  });

  test('on a new platform, with a new version, is no new device', async () => {
    const gateway = await Identities.open();
    const device = makeDevice();
    await gateway.join({ device });
    const client = { id: 'cli', version: '2', platform: 'darwin', mode: 'cli', deviceFamily: 'Mac' };
    expect((await gateway.join({ device, from: away, changes: { client } })).hello.type).toBe('hello-ok');
  });
});

describe('an operator', () => {
  test('can’t approve more than it holds, nor more than was asked for, but less', async () => {
    const gateway = await Identities.open();
    const device = makeDevice();
    const { requestId } = (await gateway.refused({ device, from: away })).error.details;
    const helper = await gateway.join({ changes: { scopes: ['operator.pairing', 'operator.read'] } });
    expect((await helper.ask('device.pair.approve', { requestId })).error).toMatchObject({
      code: 'FORBIDDEN',
      details: { code: 'MISSING_SCOPE', missingScope: 'operator.write' },
    });
    const { payload } = await helper.ask('device.pair.approve', { requestId, scopes: ['operator.read'] });
    expect(payload.device.scopes).toEqual(['operator.read']);

    const other = makeDevice();
    const small = { device: other, from: away, changes: { scopes: ['operator.read'] } };
    const asked = (await gateway.refused(small)).error.details;
    const surplus = { requestId: asked.requestId, scopes: ['operator.pairing'] };
    expect((await helper.ask('device.pair.approve', surplus)).error.code).toBe('INVALID_REQUEST');
    const misspelt = { requestId: asked.requestId, scopes: ['operator.raed'] };
    expect((await helper.ask('device.pair.approve', misspelt)).error.message).toContain('operator.raed');
    const reader = await gateway.join({ changes: { scopes: ['operator.read'] } });
    expect((await reader.ask('device.pair.list')).error.details.missingScope).toBe('operator.pairing');
  });

  test('that asks again after a drop gets the same answer', async () => {
    const gateway = await Identities.open();
    const [owner, device, stranger] = [await gateway.join(), makeDevice(), makeDevice()];
    const { requestId } = (await gateway.refused({ device, from: away })).error.details;
    const first = await owner.ask('device.pair.approve', { requestId });
    expect((await owner.ask('device.pair.approve', { requestId })).payload).toEqual(first.payload);
    expect((await owner.ask('device.pair.reject', { requestId })).ok).toBe(false);
    const refused = (await gateway.refused({ device: stranger, from: away })).error.details;
    for (let n = 0; n < 2; n++) {
      const answer = await owner.ask('device.pair.reject', { requestId: refused.requestId });
      expect(answer.payload).toEqual({ requestId: refused.requestId, deviceId: stranger.id });
    }
    const removed = await owner.ask('device.pair.remove', { deviceId: device.id });
    expect((await owner.ask('device.pair.remove', { deviceId: device.id })).payload).toEqual(removed.payload);
    expect((await owner.ask('device.pair.remove', { deviceId: stranger.id })).error.message).toContain(
      'unknown deviceId',
    );
  });

  test('hears of requests and answers, by the stream or as v4, and only with the scope', async () => {
    const gateway = await Identities.open();
    const [v4, reader] = [await gateway.join(), await gateway.join({ changes: { scopes: ['operator.read'] } })];
    const streams = await gateway.join({ changes: { caps: ['streams'] } });
    await streams.ask('streams.subscribe', { streams: [{ stream: 'pairing' }] });
    const device = makeDevice();
    const { requestId } = (await gateway.refused({ device, from: away })).error.details;
    await v4.ask('device.pair.reject', { requestId });
    for (const member of [v4, streams]) {
      expect((await member.event('device.pair.requested')).payload).toMatchObject({ requestId, deviceId: device.id });
      expect((await member.event('device.pair.resolved')).payload).toMatchObject({ requestId, decision: 'rejected' });
    }
    await reader.ask('health');
    expect(reader.events.filter(({ event }) => event.startsWith('device.'))).toEqual([]);
    // A v4 connection counts them like all its events.
    expect(v4.events.map(({ seq }) => seq)).toEqual(v4.events.map((_event, index) => index + 1));
  });

  test('names a device, and the name stays', async () => {
    const gateway = await Identities.open();
    const [owner, device] = [await gateway.join(), makeDevice()];
    await gateway.join({ device });
    await owner.ask('device.pair.rename', { deviceId: device.id, label: 'kitchen' });
    await gateway.join({ device });
    expect((await owner.ask('device.pair.list')).payload.paired).toMatchObject([{ displayName: 'kitchen' }]);
  });
});

describe('requests', () => {
  test('that nobody answers expire after an hour of uptime, whatever the wall clock says', async () => {
    const gateway = await Identities.open();
    const owner = await gateway.join({ changes: { caps: ['streams'] } });
    await gateway.refused({ device: makeDevice(), from: away });
    gateway.clock.wallOffsetMs += 30 * hourMs;
    await gateway.clock.advance(hourMs - 10_000);
    const again = await gateway.join();
    expect((await again.ask('device.pair.list')).payload.pending.length).toBe(1);
    await gateway.clock.advance(20_000);
    const later = await gateway.join();
    expect((await later.ask('device.pair.list')).payload.pending).toEqual([]);
    expect(owner.hello.type).toBe('hello-ok');
  });

  test('are kept over a restart', async () => {
    const store = memoryStore();
    const before = await Identities.open({}, { store });
    const device = makeDevice();
    const { requestId } = (await before.refused({ device, from: away })).error.details;
    await before.gateway.close();
    const after = await Identities.open({}, { store });
    const owner = await after.join();
    expect((await owner.ask('device.pair.list')).payload.pending).toMatchObject([{ requestId }]);
    await owner.ask('device.pair.approve', { requestId });
    expect((await after.join({ device, from: away })).hello.auth.scopes).toEqual([...operatorScopes]);
  });

  test('are at most fifty: the oldest makes room, and is told as expired', async () => {
    const gateway = await Identities.open();
    const owner = await gateway.join();
    const ids: string[] = [];
    for (let n = 0; n < 51; n++) {
      const { error } = await gateway.refused({ device: makeDevice(), from: `203.0.113.${n}` });
      ids.push(error.details.requestId);
    }
    const { pending } = (await owner.ask('device.pair.list')).payload;
    expect(pending.map(({ requestId }: { requestId: string }) => requestId)).toEqual(ids.slice(1));
    expect((await owner.event('device.pair.resolved')).payload).toMatchObject({
      requestId: ids[0],
      decision: 'expired',
    });
  });

  test('of one address are counted; asking for the same again is free', async () => {
    const gateway = await Identities.open({ limits: { pairingPerMinute: 2 } });
    const device = makeDevice();
    for (let n = 0; n < 5; n++) await gateway.refused({ device, from: away });
    await gateway.refused({ device: makeDevice(), from: away });
    const { error } = await gateway.refused({ device: makeDevice(), from: away });
    expect(error).toMatchObject({ retryAfterMs: 60_000, details: { code: 'AUTH_RATE_LIMITED' } });
    const elsewhere = await gateway.refused({ device: makeDevice(), from: '203.0.113.10' });
    expect(elsewhere.error.details.code).toBe('PAIRING_REQUIRED');
  });

  test('are not left by whoever has no credential', async () => {
    const gateway = await Identities.open();
    const owner = await gateway.join();
    await gateway.refused({ device: makeDevice(), from: away, changes: { auth: { token: 'wrong' } } });
    await gateway.refused({ device: makeDevice(), from: away, changes: { auth: {} } });
    expect((await owner.ask('device.pair.list')).payload.pending).toEqual([]);
  });
});
