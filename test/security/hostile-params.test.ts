import { contractSchema } from '@openclaw/protocol';
import { expect, test } from 'vitest';
import { startGateway, testToken } from '../gateway.ts';
import { LocalPeer } from './local-peer.ts';
import { operatorParams, RawSocket } from './raw-socket.ts';

/** An object that says it has a length, and can be turned into no number: comparing it throws. */
const incomparable = { length: { toString: 'x', valueOf: 1 }, size: { toString: 'x' } };

const declared = contractSchema().methods as Record<string, { params: { properties?: object }; roles: string[] }>;

test('an object that can not be compared, in any field of any method, is refused as wrong params and is no fault of the gateway', async () => {
  const warnings: string[] = [];
  const running = await startGateway({ onWarning: (warning) => warnings.push(warning) });
  const peers = {
    operator: await LocalPeer.join(running.gateway, { role: 'operator', scopes: ['operator.admin'] }),
    agent: await LocalPeer.join(running.gateway, { role: 'agent', id: 'main' }),
  };
  const wrong: string[] = [];
  let count = 0;
  for (const [method, { params, roles }] of Object.entries(declared)) {
    const peer = roles.includes('operator') ? peers.operator : peers.agent;
    for (const field of Object.keys(params.properties ?? {})) {
      const { error } = await peer.request(method, { [field]: incomparable });
      if (error?.details?.code === 'INTERNAL') wrong.push(`${method}.${field}: ${error.message}`);
      count++;
    }
  }
  expect(count).toBeGreaterThan(100);
  expect(wrong).toEqual([]);
  expect(warnings).toEqual([]);
  await running.close();
});

test('the same in a handshake is an invalid connect, and nothing that was worth another try', async () => {
  const running = await startGateway();
  for (const changes of [{ scopes: incomparable }, { caps: incomparable }, { client: { id: incomparable } }]) {
    const socket = new RawSocket(running.url);
    const params = { ...operatorParams({ auth: { token: testToken } }), ...changes } as never;
    expect((await socket.connect(params)).error).toMatchObject({
      code: 'INVALID_REQUEST',
      message: expect.stringMatching(/^invalid connect params: /),
    });
    await socket.closed;
  }
  await running.close();
});
