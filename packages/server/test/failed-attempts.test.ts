import { VirtualClock } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { addressKey, FailedAttempts } from '../src/connection/failed-attempts.ts';
import { Identities, sharedToken } from './identity-fixture.ts';
import { makeDevice } from './raw-client.ts';

function counted(limits = { perMinute: 3, blockMs: 60_000, maxBlockMs: 200_000 }) {
  const clock = new VirtualClock();
  const failures = new FailedAttempts(clock, () => limits);
  const fail = (key: string, times: number) => {
    for (let n = 0; n < times; n++) failures.note([key]);
  };
  return { clock, failures, fail };
}

describe('failures', () => {
  test('beyond the limit of a minute make one wait, twice as long each time, up to a bound', async () => {
    const { clock, failures, fail } = counted();
    fail('x', 2);
    expect(failures.waitMs(['x'])).toBeUndefined();
    const waits: (number | undefined)[] = [];
    for (const times of [1, 3, 3, 3]) {
      fail('x', times);
      waits.push(failures.waitMs(['y', 'x']));
      await clock.advance(failures.waitMs(['x']) ?? 0);
      expect(failures.waitMs(['x'])).toBeUndefined();
    }
    expect(waits).toEqual([60_000, 120_000, 200_000, 200_000]);
  });

  test('that are spread over more than a minute make nobody wait', async () => {
    const { clock, failures, fail } = counted();
    for (let n = 0; n < 20; n++) {
      fail('x', 1);
      await clock.advance(31_000);
    }
    expect(failures.waitMs(['x'])).toBeUndefined();
  });

  test('are forgotten after a success, and after a long rest', async () => {
    const { clock, failures, fail } = counted();
    fail('x', 2);
    failures.clear(['x']);
    fail('x', 2);
    expect(failures.waitMs(['x'])).toBeUndefined();
    fail('x', 1);
    await clock.advance(60_000 + 60_000 + 200_001);
    fail('x', 3);
    expect(failures.waitMs(['x'])).toBe(60_000);
  });

  test('of a crowd are kept within bounds', () => {
    const { failures, fail } = counted();
    fail('first', 3);
    for (let n = 0; n < 10_000; n++) fail(`x${n}`, 1);
    expect(failures.waitMs(['first'])).toBeUndefined();
    fail('last', 3);
    expect(failures.waitMs(['last'])).toBe(60_000);
  });
});

test.each([
  ['203.0.113.9', 'ip:203.0.113.9'],
  ['::ffff:203.0.113.9', 'ip:203.0.113.9'],
  ['2001:db8:1:2:3:4:5:6', 'net:2001:db8:1:2'],
  ['2001:0DB8:0001:2::1', 'net:2001:db8:1:2'],
  ['2001:db8::1', 'net:2001:db8:0:0'],
  ['fe80::1%eth0', 'net:fe80:0:0:0'],
  ['::1', 'net:0:0:0:0'],
  ['64:ff9b::203.0.113.9', 'net:64:ff9b:0:0'],
  ['', 'ip:'],
])('the address %s counts as %s', (address, key) => {
  expect(addressKey(address)).toBe(key);
});

describe('wrong credentials', () => {
  const wrong = { auth: { token: 'wrong' } };

  test('of a device make it wait on this machine, too, and nobody beside it', async () => {
    const gateway = await Identities.open();
    const device = makeDevice();
    for (let n = 0; n < 10; n++) await gateway.refused({ device, changes: wrong });
    const { error, close } = await gateway.refused({ device });
    expect(error).toMatchObject({
      code: 'INVALID_REQUEST',
      retryable: true,
      retryAfterMs: 60_000,
      details: { code: 'AUTH_RATE_LIMITED', recommendedNextStep: 'wait_then_retry' },
    });
    expect(close.code).toBe(1008);
    await gateway.join({ device: makeDevice() });
    await gateway.join();
    await gateway.clock.advance(60_001);
    await gateway.join({ device });
  });

  test('of one IPv6 network count together, and a right one clears them', async () => {
    const gateway = await Identities.open({ limits: { handshakeBurst: 100 } });
    for (let n = 0; n < 9; n++) await gateway.refused({ from: `2001:db8::${n}`, changes: wrong });
    await gateway.join({ from: '2001:db8::ffff' });
    for (let n = 0; n < 10; n++) await gateway.refused({ from: `2001:db8::1:${n}`, changes: wrong });
    expect((await gateway.refused({ from: '2001:db8::77' })).error.details.code).toBe('AUTH_RATE_LIMITED');
    await gateway.join({ from: '2001:db8:0:1::77' });
  });

  test('can’t be made forgotten by a token that may do less than what is guessed', async () => {
    const tokens = [{ name: 'screen', token: 'a-token-of-its-own', scopes: ['operator.read'] }];
    const gateway = await Identities.open({ tokens, limits: { handshakeBurst: 100 } });
    const from = '203.0.113.9';
    const right = { auth: { token: 'a-token-of-its-own' } };
    for (let n = 0; n < 9; n++) await gateway.refused({ from, changes: wrong });
    await gateway.join({ from, changes: right });
    await gateway.refused({ from, changes: wrong });
    expect((await gateway.refused({ from, changes: right })).error.details.code).toBe('AUTH_RATE_LIMITED');
  });

  test('can’t lock out a device whose key one does not have', async () => {
    const gateway = await Identities.open();
    const [device, thief] = [makeDevice(), makeDevice()];
    const { deviceToken } = (await gateway.join({ device })).hello.auth;
    const stolen = { ...thief, id: device.id };
    for (let n = 0; n < 12; n++) {
      const { error } = await gateway.refused({ device: stolen, changes: { auth: { deviceToken } } });
      expect(error.details.code).toBe('DEVICE_AUTH_DEVICE_ID_MISMATCH');
    }
    await gateway.join({ device, changes: { auth: { deviceToken } } });
    // On its own key the thief gets nothing for the token either.
    const { error } = await gateway.refused({ device: thief, changes: { auth: { deviceToken } } });
    expect(error.details.code).toBe('AUTH_DEVICE_TOKEN_MISMATCH');
    expect(sharedToken).not.toBe(deviceToken);
  });
});
