import { readFileSync } from 'node:fs';
import { settle } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { limitsPage } from '../scripts/limits-page.ts';
import { assertLimits, defaultLimits, limitsTable } from '../src/connection/limits.ts';
import type { Peer } from '../src/connection/peer.ts';
import { RequestRate } from '../src/dispatch/request-rate.ts';
import { createGateway } from '../src/gateway.ts';
import type { EdgeOptions } from '../src/http/edge-options.ts';
import { askUpgrade } from './ask.ts';
import { type EdgeFixture, listening } from './edge-fixture.ts';
import { connectFrame, connectParams, makeDevice, RawClient, signed } from './raw-client.ts';

/** An edge behind a proxy, so that a test can come from anywhere. */
function behindProxy(limits: EdgeOptions['limits'] = {}): Promise<EdgeFixture> {
  return listening({ trustedProxies: ['127.0.0.1'], limits });
}

function from(address: string) {
  return { headers: { 'x-forwarded-for': address } };
}

/** Says hello; the answer. */
async function hello(client: RawClient, changes: Parameters<typeof connectFrame>[0] = {}) {
  await client.next();
  client.send(connectFrame(changes));
  return client.next();
}

describe('the table of limits', () => {
  test('is what docs/gateway/limits.md shows; npm run generate writes it', () => {
    expect(readFileSync(new URL('../../../docs/gateway/limits.md', import.meta.url), 'utf8')).toBe(limitsPage());
  });

  test('has v4’s numbers where v4 has some', () => {
    expect(defaultLimits).toMatchObject({
      handshakeMs: 15_000,
      handshakeFrameBytes: 65_536,
      operatorFrameBytes: 26_214_400,
    });
    expect(new Set(limitsTable().map(({ name }) => name)).size).toBe(limitsTable().length);
  });

  test('refuses names that are no limits, and values that are no numbers from 0 on', () => {
    const wrong: object[] = [
      { maxConnection: 1 },
      { toString: 1 },
      { maxHeaders: -1 },
      { maxHeaders: Number.NaN },
      { maxHeaders: '9' },
    ];
    for (const given of wrong) {
      expect(() => assertLimits(given)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
    }
  });
});

describe('connections of one address', () => {
  test('beyond the limit are refused with 4202, or 1013 to v4, until one is gone', async () => {
    const { dial, edge } = await behindProxy({ maxConnectionsPerAddress: 1 });
    const first = dial(from('203.0.113.9'));
    expect(await hello(first)).toMatchObject({ ok: true });
    const second = dial(from('203.0.113.9'));
    expect(await hello(second, { caps: ['streams'] })).toMatchObject({
      ok: false,
      error: {
        code: 'UNAVAILABLE',
        retryable: true,
        retryAfterMs: 5_000,
        details: { code: 'AUTH_TOO_MANY_CONNECTIONS' },
      },
    });
    expect((await second.closed).code).toBe(4202);
    const v4 = dial(from('203.0.113.9'));
    await hello(v4);
    expect((await v4.closed).code).toBe(1013);
    expect(await hello(dial(from('203.0.113.10')))).toMatchObject({ ok: true });
    first.socket.close();
    await first.closed;
    while (edge.connectionCount > 1) await settle(1);
    expect(await hello(dial(from('203.0.113.9')))).toMatchObject({ ok: true });
  });

  test('count an IPv6 network of one holder as one, and this machine not at all', async () => {
    const { dial } = await behindProxy({ maxConnectionsPerAddress: 1 });
    expect(await hello(dial(from('2001:db8:1:2::1')))).toMatchObject({ ok: true });
    expect(await hello(dial(from('2001:db8:1:2:ffff::9')))).toMatchObject({ ok: false });
    expect(await hello(dial(from('2001:db8:1:3::1')))).toMatchObject({ ok: true });
    for (let count = 0; count < 3; count++) expect(await hello(dial())).toMatchObject({ ok: true });
  });

  test('use up no one-use code when there is no room', async () => {
    const { dial, edge } = await behindProxy({ maxConnectionsPerAddress: 1 });
    const bootstrapToken = edge.credentials.createBootstrapCode();
    const first = dial(from('203.0.113.9'));
    await hello(first);
    expect(await hello(dial(from('203.0.113.9')), { auth: { bootstrapToken } })).toMatchObject({ ok: false });
    expect(await hello(dial(from('203.0.113.10')), { auth: { bootstrapToken } })).toMatchObject({ ok: true });
  });
});

describe('connections of one principal', () => {
  test('beyond the limit are refused wherever they come from', async () => {
    const { dial, edge } = await behindProxy({ maxConnectionsPerPrincipal: 2 });
    expect(await hello(dial())).toMatchObject({ ok: true });
    expect(await hello(dial(from('203.0.113.9')))).toMatchObject({ ok: true });
    expect(await hello(dial(from('203.0.113.10')))).toMatchObject({
      ok: false,
      error: { message: expect.stringContaining('this principal') },
    });
    const { token } = edge.credentials.createToken({ role: 'operator', id: 'other' });
    expect(await hello(dial(), { auth: { token } })).toMatchObject({ ok: true });
  });

  test('that is a device have a limit of their own', async () => {
    const { dial, host } = await listening({ limits: { maxConnectionsPerDevice: 1, maxConnectionsPerPrincipal: 100 } });
    const greet = async (device: ReturnType<typeof makeDevice>) => {
      const client = dial();
      const { nonce } = (await client.next()).payload;
      const params = signed(connectParams(), device, { nonce, signedAt: host.clock.now() });
      client.send({ type: 'req', id: 'c1', method: 'connect', params });
      return client.next();
    };
    const device = makeDevice();
    expect(await greet(device)).toMatchObject({ ok: true });
    expect(await greet(device)).toMatchObject({
      ok: false,
      error: { message: expect.stringContaining('this device') },
    });
    expect(await greet(makeDevice())).toMatchObject({ ok: true });
  });

  test('keep their one-use code when there is no room for them', async () => {
    const { dial, edge, host } = await listening({ limits: { maxConnectionsPerDevice: 1 } });
    const device = makeDevice();
    const greet = async (auth: { token?: string; bootstrapToken?: string }) => {
      const client = dial();
      const { nonce } = (await client.next()).payload;
      const params = signed(connectParams({ auth }), device, { nonce, signedAt: host.clock.now() });
      client.send({ type: 'req', id: 'c1', method: 'connect', params });
      return { answer: await client.next(), client };
    };
    const bootstrapToken = edge.credentials.createBootstrapCode();
    const first = await greet(connectParams().auth ?? {});
    expect(first.answer.ok).toBe(true);
    expect((await greet({ bootstrapToken })).answer).toMatchObject({
      ok: false,
      error: { message: expect.stringContaining('this device') },
    });
    first.client.socket.close();
    await first.client.closed;
    expect((await greet({ bootstrapToken })).answer).toMatchObject({ ok: true });
  });
});

describe('handshakes of one address', () => {
  test('are held to a rate, and told when to come back', async () => {
    const { dial, origin, host } = await behindProxy({ handshakesPerSecond: 2, handshakeBurst: 3 });
    const knock = () => askUpgrade(origin, { ...from('203.0.113.9').headers, 'sec-websocket-version': '7' });
    for (let count = 0; count < 3; count++) expect((await knock()).status).toBe(400);
    const refused = await askUpgrade(origin, from('203.0.113.9').headers);
    expect(refused).toMatchObject({ status: 429, headers: { 'retry-after': '1' } });
    expect(JSON.parse(refused.text)).toMatchObject({ error: { type: 'rate_limited' } });
    expect((await dial(from('203.0.113.10')).next()).event).toBe('connect.challenge');
    await host.clock.advance(500);
    expect((await dial(from('203.0.113.9')).next()).event).toBe('connect.challenge');
    expect((await askUpgrade(origin, from('203.0.113.9').headers)).status).toBe(429);
  });

  test('from this machine are not', async () => {
    const { dial } = await listening({ limits: { handshakesPerSecond: 1, handshakeBurst: 1 } });
    for (let count = 0; count < 5; count++) expect((await dial().next()).event).toBe('connect.challenge');
  });
});

describe('a message', () => {
  test('may be as large as its sender’s role allows', async () => {
    const limits = { operatorFrameBytes: 2_000, agentFrameBytes: 3_000, channelFrameBytes: 1_000 };
    const { dial, edge } = await listening({ limits });
    const agent = edge.credentials.createToken({ role: 'agent', id: 'main' });
    const channel = edge.credentials.createToken({ role: 'channel', id: 'telegram/main' });
    const message = (bytes: number) => {
      const frame = (text: string) => JSON.stringify({ type: 'req', id: 'r1', method: 'health', params: { text } });
      return frame('x'.repeat(bytes - frame('').length));
    };
    for (const [changes, max] of [
      [{}, 2_000],
      [{ role: 'agent', auth: { token: agent.token } }, 3_000],
      [{ role: 'channel', auth: { token: channel.token } }, 1_000],
    ] as const) {
      const client = dial();
      expect(await hello(client, { ...changes, caps: ['streams'], scopes: [] })).toMatchObject({
        ok: true,
        payload: { policy: { maxPayload: max } },
      });
      client.send(message(max));
      expect(await client.next()).toMatchObject({ id: 'r1', ok: true });
      client.send(message(max + 1));
      expect((await client.closed).code).toBe(1009);
    }
  });

  test('may be as deep and as wide as is allowed, and never names a prototype', async () => {
    const { dial } = await listening({ limits: { maxJsonDepth: 3, maxJsonKeys: 8 } });
    const client = dial();
    const connect = (params: unknown) => ({ type: 'req', id: 'c1', method: 'connect', params });
    await client.next();
    client.send(connect({ a: { b: { c: {} } } }));
    expect((await client.closed).code).toBe(1008);
    const other = await listening();
    const peer = other.dial();
    await hello(peer);
    other.edge.reconfigure({ auth: { mode: 'token', token: 'right' }, limits: { maxJsonDepth: 3, maxJsonKeys: 8 } });
    const ask = (text: string) => peer.send(`{"type":"req","id":"r","method":"health","params":${text}}`);
    for (const params of [
      '{"a":{"b":{}}}',
      '{"a":1,"b":1,"c":1,"d":1,"e":1}',
      '{"__proto__":1}',
      '{"constructor":1}',
    ]) {
      ask(params);
      expect(await peer.next()).toMatchObject({ id: 'r', ok: false, error: { code: 'INVALID_REQUEST' } });
    }
    ask('{"a":{"b":1}}');
    expect(await peer.next()).toMatchObject({ ok: true });
  });
});

describe('requests of one connection', () => {
  const limits = { ...defaultLimits, requestsPerSecond: 10, requestBurst: 3, maxRefusedRequests: 4 };
  const closings: number[] = [];
  const operator = { identity: { role: 'operator', isLocal: false }, close: (code: number) => closings.push(code) };

  function asPeer(changes: object): Peer {
    return { ...operator, identity: { ...operator.identity, ...changes } } as unknown as Peer;
  }

  test('are held to a rate, in turns of what was not used', () => {
    const rate = new RequestRate(() => limits);
    const peer = asPeer({});
    const take = (atMs: number) => rate.take(peer, 'health', atMs) === undefined;
    expect([0, 0, 0, 0].map(take)).toEqual([true, true, true, false]);
    expect([99, 100, 100, 199, 200].map(take)).toEqual([false, true, false, false, true]);
    expect(Array.from({ length: 5 }, () => take(60_000))).toEqual([true, true, true, false, false]);
    expect(rate.take(peer, 'health', 60_000)).toMatchObject({
      code: 'UNAVAILABLE',
      retryable: true,
      retryAfterMs: 1_000,
      details: { code: 'RATE_LIMITED' },
    });
    expect(rate.take(peer, 'ping', 60_000)).toBeUndefined();
  });

  test('are not, of agents, channels and local peers', () => {
    const rate = new RequestRate(() => limits);
    for (const changes of [{ role: 'agent' }, { role: 'channel' }, { isLocal: true }]) {
      const peer = asPeer(changes);
      for (let count = 0; count < 100; count++) expect(rate.take(peer, 'health', 0)).toBeUndefined();
    }
  });

  test('that go on without a rest end it; those that wait when told do not', () => {
    const rate = new RequestRate(() => limits);
    const patient = asPeer({});
    for (let second = 0; second < 20; second++) {
      for (let count = 0; count < 6; count++) rate.take(patient, 'health', second * 1_001);
    }
    expect(closings).toEqual([]);
    const abuser = asPeer({});
    for (let count = 0; count < 3 + 4; count++) rate.take(abuser, 'health', 0);
    expect(closings).toEqual([]);
    rate.take(abuser, 'health', 0);
    expect(closings).toEqual([4201]);
  });

  test('are held to what a gateway is told, also while it runs', async () => {
    const options = { auth: { mode: 'token', token: 'right' } } as const;
    const gateway = await createGateway({ ...options, limits: { requestsPerSecond: 1, requestBurst: 2 } });
    const { port } = await gateway.listen({ port: 0 });
    const client = new RawClient(`ws://127.0.0.1:${port}`);
    await hello(client, { caps: ['streams'] });
    const answer = async (id: string) => {
      client.send({ type: 'req', id, method: 'health', params: {} });
      for (;;) {
        const frame = await client.next();
        if (frame.id === id) return frame.ok as boolean;
      }
    };
    expect([await answer('1'), await answer('2'), await answer('3')]).toEqual([true, true, false]);
    gateway.reconfigure({ ...options, limits: { requestsPerSecond: 1e9, requestBurst: 1e9 } });
    expect(await answer('4')).toBe(true);
    client.socket.terminate();
    await gateway.close();
  });
});

test('what is left out of new settings goes back to its default', async () => {
  const { edge, origin } = await behindProxy({ maxConnections: 1 });
  expect(edge.limits.maxConnections).toBe(1);
  edge.reconfigure({ auth: { mode: 'token', token: 'right' } });
  expect(edge.limits.maxConnections).toBe(defaultLimits.maxConnections);
  expect(await askUpgrade(origin, from('203.0.113.9').headers)).toMatchObject({ status: 403 });
});
