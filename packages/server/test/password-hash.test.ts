import { settle } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { type Derive, hashPassword, PasswordVerifier, parsePasswordHash } from '../src/connection/password-hash.ts';
import { Identities } from './identity-fixture.ts';
import { makeDevice } from './raw-client.ts';

const kept = 'scrypt$N=16384,r=8,p=1$c29tZS1zYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
const right = Buffer.alloc(32);

/** Computations that end when the test says so. */
class Bench {
  readonly started: string[] = [];
  readonly #ends: (() => void)[] = [];

  readonly derive: Derive = (password) => {
    this.started.push(password);
    return new Promise((resolve) => this.#ends.push(() => resolve(password === 'right' ? right : Buffer.alloc(32, 1))));
  };

  /** Ends the oldest, and gives what follows from that a turn. */
  async end(): Promise<void> {
    await settle();
    this.#ends.shift()?.();
    await settle();
  }
}

describe('hashPassword', () => {
  test('makes text that only the password fits, another each time', async () => {
    const [one, other] = [await hashPassword('correct horse'), await hashPassword('correct horse')];
    expect(one).toMatch(/^scrypt\$N=32768,r=8,p=1\$[\w-]{22}\$[\w-]{43}$/);
    expect(other).not.toBe(one);
    const verifier = new PasswordVerifier();
    expect(await verifier.verify(one, 'correct horse')).toBe(true);
    expect(await verifier.verify(one, 'correct horses')).toBe(false);
    // Typed on another system, the same letters may come in other bytes.
    expect(await verifier.verify(await hashPassword('caf\u00e9'), 'cafe\u0301')).toBe(true);
  });

  test.each([
    'scrypt$',
    'scrypt$N=32767,r=8,p=1$c29tZS1zYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    'scrypt$N=1048576,r=32,p=1$c29tZS1zYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    'scrypt$N=32768,r=8,p=99$c29tZS1zYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    'scrypt$N=32768,r=8,p=1$c29tZS1zYWx0$short',
  ])('is what else is refused: %s', (text) => {
    expect(() => parsePasswordHash(text)).toThrow(/no hash/);
    expect(parsePasswordHash(kept)).toMatchObject({ cost: 16_384, blockSize: 8, parallelization: 1 });
  });
});

describe('passwords are checked', () => {
  test('two at a time; so many wait, and more are refused', async () => {
    const bench = new Bench();
    const verifier = new PasswordVerifier({ derive: bench.derive, maxWaiting: 1 });
    const results = ['a', 'b', 'right'].map((given) => verifier.verify(kept, given));
    await settle();
    expect(bench.started).toEqual(['a', 'b']);
    await expect(verifier.verify(kept, 'd')).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    await bench.end();
    expect(bench.started).toEqual(['a', 'b', 'right']);
    await bench.end();
    await bench.end();
    expect(await Promise.all(results)).toEqual([false, false, true]);
  });

  test('once for all who bring the same at the same time, and never again for the right one', async () => {
    const bench = new Bench();
    const verifier = new PasswordVerifier({ derive: bench.derive });
    const crowd = Array.from({ length: 100 }, () => verifier.verify(kept, 'right'));
    await bench.end();
    expect(new Set(await Promise.all(crowd))).toEqual(new Set([true]));
    expect(verifier.verify(kept, 'right')).toBe(true);
    expect(bench.started).toEqual(['right']);
    const wrong = verifier.verify(kept, 'wrong');
    await bench.end();
    expect(await wrong).toBe(false);
    void verifier.verify(kept, 'wrong');
    await settle();
    expect(bench.started).toEqual(['right', 'wrong', 'wrong']);
    verifier.retain(new Set());
    void verifier.verify(kept, 'right');
    await settle();
    expect(bench.started.length).toBe(4);
  });
});

describe('a gateway with a hashed password', () => {
  test('lets in who knows it, in either field, and nobody else', async () => {
    const gateway = await Identities.open({ auth: { mode: 'password', password: await hashPassword('open sesame') } });
    for (const auth of [{ password: 'open sesame' }, { token: 'open sesame' }]) {
      expect((await gateway.join({ changes: { auth } })).hello.auth.scopes.length).toBe(5);
    }
    const { error } = await gateway.refused({ changes: { auth: { password: 'open barley' } } });
    expect(error.details.code).toBe('AUTH_PASSWORD_MISMATCH');
    // A device's own token costs no computation and needs no password.
    const device = makeDevice();
    const { deviceToken } = (await gateway.join({ device, changes: { auth: { password: 'open sesame' } } })).hello.auth;
    await gateway.join({ device, changes: { auth: { token: deviceToken } } });
  });

  test('gives nothing to who left while it was checked', async () => {
    const gateway = await Identities.open({ auth: { mode: 'password', password: await hashPassword('open sesame') } });
    const device = makeDevice();
    const leaving = gateway.leave({ device, changes: { auth: { password: 'open sesame' } } });
    await leaving;
    const owner = await gateway.join({ changes: { auth: { password: 'open sesame' } } });
    expect((await owner.ask('device.pair.list')).payload.paired).toEqual([]);
  });
});
