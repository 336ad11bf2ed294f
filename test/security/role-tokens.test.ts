import { afterEach, beforeEach, expect, test } from 'vitest';
import { startGateway, type TestGateway, testToken } from '../gateway.ts';
import { operatorParams, RawSocket } from './raw-socket.ts';

let running: TestGateway;
const sockets: RawSocket[] = [];

beforeEach(async () => {
  running = await startGateway({ agents: [{ id: 'main' }, { id: 'other' }], openAi: { responses: true } });
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await running.close();
});

async function enter(role: string, token: string) {
  const socket = new RawSocket(running.url);
  sockets.push(socket);
  return { socket, hello: await socket.connect(operatorParams({ role, auth: { token } })) };
}

const streams = [
  'agent:main',
  'agent:other',
  'channel:telegram/main',
  'channel:telegram/other',
  'session:main',
  'system',
  'approvals',
  'pairing',
  'audit',
];

async function readable(socket: RawSocket): Promise<string[]> {
  const { payload } = await socket.request('streams.subscribe', { streams: streams.map((stream) => ({ stream })) });
  const answers = (payload as { streams: { result: string }[] }).streams;
  return streams.filter((_stream, index) => answers[index]?.result !== 'forbidden');
}

for (const { role, id, own } of [
  { role: 'agent', id: 'other', own: 'agent:other' },
  { role: 'channel', id: 'telegram/main', own: 'channel:telegram/main' },
] as const) {
  test(`a token of an ${role} opens the stream of ${id} and nothing beside it, over WebSocket and HTTP`, async () => {
    const token = await running.gateway.createToken({ role, id });
    const { socket, hello } = await enter(role, token);
    expect(hello).toMatchObject({ ok: true, payload: { auth: { role, scopes: [] } } });
    expect(await readable(socket)).toEqual([own]);
    for (const [method, params] of Object.entries({
      'chat.history': { sessionKey: 'main' },
      'chat.send': { sessionKey: 'main', message: 'x', idempotencyKey: 'k' },
      'tokens.create': { role: 'operator', id: 'mine', scopes: ['operator.admin'] },
      'device.pair.list': {},
      'sessions.list': {},
    }))
      expect((await socket.request(method, params)).error?.code, method).toBe('FORBIDDEN');
    const asHttp = await fetch(`${running.url.replace('ws', 'http')}/v1/models`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(asHttp.status).toBe(403);
  });

  test(`a token of an ${role} is none for another role, and neither is the shared token one for an ${role}`, async () => {
    const token = await running.gateway.createToken({ role, id });
    const others = ['operator', 'agent', 'channel', 'node'].filter((other) => other !== role);
    for (const other of others) expect((await enter(other, token)).hello.ok, other).toBe(false);
    expect((await enter(role, testToken)).hello.ok).toBe(false);
  });
}
