import {
  type ConnectParams,
  GatewayBrowserDeviceAuthLifecycle,
  type GatewayBrowserDeviceAuthPlan,
  type GatewayBrowserDeviceIdentity,
  type GatewayBrowserDeviceTokenRecord,
  GatewayProtocolClient,
  type HelloOk,
} from '@openclaw/gateway-client/browser';
import { afterEach, expect, test } from 'vitest';
import { InteropBench } from './bench.ts';

let bench: InteropBench;

afterEach(async () => {
  await bench.close();
  expect(bench.tap.violations).toEqual([]);
});

const client: ConnectParams['client'] = {
  id: 'openclaw-tui',
  version: '2026.9.1',
  platform: 'Linux',
  deviceFamily: 'Desktop',
  mode: 'ui',
};

async function newIdentity(): Promise<GatewayBrowserDeviceIdentity> {
  const { privateKey, publicKey } = (await crypto.subtle.generateKey('Ed25519', true, [
    'sign',
    'verify',
  ])) as CryptoKeyPair;
  const raw = Buffer.from(await crypto.subtle.exportKey('raw', publicKey));
  return {
    deviceId: Buffer.from(await crypto.subtle.digest('SHA-256', raw)).toString('hex'),
    publicKey: raw.toString('base64url'),
    sign: async (payload) =>
      Buffer.from(await crypto.subtle.sign('Ed25519', privateKey, Buffer.from(payload))).toString('base64url'),
  };
}

/** The browser's client as a page builds it: the platform's WebSocket, a device that signs, and a place for its token. */
function browserClient(url: string, lifecycle: GatewayBrowserDeviceAuthLifecycle, token?: string) {
  const events: { event: string; payload?: unknown }[] = [];
  let settle: (hello: HelloOk | Error) => void = () => undefined;
  const settled = new Promise<HelloOk>((resolve, reject) => {
    settle = (outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome));
  });
  const protocol = new GatewayProtocolClient<GatewayBrowserDeviceAuthPlan>({
    createSocket(handlers) {
      const socket = new WebSocket(url);
      socket.onopen = () => handlers.open();
      socket.onmessage = ({ data }) => handlers.message(String(data));
      socket.onclose = ({ code, reason }) => handlers.close(code, reason);
      return {
        isOpen: () => socket.readyState === WebSocket.OPEN,
        send: (data) => socket.send(data),
        close: (code, reason) => socket.close(code === undefined || code < 3_000 ? 1_000 : code, reason),
      };
    },
    createRequestId: () => crypto.randomUUID(),
    buildConnectPlan: ({ nonce, challengeTs }) =>
      lifecycle.buildPlan({
        client,
        role: 'operator',
        defaultScopes: ['operator.read', 'operator.write'],
        nonce,
        ...(challengeTs === undefined ? {} : { challengeTs }),
        ...(token === undefined ? {} : { token }),
      }),
    buildConnectParams: ({ scopes, device, auth }) => ({
      minProtocol: 4,
      maxProtocol: 4,
      client,
      role: 'operator',
      scopes,
      device,
      auth,
      caps: [],
    }),
    onConnectHello: (hello, { plan }) => {
      void lifecycle.acceptHello(hello, plan).then(() => settle(hello));
    },
    onConnectFailure: (error) => {
      settle(error);
      return { closeCode: 1_008, closeReason: 'connect failed', stop: true };
    },
    resolveClose: () => ({ retry: false, notify: true }),
    onEvent: (event) => events.push(event),
    handshake: { mode: 'require-challenge', timeoutMs: 5_000 },
    reconnect: { initialMs: 100, multiplier: 2, maxMs: 1_000 },
  });
  protocol.start();
  return { protocol, hello: settled, events };
}

test('the browser entry pairs its device by a v3 signature, chats, and comes back with the device token alone', async () => {
  bench = await InteropBench.start();
  const records = new Map<string, GatewayBrowserDeviceTokenRecord>();
  const identity = await newIdentity();
  const lifecycle = new GatewayBrowserDeviceAuthLifecycle({
    loadIdentity: async () => identity,
    tokenStore: {
      load: ({ deviceId, role }) => records.get(`${deviceId} ${role}`) ?? null,
      store: ({ deviceId, role, token, scopes }) => void records.set(`${deviceId} ${role}`, { token, scopes }),
      clear: ({ deviceId, role }) => void records.delete(`${deviceId} ${role}`),
    },
  });
  const first = browserClient(bench.proxy.url, lifecycle, bench.server.token);
  const hello = await first.hello;
  expect(hello.auth).toMatchObject({ role: 'operator', scopes: ['operator.read', 'operator.write'] });
  expect(hello.auth.deviceToken).toMatch(/^[\w-]{43}$/);
  await first.protocol.request('agent', { message: 'hi', idempotencyKey: 'run-1' }, { expectFinal: true });
  expect(
    first.events.some(({ event, payload }) => event === 'chat' && (payload as { state: string }).state === 'final'),
  ).toBe(true);
  first.protocol.stop();

  expect([...records.values()]).toEqual([
    { token: hello.auth.deviceToken, scopes: ['operator.read', 'operator.write'] },
  ]);
  const second = browserClient(bench.proxy.url, lifecycle);
  expect((await second.hello).auth.scopes).toEqual(['operator.read', 'operator.write']);
  const history = await second.protocol.request<{ messages: unknown[] }>('chat.history', { sessionKey: 'main' });
  expect(history.messages).toHaveLength(2);
  second.protocol.stop();
});

test('a device whose signature is of another key is refused with the detail code that clients know', async () => {
  bench = await InteropBench.start();
  const [identity, other] = await Promise.all([newIdentity(), newIdentity()]);
  const lifecycle = new GatewayBrowserDeviceAuthLifecycle({
    loadIdentity: async () => ({ ...identity, sign: other.sign }),
    tokenStore: { load: () => null, store: () => undefined, clear: () => undefined },
  });
  const { hello } = browserClient(bench.proxy.url, lifecycle, bench.server.token);
  await expect(hello).rejects.toMatchObject({
    gatewayCode: 'INVALID_REQUEST',
    details: { code: 'DEVICE_AUTH_SIGNATURE_INVALID', reason: 'device-signature' },
  });
});
