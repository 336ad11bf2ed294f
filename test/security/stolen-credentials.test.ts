import { afterEach, beforeEach, expect, test } from 'vitest';
import { startGateway, type TestGateway, testToken } from '../gateway.ts';
import { makeDevice, signed, type TestDevice } from './device.ts';
import { operatorParams, RawSocket } from './raw-socket.ts';

let running: TestGateway;
const sockets: RawSocket[] = [];

beforeEach(async () => {
  running = await startGateway();
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await running.close();
});

function dial(): RawSocket {
  const socket = new RawSocket(running.url);
  sockets.push(socket);
  return socket;
}

const detailOf = ({ error }: Awaited<ReturnType<RawSocket['request']>>) => error?.details?.code;

/** A device that was let in on the gateway's own machine, and the token that it got. */
async function paired(): Promise<{ device: TestDevice; deviceToken: string }> {
  const device = makeDevice();
  const socket = dial();
  const params = operatorParams({ auth: { token: testToken } });
  const { ok, payload } = await socket.connectSigned(device, params);
  expect(ok).toBe(true);
  const { deviceToken } = (payload as { auth: { deviceToken?: string } }).auth;
  return { device, deviceToken: deviceToken as string };
}

test('a connect that was overheard is refused on every other socket: its signature is bound to one nonce', async () => {
  const device = makeDevice();
  const first = dial();
  const overheard = signed(operatorParams({ auth: { token: testToken } }), device, {
    nonce: await first.nonce(),
    signedAt: Date.now(),
  });
  expect(await first.request('connect', overheard)).toMatchObject({ ok: true });
  for (let attempt = 0; attempt < 3; attempt++) {
    const thief = dial();
    await thief.nonce();
    const answer = await thief.request('connect', overheard);
    expect(detailOf(answer)).toBe('DEVICE_AUTH_NONCE_MISMATCH');
    expect((await thief.closed).code).toBe(1008);
  }
});

test('a nonce of an earlier socket, none, and a signature from ten minutes ago are refused', async () => {
  const device = makeDevice();
  const { deviceToken } = await paired();
  const earlier = dial();
  const nonce = await earlier.nonce();
  earlier.terminate();
  const attempts = [
    { nonce, signedAt: Date.now(), code: 'DEVICE_AUTH_NONCE_MISMATCH' },
    { nonce: '', signedAt: Date.now(), code: 'DEVICE_AUTH_NONCE_REQUIRED' },
    { nonce: undefined, signedAt: Date.now() - 600_000, code: 'DEVICE_AUTH_SIGNATURE_EXPIRED' },
    { nonce: undefined, signedAt: Date.now() + 600_000, code: 'DEVICE_AUTH_SIGNATURE_EXPIRED' },
  ];
  for (const { nonce: given, signedAt, code } of attempts) {
    const socket = dial();
    const own = await socket.nonce();
    const params = operatorParams({ auth: { token: deviceToken } });
    const answer = await socket.request('connect', signed(params, device, { nonce: given ?? own, signedAt }));
    expect(detailOf(answer)).toBe(code);
  }
});

test("a device's token is worth nothing without its key: with another key, with its id and another key, or with none", async () => {
  const { device, deviceToken } = await paired();
  const other = makeDevice();
  const disguised = { ...other, id: device.id };
  const forged = { ...other, id: device.id, publicKey: device.publicKey };
  for (const auth of [{ deviceToken }, { token: deviceToken }]) {
    const params = operatorParams({ auth });
    expect(await dial().connectSigned(other, params), 'another key').toMatchObject({ ok: false });
    expect(detailOf(await dial().connectSigned(disguised, params))).toBe('DEVICE_AUTH_DEVICE_ID_MISMATCH');
    expect(detailOf(await dial().connectSigned(forged, params))).toBe('DEVICE_AUTH_SIGNATURE_INVALID');
    expect(await dial().connect(params), 'no key').toMatchObject({ ok: false });
  }
  expect(await dial().connectSigned(device, operatorParams({ auth: { deviceToken } }))).toMatchObject({ ok: true });
});

test('a signature does not cover other scopes, another role or another token than were signed', async () => {
  const { device, deviceToken } = await paired();
  for (const changes of [
    { scopes: ['operator.admin'] },
    { role: 'agent' },
    { auth: { token: testToken } },
    { client: { id: 'openclaw-tui', version: '1', platform: 'linux', mode: 'backend' } },
  ]) {
    const socket = dial();
    const good = signed(operatorParams({ auth: { deviceToken } }), device, {
      nonce: await socket.nonce(),
      signedAt: Date.now(),
    });
    expect(detailOf(await socket.request('connect', { ...good, ...changes }))).toBe('DEVICE_AUTH_SIGNATURE_INVALID');
  }
});

test('what a client asks for is not what it gets: a token that may read does not write, whatever scopes are asked for', async () => {
  const admin = dial();
  await admin.connect(operatorParams({ auth: { token: testToken }, scopes: ['operator.admin'] }));
  const made = await admin.request('tokens.create', { role: 'operator', id: 'screen', scopes: ['operator.read'] });
  const { token } = made.payload as { token: string };
  const reader = dial();
  const hello = await reader.connect(
    operatorParams({ auth: { token }, scopes: ['operator.admin', 'operator.write', 'operator.read'] }),
  );
  expect((hello.payload as { auth: { scopes: string[] } }).auth.scopes).toEqual(['operator.read']);
  const sent = await reader.request('chat.send', { sessionKey: 'main', message: 'x', idempotencyKey: 'k' });
  expect(sent.error).toMatchObject({ code: 'FORBIDDEN', details: { missingScope: 'operator.write' } });
});
