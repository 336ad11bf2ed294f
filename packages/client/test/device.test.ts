import { createPublicKey, verify } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Notice, parseSetupCode } from '@openclaw/client';
import {
  type DeviceRecord,
  type DeviceStore,
  deviceIdentity,
  localDeviceStore,
  memoryDeviceStore,
} from '@openclaw/client/device';
import { fileDeviceStore } from '@openclaw/client/device-file';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { FakeGateway } from './fake-gateway.ts';

const directories: string[] = [];
afterAll(async () => {
  for (const directory of directories) await rm(directory, { recursive: true });
});

async function temporary(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'device-'));
  directories.push(directory);
  return directory;
}

/** As `localStorage`. */
function textStorage() {
  const texts = new Map<string, string>();
  return {
    texts,
    getItem: (key: string) => texts.get(key) ?? null,
    setItem: (key: string, text: string) => void texts.set(key, text),
  };
}

const stores: [string, () => Promise<DeviceStore>][] = [
  ['memory', async () => memoryDeviceStore()],
  ['localStorage', async () => localDeviceStore(textStorage())],
  ['a file', async () => fileDeviceStore(join(await temporary(), 'deep', 'device.json'))],
];

/** The params of a `connect`. */
interface Sent {
  device: Record<string, string>;
  client: { platform: string };
  scopes: string[];
  auth: Record<string, string>;
}

async function connected(options: Parameters<FakeGateway['connect']>[0], fake = new FakeGateway()) {
  const { gateway, states } = fake.connect({ url: 'ws://user:canary@gateway.example:1?token=canary', ...options });
  const notices: Notice[] = [];
  gateway.on('notice', (notice) => notices.push(notice));
  await vi.waitFor(() => expect(states.some(({ state }) => /live|backoff|failed/.test(state))).toBe(true));
  return { fake, gateway, states, notices, sent: fake.last.sent[0]?.params as unknown as Sent };
}

describe.each(stores)('a device identity kept in %s', (_name, makeStore) => {
  test('signs as the protocol says, and is the same after a restart', async () => {
    const store = await makeStore();
    const { sent, notices } = await connected({ token: 't', device: deviceIdentity({ store }) });
    const { client, scopes, device } = sent;
    const { id, publicKey, signature, signedAt, nonce } = device;
    const payload = `v3|${id}|gateway-client|backend|operator|${scopes.join(',')}|${signedAt}|t|${nonce}|${client.platform}|`;
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey as string }, format: 'jwk' });
    expect(verify(null, Buffer.from(payload), key, Buffer.from(signature as string, 'base64url'))).toBe(true);
    expect(notices).toEqual([]);

    const again = deviceIdentity({ store });
    expect(await again.status()).toEqual({ supported: true, id });
    expect(again.supported).toBe(true);
    const later = await connected({ token: 't', device: again });
    expect(later.sent).toMatchObject({ device: { id, publicKey } });
  });

  test('brings the token of the gateway along after a restart, in place of a used code, and drops one that is not known', async () => {
    const store = await makeStore();
    const fake = new FakeGateway();
    fake.auth = { deviceToken: 'device-token' };
    const first = await connected({ bootstrapToken: 'code', device: deviceIdentity({ store }) }, fake);
    expect(first.sent).toMatchObject({ auth: { bootstrapToken: 'code' } });
    await vi.waitFor(async () => expect(Object.values((await store.load())?.tokens ?? {})).toEqual(['device-token']));
    expect(Object.keys((await store.load())?.tokens ?? {})).toEqual(['ws://gateway.example:1/']);

    const second = await connected({ bootstrapToken: 'code', device: deviceIdentity({ store }) });
    expect(second.sent).toMatchObject({ auth: { deviceToken: 'device-token' } });
    expect(second.sent.auth).not.toHaveProperty('bootstrapToken');

    const elsewhere = await connected({ url: 'ws://other.example', device: deviceIdentity({ store }) });
    expect(elsewhere.sent.auth).toEqual({});

    const refusing = new FakeGateway();
    refusing.refusals.push({ code: 'INVALID_REQUEST', message: 'no', details: { code: 'AUTH_DEVICE_TOKEN_MISMATCH' } });
    const third = await connected({ device: deviceIdentity({ store }) }, refusing);
    expect(third.states.at(-1)?.state).toBe('failed');
    await vi.waitFor(async () => expect((await store.load())?.tokens).toEqual({}));
    expect((await store.load())?.key).toBeDefined();
  });
});

describe('a device identity', () => {
  test.each(stores)('made by two pages at once is one, in %s', async (_name, makeStore) => {
    const store = await makeStore();
    const [a, b] = await Promise.all([deviceIdentity({ store }).status(), deviceIdentity({ store }).status()]);
    const kept = await deviceIdentity({ store }).status();
    expect([a, b]).toEqual([kept, kept]);
  });

  test('made by two processes at once is one, in a file that is not there yet', async () => {
    const path = join(await temporary(), 'device.json');
    const pages = [1, 2, 3, 4].map(() => deviceIdentity({ store: fileDeviceStore(path) }).status());
    const kept = await Promise.all(pages);
    expect(kept).toEqual(Array(4).fill(await deviceIdentity({ store: fileDeviceStore(path) }).status()));
    expect(await readdir(dirname(path))).toEqual(['device.json']);
  });

  test('keeps one token for each role at a gateway', async () => {
    const store = memoryDeviceStore();
    for (const role of ['operator', 'node'] as const) {
      const fake = new FakeGateway();
      fake.auth = { deviceToken: `token of ${role}` };
      await connected({ role, device: deviceIdentity({ store }) }, fake);
    }
    const tokens = { 'ws://gateway.example:1/': 'token of operator', 'ws://gateway.example:1/#node': 'token of node' };
    await vi.waitFor(async () => expect((await store.load())?.tokens).toEqual(tokens));
    const again = await connected({ role: 'node', device: deviceIdentity({ store }) });
    expect(again.sent).toMatchObject({ auth: { deviceToken: 'token of node' } });
  });

  test('does not drop a token that another page got since, nor put one beside another identity', async () => {
    const store = memoryDeviceStore();
    const mine = deviceIdentity({ store });
    const notices: Notice[] = [];
    const keeper = mine.attach('ws://x/', (notice) => notices.push(notice));
    keeper.save('old');
    expect(await keeper.load()).toBe('old');
    deviceIdentity({ store })
      .attach('ws://x/', () => {})
      .save('new');
    await vi.waitFor(async () => expect((await store.load())?.tokens).toEqual({ 'ws://x/': 'new' }));
    keeper.save(undefined);
    expect(await keeper.load()).toBe('new');
    expect((await store.load())?.tokens).toEqual({ 'ws://x/': 'new' });
    keeper.save(undefined);
    expect(await keeper.load()).toBeUndefined();
    expect((await store.load())?.tokens).toEqual({});
    expect(notices).toEqual([]);

    const other = memoryDeviceStore();
    await deviceIdentity({ store: other }).status();
    await store.save((await other.load()) as DeviceRecord);
    keeper.save('mine');
    await vi.waitFor(() => expect(notices).toMatchObject([{ code: 'device-not-kept' }]));
    expect((await store.load())?.tokens).toEqual({});
  });

  test.each(['{}', '{"version":2,"tokens":{}}', '[]', '"text"', '7'])(
    'does not write over a file that holds something else: %s',
    async (text) => {
      const path = join(await temporary(), 'config.json');
      await writeFile(path, text);
      const { states } = await connected({ token: 't', device: deviceIdentity({ store: fileDeviceStore(path) }) });
      expect(states.at(-1)).toMatchObject({ state: 'backoff', reason: expect.stringContaining('no device') });
      expect(await readFile(path, 'utf8')).toBe(text);
    },
  );

  test('leaves the private key unreadable where the store keeps keys, and in a file that only its owner reads', async () => {
    const store = memoryDeviceStore();
    await deviceIdentity({ store }).status();
    const key = (await store.load())?.key?.privateKey as CryptoKey;
    expect(key.extractable).toBe(false);

    const path = join(await temporary(), 'device.json');
    await deviceIdentity({ store: fileDeviceStore(path) }).status();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({
      version: 1,
      key: { publicKey: expect.any(String) },
    });
  });

  test.each([
    ['no WebCrypto', undefined, /WebCrypto/],
    [
      'no Ed25519',
      { generateKey: () => Promise.reject(new DOMException('x', 'NotSupportedError')) } as unknown as SubtleCrypto,
      /Ed25519/,
    ],
  ])('on a platform with %s goes token-only and says so', async (_name, subtle, why) => {
    const device = deviceIdentity({ store: memoryDeviceStore(), subtle });
    expect(device.supported).toBeUndefined();
    const { sent, notices, states } = await connected({ token: 't', device });
    expect(states.at(-1)?.state).toBe('live');
    expect(sent).not.toHaveProperty('device');
    expect(sent.auth).toEqual({ token: 't' });
    expect(notices).toEqual([{ code: 'device-unsupported', message: expect.stringMatching(why) }]);
    expect([device.supported, device.reason]).toEqual([false, expect.stringMatching(why)]);
  });

  test('keeps device tokens without a key, too', async () => {
    const store = memoryDeviceStore();
    const fake = new FakeGateway();
    fake.auth = { deviceToken: 'page-token' };
    await connected({ bootstrapToken: 'code', device: deviceIdentity({ store, subtle: undefined }) }, fake);
    await vi.waitFor(async () => expect(Object.values((await store.load())?.tokens ?? {})).toEqual(['page-token']));
    const again = await connected({ device: deviceIdentity({ store, subtle: undefined }) });
    expect(again.sent).toMatchObject({ auth: { deviceToken: 'page-token' } });
  });

  test('that can not be stored works until the end of the process, and says so', async () => {
    const broken: DeviceStore = { load: async () => undefined, save: () => Promise.reject(new Error('disk full')) };
    const fake = new FakeGateway();
    fake.auth = { deviceToken: 'device-token' };
    const device = deviceIdentity({ store: broken });
    const { sent, gateway, notices } = await connected({ bootstrapToken: 'code', device }, fake);
    expect(sent).toHaveProperty('device');
    await vi.waitFor(() => expect(notices).toHaveLength(2));
    for (const notice of notices) {
      expect(notice).toEqual({ code: 'device-not-kept', message: expect.stringContaining('disk full') });
    }
    gateway.close();
    const next = await connected({ device });
    expect(next.sent).toMatchObject({ auth: { deviceToken: 'device-token' } });
  });

  test('whose store can not be read makes no new key in its place, and is tried again', async () => {
    const path = join(await temporary(), 'device.json');
    await writeFile(path, '{"version":1,');
    const { states } = await connected({ token: 't', device: deviceIdentity({ store: fileDeviceStore(path) }) });
    expect(states.at(-1)).toMatchObject({ state: 'backoff', code: 'dial-failed' });
    expect(states.at(-1)?.reason).toContain('is no JSON');
    expect(await readFile(path, 'utf8')).toBe('{"version":1,');

    const store = localDeviceStore(textStorage());
    await store.save({ version: 1, key: { publicKey: 'AAAA', privateKey: 'AAAA' }, tokens: {} });
    await expect(deviceIdentity({ store }).status()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('that waits for approval says which request, and connects once it is approved', async () => {
    const fake = new FakeGateway();
    const details = { code: 'PAIRING_REQUIRED', requestId: 'r-1' };
    for (let n = 0; n < 4; n++) fake.refusals.push({ code: 'NOT_PAIRED', message: 'pairing required', details });
    const { states } = await connected({ token: 't', device: deviceIdentity({ store: memoryDeviceStore() }) }, fake);
    expect(states.at(-1)).toMatchObject({
      state: 'backoff',
      code: 'refused',
      reason: 'waiting for approval: pairing required',
      error: { details: { requestId: 'r-1' } },
    });
    await vi.waitFor(async () => {
      await fake.clock.advance(20_000);
      expect(states.at(-1)?.state).toBe('live');
    });
    expect(states.filter(({ code }) => code === 'refused')).toHaveLength(4);
  });
});

describe('a setup code', () => {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

  test('gives the options that connect needs', () => {
    const code = { url: 'wss://ü.example', urls: ['ws://10.0.0.1'], bootstrapToken: 'b', pin: 'sha256/x' };
    expect(parseSetupCode(`  ${encode({ ...code, urls: [code.url, ...code.urls], more: 1 })}\n`)).toEqual(code);
    expect(parseSetupCode(encode({ url: 'ws://x', bootstrapToken: 'b' }))).toEqual({
      url: 'ws://x',
      bootstrapToken: 'b',
    });
  });

  test.each([
    '',
    'canary!',
    encode(null),
    encode('canary'),
    encode({ url: 'http://canary', bootstrapToken: 'b' }),
    encode({ url: 'ws://canary' }),
    encode({ url: 'ws://canary', bootstrapToken: '' }),
    encode({ url: 'ws://canary', bootstrapToken: 'b', urls: 'ws://x' }),
    encode({ url: 'ws://canary', bootstrapToken: 'b', pin: 7 }),
  ])('that is none is refused without being repeated: %s', (text) => {
    expect(() => parseSetupCode(text)).toThrowError(
      expect.objectContaining({ code: 'INVALID_REQUEST', message: expect.not.stringContaining('canary') }),
    );
  });
});
