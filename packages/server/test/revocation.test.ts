import { describe, expect, test } from 'vitest';
import { memoryStore } from '../src/index.ts';
import { Identities, type Member, sharedToken } from './identity-fixture.ts';
import { makeDevice } from './raw-client.ts';

const away = '203.0.113.9';
const revoked = { code: 4001, reason: 'credential revoked' };
const removed = { code: 4001, reason: 'device removed' };
const session = 'session:agent:main:main';

/** Streams that a member reads from now on. */
async function reads(member: Member, ...streams: string[]): Promise<void> {
  const { payload } = await member.ask('streams.subscribe', { streams: streams.map((stream) => ({ stream })) });
  for (const { stream, result } of payload.streams) expect([stream, result]).toEqual([stream, 'snapshot']);
  for (const _ of streams) {
    await member.event('stream.reset');
    await member.event('stream.live');
  }
}

/** Says something, and gives when everyone who may hear it has heard it. */
async function speak(owner: Member, text: string): Promise<void> {
  const { ok } = await owner.ask('chat.send', { sessionKey: 'main', message: text, idempotencyKey: text });
  expect(ok).toBe(true);
  await owner.ask('health');
}

/** A store whose states are read from `hold` on when `release` says so. */
function heldDisk() {
  const store = memoryStore();
  let held: Promise<void> | undefined;
  let release = () => {};
  let noteRead = () => {};
  const readState: typeof store.readState = async (stream) => {
    noteRead();
    await held;
    return store.readState(stream);
  };
  return {
    store: new Proxy(store, {
      get: (target, name) => {
        const value: unknown = name === 'readState' ? readState : Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    }),
    /** Resolves when somebody waits for the disk. */
    hold: () => {
      held = new Promise<void>((resolve) => {
        release = resolve;
      });
      return new Promise<void>((resolve) => {
        noteRead = resolve;
      });
    },
    release: () => release(),
  };
}

const heard = ({ events }: Member, text: string) => JSON.stringify(events).includes(text);

describe('a token that is revoked', () => {
  test.each([['streams'], ['v4']])(
    'cuts its connections in the middle of a stream, and nothing comes after (%s)',
    async (kind) => {
      const gateway = await Identities.open();
      const owner = await gateway.join();
      const made = (await owner.ask('tokens.create', { role: 'operator', id: 'ci', scopes: ['operator.read'] }))
        .payload;
      const changes = { auth: { token: made.token }, ...(kind === 'streams' ? { caps: ['streams'] } : {}) };
      const guest = await gateway.join({ changes });
      if (kind === 'streams') await reads(guest, session);
      await speak(owner, 'before');
      const { payload } = await owner.ask('tokens.revoke', { tokenId: made.tokenId });
      expect(payload).toEqual({ tokenId: made.tokenId, revoked: true });
      await speak(owner, 'afterwards');
      expect(await guest.closed).toEqual(revoked);
      expect(heard(guest, 'before')).toBe(true);
      expect(heard(guest, 'afterwards')).toBe(false);
      expect((await gateway.refused({ changes })).error.details.code).toBe('AUTH_TOKEN_MISMATCH');
      expect((await owner.ask('tokens.revoke', { tokenId: made.tokenId })).payload.revoked).toBe(false);
    },
  );

  test('leaves others alone, its maker among them', async () => {
    const gateway = await Identities.open();
    const owner = await gateway.join();
    const make = async (id: string) => (await owner.ask('tokens.create', { role: 'operator', id })).payload;
    const [one, other] = [await make('one'), await make('other')];
    const bystander = await gateway.join({ changes: { auth: { token: other.token } } });
    await owner.ask('tokens.revoke', { tokenId: one.tokenId });
    for (const member of [owner, bystander]) expect((await member.ask('health')).ok).toBe(true);
  });

  test('cuts an agent', async () => {
    const gateway = await Identities.open();
    const owner = await gateway.join();
    const made = (await owner.ask('tokens.create', { role: 'agent', id: 'main' })).payload;
    const agent = await gateway.join({ changes: { role: 'agent', caps: ['streams'], auth: { token: made.token } } });
    await owner.ask('tokens.revoke', { tokenId: made.tokenId });
    expect(await agent.closed).toEqual(revoked);
  });

  test('does not answer what was asked after it was cut', async () => {
    const gateway = await Identities.open();
    const owner = await gateway.join();
    const made = (await owner.ask('tokens.create', { role: 'operator', id: 'ci', scopes: ['operator.admin'] })).payload;
    const guest = await gateway.join({ changes: { auth: { token: made.token } } });
    const own = await guest.ask('tokens.revoke', { tokenId: made.tokenId });
    void guest.ask('tokens.create', { role: 'operator', id: 'backdoor' });
    expect(own.ok).toBe(true);
    expect(await guest.closed).toEqual(revoked);
    const { tokens } = (await owner.ask('tokens.list')).payload;
    expect(tokens.map(({ id }: { id: string }) => id)).toEqual([]);
  });
});

test('a request that waits for the disk when its sender is cut changes nothing any more', async () => {
  const disk = heldDisk();
  const before = await Identities.open({}, { store: disk.store });
  expect((await (await before.join()).ask('sessions.create', { key: 'notes', label: 'kept' })).ok).toBe(true);
  await before.gateway.close();
  const gateway = await Identities.open({}, { store: disk.store });
  const owner = await gateway.join();
  const { tokenId, token } = (
    await owner.ask('tokens.create', { role: 'operator', id: 'ci', scopes: ['operator.write'] })
  ).payload;
  const guest = await gateway.join({ changes: { auth: { token } } });
  const isRead = disk.hold();
  const params = { sessionKey: 'notes', message: 'too late', idempotencyKey: 'late' };
  void guest.ask('chat.send', params);
  await isRead;
  await owner.ask('tokens.revoke', { tokenId });
  expect(await guest.closed).toEqual(revoked);
  disk.release();
  const { ok } = await owner.ask('chat.send', { ...params, message: 'in time', idempotencyKey: 'next' });
  expect(ok).toBe(true);
  const { messages } = (await owner.ask('chat.history', { sessionKey: 'notes' })).payload;
  expect(JSON.stringify(messages)).toContain('in time');
  expect(JSON.stringify(messages)).not.toContain('too late');
});

test('what was asked for is not told any more to whoever may not read it when it is there', async () => {
  const gateway = await Identities.open();
  const [owner, device] = [await gateway.join(), makeDevice()];
  const made = (await owner.ask('tokens.create', { role: 'agent', id: 'main' })).payload;
  const agent = await gateway.join({ changes: { role: 'agent', caps: ['streams'], auth: { token: made.token } } });
  await agent.ask('agent.attach', { instance: 'instance-one', resumable: true });
  const member = await gateway.join({ device });
  const run = { runId: 'r1' };
  const first = member.ask('agent', { message: 'hello', idempotencyKey: 'r1' });
  expect((await first).payload).toMatchObject({ ...run, status: 'accepted' });
  const waited = member.ask('agent.wait', { ...run, timeoutMs: 60_000 });
  await member.ask('health');
  const scopes = ['operator.pairing'];
  await owner.ask('device.token.rotate', { deviceId: device.id, role: 'operator', scopes });
  await agent.ask('run.start', run);
  const text = { stream: 'assistant', data: { itemId: 'a', at: 0, delta: 'a secret answer' } };
  const parts = [text, { stream: 'lifecycle', data: { phase: 'end', stopReason: 'stop' } }];
  expect((await agent.ask('run.emit', { ...run, n: 1, parts })).ok).toBe(true);
  expect((await waited).error).toMatchObject({ code: 'FORBIDDEN', details: { missingScope: 'operator.write' } });
  await owner.ask('chat.history', { sessionKey: 'main' });
  await member.ask('health');
  expect(JSON.stringify(member.answers)).not.toContain('a secret answer');
});

describe('a device', () => {
  test('that is removed is cut whatever it came in with, and its tokens are worth nothing', async () => {
    const gateway = await Identities.open();
    const [owner, device] = [await gateway.join(), makeDevice()];
    const byToken = await gateway.join({ device });
    const { deviceToken } = byToken.hello.auth;
    const byOwn = await gateway.join({ device, from: away, changes: { auth: { deviceToken } } });
    await owner.ask('device.pair.remove', { deviceId: device.id });
    for (const member of [byToken, byOwn]) expect(await member.closed).toEqual(removed);
    const { error } = await gateway.refused({ device, from: away, changes: { auth: { deviceToken } } });
    expect(error.details.code).toBe('AUTH_DEVICE_TOKEN_MISMATCH');
    expect((await owner.ask('health')).ok).toBe(true);
  });

  test('whose tokens are revoked stays paired: with the shared token it gets a new one', async () => {
    const gateway = await Identities.open();
    const [owner, device] = [await gateway.join(), makeDevice()];
    const member = await gateway.join({ device });
    const { deviceToken } = member.hello.auth;
    await owner.ask('device.token.revoke', { deviceId: device.id, role: 'operator' });
    expect(await member.closed).toEqual(removed);
    expect((await gateway.refused({ device, changes: { auth: { deviceToken } } })).error.details.code).toBe(
      'AUTH_DEVICE_TOKEN_MISMATCH',
    );
    const again = await gateway.join({ device, from: away });
    expect(again.hello.auth.deviceToken).not.toBe(deviceToken);
    expect(again.hello.auth.deviceToken).toMatch(/^[\w-]{43}$/);
  });

  test('that rotates its own token is told the new one, then cut where it came in with the old', async () => {
    const gateway = await Identities.open();
    const device = makeDevice();
    const { deviceToken } = (await gateway.join({ device })).hello.auth;
    const member = await gateway.join({ device, changes: { auth: { deviceToken } } });
    const { payload } = await member.ask('device.token.rotate', { deviceId: device.id, role: 'operator' });
    expect(payload).toMatchObject({ deviceId: device.id, role: 'operator', tokenDelivery: 'in-band' });
    expect(await member.closed).toEqual(removed);
    expect((await gateway.refused({ device, changes: { auth: { deviceToken } } })).error.details.code).toBe(
      'AUTH_DEVICE_TOKEN_MISMATCH',
    );
    await gateway.join({ device, from: away, changes: { auth: { deviceToken: payload.token } } });
  });

  test('whose token another rotates gets it when it connects with the shared token; the other never sees it', async () => {
    const gateway = await Identities.open();
    const [owner, device] = [await gateway.join(), makeDevice()];
    await gateway.join({ device });
    const { payload } = await owner.ask('device.token.rotate', { deviceId: device.id, role: 'operator' });
    expect(payload.tokenDelivery).toBe('withheld-cross-device');
    expect(payload).not.toHaveProperty('token');
    const { deviceToken } = (await gateway.join({ device, from: away })).hello.auth;
    await gateway.join({ device, from: away, changes: { auth: { deviceToken } } });
  });

  test('that is narrowed keeps its connection and loses what it may not read any more', async () => {
    const gateway = await Identities.open();
    const [owner, device] = [await gateway.join(), makeDevice()];
    const member = await gateway.join({ device, changes: { caps: ['streams'] } });
    const v4 = await gateway.join({ device });
    await reads(member, session, 'pairing', 'audit');
    await speak(owner, 'before');
    const scopes = ['operator.pairing'];
    await owner.ask('device.token.rotate', { deviceId: device.id, role: 'operator', scopes });
    const ended = [await member.event('stream.reset'), await member.event('stream.reset')];
    expect(ended.map(({ payload }) => [payload.stream, payload.reason])).toEqual(
      expect.arrayContaining([
        [session, 'scope_lost'],
        ['audit', 'scope_lost'],
      ]),
    );
    await speak(owner, 'afterwards');
    for (const each of [member, v4]) {
      expect((await each.ask('health')).ok).toBe(true);
      expect(heard(each, 'before')).toBe(true);
      expect(heard(each, 'afterwards')).toBe(false);
      expect((await each.ask('sessions.list')).error.details.missingScope).toBe('operator.read');
      expect((await each.ask('device.pair.list')).ok).toBe(true);
    }
    const { payload } = await member.ask('streams.subscribe', {
      streams: [{ stream: session }, { stream: 'pairing' }],
    });
    expect(payload.streams.map(({ result }: { result: string }) => result)).toEqual(['forbidden', 'snapshot']);
  });

  test('is never widened by a rotation', async () => {
    const gateway = await Identities.open();
    const [owner, device] = [await gateway.join(), makeDevice()];
    await gateway.join({ device, changes: { scopes: ['operator.read'] } });
    const wider = { deviceId: device.id, role: 'operator', scopes: ['operator.write'] };
    expect((await owner.ask('device.token.rotate', wider)).error.message).toMatch(/^A rotation only narrows/);
    const node = { deviceId: device.id, role: 'node' };
    expect((await owner.ask('device.token.rotate', node)).error.code).toBe('INVALID_REQUEST');
  });
});

describe('other settings', () => {
  const named = { name: 'ci', token: 'a-token-of-its-own', scopes: ['operator.read', 'operator.write'] };
  const auth = { mode: 'token', token: sharedToken } as const;
  const trustedProxies = ['127.0.0.1'];

  test('cut who came in with a token that is gone or with the old secret, and nobody else', async () => {
    const other = { ...named, name: 'other', token: 'another-token-of-its-own' };
    const gateway = await Identities.open({ tokens: [named, other] });
    const shared = await gateway.join();
    const [ci, bystander] = [
      await gateway.join({ changes: { auth: { token: named.token } } }),
      await gateway.join({ changes: { auth: { token: other.token } } }),
    ];
    gateway.gateway.reconfigure({ auth, trustedProxies, tokens: [other] });
    expect(await ci.closed).toEqual(revoked);
    gateway.gateway.reconfigure({ auth: { ...auth, token: 'another shared token' }, trustedProxies, tokens: [other] });
    expect(await shared.closed).toEqual(revoked);
    expect((await bystander.ask('health')).ok).toBe(true);
    expect((await gateway.refused()).error.details.code).toBe('AUTH_TOKEN_MISMATCH');
    await gateway.join({ changes: { auth: { token: 'another shared token' } } });
  });

  test('that narrow a token take it from its connections at once, and never widen one', async () => {
    const gateway = await Identities.open({ tokens: [named] });
    const member = await gateway.join({ changes: { auth: { token: named.token }, caps: ['streams'] } });
    await reads(member, session);
    gateway.gateway.reconfigure({ auth, trustedProxies, tokens: [{ ...named, scopes: ['operator.approvals'] }] });
    expect((await member.event('stream.reset')).payload).toMatchObject({ stream: session, reason: 'scope_lost' });
    expect((await member.ask('sessions.list')).error.details.missingScope).toBe('operator.read');
    gateway.gateway.reconfigure({ auth, trustedProxies, tokens: [named] });
    expect((await member.ask('sessions.list')).ok).toBe(false);
    const again = await gateway.join({ changes: { auth: { token: named.token } } });
    expect((await again.ask('sessions.list')).ok).toBe(true);
  });

  test('cut a user whom the proxy may not bring any more', async () => {
    const proxy = { mode: 'trusted-proxy', userHeader: 'x-user' } as const;
    const gateway = await Identities.open({ auth: proxy });
    const arrive = (user: string) => ({ from: away, headers: { 'x-user': user }, changes: { auth: {} } });
    const [ada, bob] = [await gateway.join(arrive('ada')), await gateway.join(arrive('bob'))];
    gateway.gateway.reconfigure({ auth: { ...proxy, allowUsers: ['bob'] }, trustedProxies });
    expect(await ada.closed).toEqual(revoked);
    expect((await bob.ask('health')).ok).toBe(true);
  });

  test('cut a user whom a proxy brought that is not trusted any more, and believe nothing that it said before', async () => {
    const proxy = { mode: 'trusted-proxy', userHeader: 'x-user' } as const;
    const gateway = await Identities.open({ auth: proxy });
    const ada = await gateway.join({ from: away, headers: { 'x-user': 'ada' }, changes: { auth: {} } });
    gateway.gateway.reconfigure({ auth: proxy, trustedProxies: ['127.0.0.1', '203.0.113.1'] });
    expect((await ada.ask('health')).ok).toBe(true);
    gateway.gateway.reconfigure({ auth: proxy, trustedProxies: ['203.0.113.1'] });
    expect(await ada.closed).toEqual(revoked);
  });

  test('that make no sense change nothing', async () => {
    const gateway = await Identities.open({ tokens: [named] });
    const member = await gateway.join({ changes: { auth: { token: named.token } } });
    for (const tokens of [
      [{ ...named, token: 'short' }],
      [{ ...named, name: 'shared' }],
      [named, { ...named, name: 'again' }],
      [{ ...named, token: 'sha256:xyz' }],
    ]) {
      expect(() => gateway.gateway.reconfigure({ auth, trustedProxies, tokens })).toThrow(/token/);
    }
    expect((await member.ask('health')).ok).toBe(true);
  });
});
