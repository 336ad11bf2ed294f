import { deviceSigner, GatewayError, type PageScope, type StateChange } from '@openclaw/client';
import { settle } from '@openclaw/protocol/testing';
import { describe, expect, test, vi } from 'vitest';
import { FakeGateway } from './fake-gateway.ts';

function path(states: StateChange[]): string[] {
  return states.map(({ state, code }) => `${state}:${code}`);
}

describe('the handshake', () => {
  test('goes through every phase, each with a code and a reason', async () => {
    const fake = new FakeGateway();
    const { gateway, states } = fake.connect();
    expect(gateway.state).toBe('idle');
    await settle();
    expect(path(states)).toEqual(['dialing:started', 'handshaking:challenged', 'resuming:hello', 'live:resumed']);
    expect(states.every(({ reason }) => reason.length > 0)).toBe(true);
    expect(gateway.hello?.server.version).toBe('fake');
  });

  test('says who connects, what it understands and how it proves itself', async () => {
    const fake = new FakeGateway();
    fake.connect({ token: () => 'secret', caps: ['x'], client: { id: 'panel' }, scopes: ['operator.read'] });
    await settle();
    expect(fake.last.sent[0]?.params).toMatchObject({
      minProtocol: 4,
      maxProtocol: 4,
      client: { id: 'panel', mode: 'backend' },
      caps: ['streams', 'tool-events', 'x'],
      scopes: ['operator.read'],
      auth: { token: 'secret' },
    });
  });

  test('signs the challenge with a device', async () => {
    const fake = new FakeGateway();
    const payloads: string[] = [];
    const sign = (payload: string) => {
      payloads.push(payload);
      return 'signature';
    };
    fake.connect({
      token: 't',
      scopes: ['operator.read', 'operator.write'],
      client: { platform: 'Linux ', deviceFamily: 'PC' },
      device: deviceSigner({ id: 'd1', publicKey: 'pk', sign }),
    });
    await settle();
    const { ts } = { ts: fake.clock.now() };
    expect(payloads).toEqual([
      `v3|d1|gateway-client|backend|operator|operator.read,operator.write|${ts}|t|n-1|linux|pc`,
    ]);
    expect(fake.last.sent[0]?.params).toMatchObject({
      device: { id: 'd1', publicKey: 'pk', signature: 'signature', nonce: 'n-1' },
    });
  });

  test('a one-use code is dropped for the device token that answers it', async () => {
    const fake = new FakeGateway();
    fake.auth = { deviceToken: 'dt', issuedAtMs: 5 };
    const { gateway } = fake.connect({ bootstrapToken: 'code' });
    const credentials: unknown[] = [];
    gateway.on('credentials', (issued) => credentials.push(issued));
    await settle();
    expect(credentials).toEqual([{ deviceToken: 'dt', role: 'operator', scopes: [], issuedAtMs: 5 }]);
    fake.last.drop();
    await fake.clock.advance(2_000);
    expect(fake.last.sent[0]?.params).toMatchObject({ auth: { deviceToken: 'dt' } });
    expect(JSON.stringify(fake.last.sent[0])).not.toContain('code"');
  });

  test.each([
    ['INVALID_REQUEST', { code: 'AUTH_TOKEN_MISMATCH' }],
    ['INVALID_REQUEST', { code: 'PROTOCOL_MISMATCH' }],
    ['NOT_PAIRED', { code: 'DEVICE_IDENTITY_REQUIRED' }],
  ])('refused with %s %o fails for good and settles what waits', async (code, details) => {
    const fake = new FakeGateway();
    fake.refusals.push({ code, message: 'unauthorized', details });
    const { gateway, states } = fake.connect();
    const waiting = gateway.request('health');
    await expect(waiting).rejects.toMatchObject({ code, details });
    expect(states.at(-1)).toMatchObject({
      state: 'failed',
      code: 'refused',
      reason: 'unauthorized',
      error: { details },
    });
    await expect(gateway.request('health')).rejects.toMatchObject({ code });
    await fake.clock.advance(60_000);
    expect(fake.connections).toHaveLength(1);
  });

  test('refused for now waits as long as the gateway asks, with jitter', async () => {
    const fake = new FakeGateway();
    fake.refusals.push({ code: 'UNAVAILABLE', message: 'starting', retryable: true, retryAfterMs: 700 });
    const { states } = fake.connect();
    await settle();
    expect(states.at(-1)).toMatchObject({ state: 'backoff', code: 'refused', retryAtMs: fake.clock.now() + 700 + 125 });
    await fake.clock.advance(825);
    expect(path(states).at(-1)).toBe('live:resumed');
  });

  test('a device token that the gateway does not know is dropped for the other credential', async () => {
    const fake = new FakeGateway();
    fake.refusals.push({ code: 'INVALID_REQUEST', message: 'no', details: { code: 'AUTH_DEVICE_TOKEN_MISMATCH' } });
    fake.connect({ deviceToken: 'old', bootstrapToken: 'code' });
    await fake.clock.advance(1_000);
    expect(fake.last.sent[0]?.params).toMatchObject({ auth: { bootstrapToken: 'code' } });
  });

  test('that does not finish in time is tried again', async () => {
    const fake = new FakeGateway();
    const { states } = fake.connect();
    await Promise.resolve();
    fake.last.isMute = true;
    await fake.clock.advance(15_000);
    expect(states.at(-1)).toMatchObject({ state: 'backoff', code: 'handshake-timeout' });
  });

  test('prepares the connection before streams and requests go on', async () => {
    const fake = new FakeGateway();
    const { gateway } = fake.connect({
      role: 'agent',
      prepare: async (_hello, request) => {
        await request('agent.attach', { instance: 'instance-1', resumable: true });
      },
    });
    void gateway.stream('agent:main').events()[Symbol.asyncIterator]().next();
    void gateway.request('health');
    await settle();
    expect(fake.last.methods).toEqual(['agent.attach', 'streams.subscribe', 'health']);
    expect(gateway.state).toBe('live');
  });

  test('given up by its preparation for a retryable reason comes back, else it fails', async () => {
    const fake = new FakeGateway();
    let attempts = 0;
    const { states } = fake.connect({
      prepare: async () => {
        attempts++;
        throw new GatewayError('UNAVAILABLE', 'held by another', { retryable: attempts === 1 });
      },
    });
    await settle();
    expect(states.at(-1)).toMatchObject({ state: 'backoff', code: 'refused' });
    await fake.clock.advance(6_000);
    expect(states.at(-1)).toMatchObject({ state: 'failed', code: 'fatal' });
    expect(attempts).toBe(2);
  });
});

describe('a connection that is lost', () => {
  test('is dialed again with growing delays, which begin anew after 30 s live', async () => {
    const fake = new FakeGateway();
    const { states } = fake.connect();
    await settle();
    fake.isDown = true;
    fake.last.drop();
    await fake.clock.advance(10_000);
    const delays = states.filter(({ state }) => state === 'backoff').length;
    expect(delays).toBeGreaterThan(3);
    fake.isDown = false;
    await fake.clock.advance(20_000);
    await fake.pass(35_000);
    fake.last.drop();
    await settle();
    expect(states.at(-1)).toMatchObject({ state: 'backoff', retryAtMs: fake.clock.now() + 100 + 125 });
  });

  test.each([
    [1006, 'backoff'],
    [1000, 'backoff'],
    [4101, 'backoff'],
    [4202, 'backoff'],
    [4999, 'backoff'],
    [4401, 'failed'],
    [4409, 'failed'],
    [4426, 'failed'],
  ])('by close code %i goes to %s', async (code, state) => {
    const fake = new FakeGateway();
    const { states } = fake.connect();
    await settle();
    fake.last.drop(code, 'words');
    await settle();
    expect(states.at(-1)).toMatchObject({ state, closeCode: code, reason: `closed with ${code}: words` });
  });

  test('by 1008 three times in a row without a hello fails for good', async () => {
    const fake = new FakeGateway();
    fake.closesAtOnce = 1008;
    const { states } = fake.connect();
    await settle();
    expect(states.at(-1)).toMatchObject({ state: 'backoff', retryAtMs: fake.clock.now() + 5_000 + 125 });
    await fake.clock.advance(20_000);
    expect(states.at(-1)).toMatchObject({ state: 'failed', code: 'fatal', closeCode: 1008 });
    expect(fake.connections).toHaveLength(3);
  });

  test('by a shutdown comes back when the gateway expects to, spread out', async () => {
    const fake = new FakeGateway();
    const { states } = fake.connect();
    await settle();
    fake.last.send({
      type: 'event',
      event: 'shutdown',
      payload: { reason: 'restart', restartExpectedMs: 2_000, spreadMs: 1_000 },
    });
    await settle();
    fake.last.drop(4102);
    await settle();
    expect(states.at(-1)).toMatchObject({ state: 'backoff', retryAtMs: fake.clock.now() + 2_500 + 125 });
  });

  test('never tells anything of an older socket', async () => {
    const fake = new FakeGateway();
    const { gateway } = fake.connect();
    const events: unknown[] = [];
    gateway.on('event', (event) => events.push(event));
    await settle();
    const old = fake.last;
    gateway.close();
    old.send({ type: 'event', event: 'health', payload: {} });
    await settle();
    expect(events).toEqual([]);
  });

  test('that sends what is not JSON is given up', async () => {
    const fake = new FakeGateway();
    const { states } = fake.connect();
    await settle();
    fake.last.sendText('{');
    await settle();
    expect(states.at(-1)).toMatchObject({ state: 'backoff', code: 'bad-frame' });
  });
});

describe('liveness', () => {
  test('silence is noticed within 7.5 s where ticks come every 5 s', async () => {
    const fake = new FakeGateway();
    const { states } = fake.connect();
    await settle();
    await fake.clock.advance(7_400);
    expect(states.at(-1)?.state).toBe('live');
    await fake.clock.advance(101);
    expect(states.at(-1)).toMatchObject({ state: 'backoff', code: 'silent' });
  });

  test('any frame counts as a sign of life', async () => {
    const fake = new FakeGateway();
    const { states } = fake.connect();
    await settle();
    await fake.pass(60_000);
    expect(states.at(-1)?.state).toBe('live');
  });

  test('a gateway without streams may be silent for twice its interval', async () => {
    const fake = new FakeGateway();
    fake.hasStreams = false;
    fake.tickIntervalMs = 30_000;
    const { gateway, states } = fake.connect();
    await vi.waitFor(() => expect(gateway.state).toBe('live'));
    await fake.clock.advance(59_000);
    expect(states.at(-1)?.state).toBe('live');
    await fake.clock.advance(1_100);
    expect(states.at(-1)).toMatchObject({ code: 'silent' });
  });

  test('after a loss by silence the limit doubles, until 30 s live', async () => {
    const fake = new FakeGateway();
    const { states } = fake.connect();
    await settle();
    await fake.clock.advance(7_501);
    expect(states.at(-1)).toMatchObject({ code: 'silent' });
    await fake.clock.advance(300);
    expect(states.at(-1)?.state).toBe('live');
    await fake.clock.advance(14_000);
    expect(states.at(-1)?.state).toBe('live');
    await fake.clock.advance(1_100);
    expect(states.at(-1)).toMatchObject({ code: 'silent' });
    await fake.clock.advance(1_000);
    await fake.pass(35_000);
    await fake.clock.advance(7_501);
    expect(states.at(-1)).toMatchObject({ code: 'silent' });
  });

  test('a jump of the wall clock is answered with a probe, not with a reconnect', async () => {
    const fake = new FakeGateway();
    const { states } = fake.connect();
    await settle();
    fake.clock.wallOffsetMs += 60_000;
    await fake.clock.advance(2_600);
    expect(path(states).slice(-2)).toEqual(['probing:woke', 'live:answered']);
    expect(fake.last.methods).toEqual(['ping']);
    expect(fake.connections).toHaveLength(1);
  });

  test('a probe that is not answered within 1.5 s means that the connection is gone', async () => {
    const fake = new FakeGateway();
    fake.methods = ['health'];
    const { states } = fake.connect();
    await settle();
    fake.last.isMute = true;
    fake.clock.wallOffsetMs += 60_000;
    await fake.clock.advance(2_500);
    expect(fake.last.methods).toEqual(['health']);
    await fake.clock.advance(1_500);
    expect(states.at(-1)).toMatchObject({
      state: 'backoff',
      code: 'probe-unanswered',
      retryAtMs: fake.clock.now() + 225,
    });
  });

  test('a page that comes back probes a live connection and dials a lost one at once', async () => {
    const listeners = new Map<string, () => void>();
    const page: PageScope = {
      addEventListener: (type, listener) => listeners.set(type, listener),
      removeEventListener: (type) => listeners.delete(type),
      navigator: { onLine: true },
    };
    const fake = new FakeGateway();
    const { gateway, states } = fake.connect({ page });
    expect(listeners.size).toBe(0);
    await settle();
    listeners.get('pageshow')?.();
    await settle();
    expect(path(states).slice(-2)).toEqual(['probing:visible', 'live:answered']);
    page.navigator = { onLine: false };
    fake.isDown = true;
    fake.last.drop();
    await settle();
    expect(states.at(-1)).toMatchObject({ state: 'offline', code: 'closed-by-peer' });
    fake.isDown = false;
    listeners.get('online')?.();
    await settle();
    expect(path(states).slice(-4)).toEqual([
      'dialing:online',
      'handshaking:challenged',
      'resuming:hello',
      'live:resumed',
    ]);
    gateway.close();
    expect(listeners.size).toBe(0);
  });
});

describe('close()', () => {
  test('settles everything and emits once', async () => {
    const fake = new FakeGateway();
    const { gateway, states } = fake.connect();
    await settle();
    fake.handlers.set('status', () => undefined);
    const request = gateway.request('status');
    const run = gateway.session('main').send('hi');
    await settle();
    const before = states.length;
    gateway.close();
    gateway.close();
    await expect(request).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(run.final).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(gateway.request('health')).rejects.toMatchObject({ code: 'CLOSED' });
    expect(path(states.slice(before))).toEqual(['closed:closed']);
    expect(fake.clock.timerCount).toBe(0);
  });

  test('before the first connection leaves nothing behind', async () => {
    const fake = new FakeGateway();
    const { gateway } = fake.connect();
    gateway.close();
    await fake.clock.advance(60_000);
    expect(fake.connections).toHaveLength(0);
    expect(gateway.state).toBe('closed');
  });
});

test('events outside streams reach the application, ticks do not', async () => {
  const fake = new FakeGateway();
  const { gateway } = fake.connect();
  const seen: string[] = [];
  const stop = gateway.on('event', ({ event }) => seen.push(event));
  await settle();
  fake.last.send({ type: 'event', event: 'tick', payload: {} });
  fake.last.send({
    type: 'event',
    event: 'presence',
    payload: { presence: [] },
    stateVersion: { presence: 1, health: 1 },
  });
  await settle();
  stop();
  fake.last.send({ type: 'event', event: 'health', payload: {} });
  await settle();
  expect(seen).toEqual(['presence']);
});
