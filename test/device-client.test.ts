import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectOptions, connect, type Gateway, type IssuedCredentials, type StateChange } from '@openclaw/client';
import { type DeviceRecord, deviceIdentity, memoryDeviceStore } from '@openclaw/client/device';
import { fileDeviceStore } from '@openclaw/client/device-file';
import { afterEach, expect, test } from 'vitest';
import { startGateway, testToken } from './gateway.ts';

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

interface Settled {
  gateway: Gateway;
  change: StateChange;
  issued: IssuedCredentials[];
}

/** Connects, and resolves when it is live, or once it was refused. */
function settled(options: ConnectOptions): Promise<Settled> {
  const gateway = connect(options);
  opened.push(gateway);
  const issued: IssuedCredentials[] = [];
  gateway.on('credentials', (credentials) => issued.push(credentials));
  return new Promise((resolve) => {
    gateway.on('state', (change) => {
      if (/live|backoff|failed/.test(change.state)) resolve({ gateway, change, issued });
    });
  });
}

async function stored(path: string): Promise<DeviceRecord> {
  return JSON.parse(await readFile(path, 'utf8')) as DeviceRecord;
}

test('a device that came in with the shared token comes back with its own, after a restart of the client', async () => {
  const running = await startGateway();
  opened.push(running);
  const directory = await mkdtemp(join(tmpdir(), 'device-'));
  opened.push({ close: () => rm(directory, { recursive: true }) });
  const path = join(directory, 'device.json');
  const { url } = running;

  const first = await settled({ url, token: testToken, device: deviceIdentity({ store: fileDeviceStore(path) }) });
  expect(first.change.state).toBe('live');
  const token = first.issued[0]?.deviceToken as string;
  await expect.poll(async () => Object.values((await stored(path)).tokens)).toEqual([token]);
  first.gateway.close();

  const second = await settled({ url, device: deviceIdentity({ store: fileDeviceStore(path) }) });
  expect(second.change.state).toBe('live');
  expect((await second.gateway.request('health')).ok).toBe(true);
  second.gateway.close();

  const thief = deviceIdentity({ store: memoryDeviceStore() });
  const stolen = await settled({ url, deviceToken: token, device: thief });
  expect(stolen.change).toMatchObject({
    state: 'failed',
    error: { details: { code: 'AUTH_DEVICE_TOKEN_MISMATCH' } },
  });
  const bare = await settled({ url, deviceToken: token });
  expect(bare.change.state).toBe('failed');

  const third = await settled({ url, device: deviceIdentity({ store: fileDeviceStore(path) }) });
  expect(third.change.state).toBe('live');
});

test('a one-use code lets a device in once; then its own token does, also where the code is given again', async () => {
  const running = await startGateway();
  opened.push(running);
  const { url, gateway } = running;
  const bootstrapToken = await gateway.createBootstrapCode();
  const store = memoryDeviceStore();
  const first = await settled({ url, bootstrapToken, device: deviceIdentity({ store }) });
  expect(first.change.state).toBe('live');
  await expect.poll(async () => Object.keys((await store.load())?.tokens ?? {})).toHaveLength(1);
  first.gateway.close();
  const again = await settled({ url, bootstrapToken, device: deviceIdentity({ store }) });
  expect(again.change.state).toBe('live');
  const other = await settled({ url, bootstrapToken, device: deviceIdentity({ store: memoryDeviceStore() }) });
  expect(other.change.state).toBe('failed');
});
