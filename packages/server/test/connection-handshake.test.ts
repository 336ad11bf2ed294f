import { type ConnectParams, methods } from '@openclaw/protocol';
import { settle } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { listening } from './edge-fixture.ts';
import { type AnyFrame, connectFrame, type RawClient } from './raw-client.ts';

/** Connects with these params and gives the answer, and the close if there is one. */
async function attempt(client: RawClient, changes: Partial<ConnectParams> = {}) {
  const challenge = await client.next();
  client.send(connectFrame(changes));
  const answer = await client.next();
  return { challenge, answer, close: answer.ok ? undefined : await client.closed };
}

describe('a connection says hello', () => {
  test('gets a challenge, then hello-ok with every field that the contract requires', async () => {
    const { host, dial } = await listening();
    const { challenge, answer } = await attempt(dial());
    expect(challenge).toEqual({
      type: 'event',
      event: 'connect.challenge',
      payload: { nonce: expect.stringMatching(/^[0-9a-f-]{36}$/), ts: host.clock.now() },
    });
    expect(answer).toMatchObject({ type: 'res', id: 'c1', ok: true });
    expect(methods.connect.result.parse(answer.payload)).toEqual(answer.payload);
    expect(answer.payload).toMatchObject({
      type: 'hello-ok',
      protocol: 4,
      server: { version: '0.0.1-test', bootId: 'boot-1', connId: host.peers[0]?.connId },
      auth: { role: 'operator', scopes: ['operator.read', 'operator.write'] },
      policy: { maxPayload: 26_214_400, maxBufferedBytes: 52_428_800, tickIntervalMs: 30_000 },
      snapshot: { authMode: 'token' },
    });
    expect(host.peers[0]).toMatchObject({
      identity: { role: 'operator', principal: 'token:shared', isLocal: false },
      hasStreams: false,
      isOpen: true,
      remoteAddress: '127.0.0.1',
    });
  });

  test('with streams is told the limits of streams', async () => {
    const { host, dial } = await listening();
    const { answer } = await attempt(dial({ path: '/any/path' }), { caps: ['streams', 'other'] });
    expect(answer.payload.policy).toMatchObject({ maxBufferedBytes: 4_194_304, tickIntervalMs: 5_000 });
    expect(host.peers[0]?.hasStreams).toBe(true);
    expect([...(host.peers[0]?.caps ?? [])]).toEqual(['streams', 'other']);
  });

  test('may send requests right behind connect; they are served in order after hello-ok', async () => {
    const { host, edge, dial } = await listening();
    const code = edge.credentials.createBootstrapCode();
    await host.committer.idle();
    const client = dial();
    await client.next();
    // A code is used up: hello-ok has to wait for that commit.
    client.send(connectFrame({ auth: { bootstrapToken: code } }));
    client.send({ type: 'req', id: 'a', method: 'streams.subscribe' });
    client.send({ type: 'req', id: 'b', method: 'health' });
    expect((await client.next()).payload.type).toBe('hello-ok');
    expect((await client.next()).id).toBe('a');
    expect((await client.next()).id).toBe('b');
  });

  test('holds no more requests than its limit before hello', async () => {
    const { host, edge, dial } = await listening({ limits: { maxHeldFrames: 3 } });
    const code = edge.credentials.createBootstrapCode();
    await host.committer.idle();
    // A commit that does not end.
    host.store.commit = () => new Promise<void>(() => undefined);
    const client = dial();
    await client.next();
    client.send(connectFrame({ auth: { bootstrapToken: code } }));
    for (let n = 0; n < 4; n++) client.send({ type: 'req', id: `r${n}`, method: 'health' });
    expect((await client.closed).code).toBe(1013);
    expect(host.peers).toEqual([]);
  });

  test('a commit that fails refuses the connect and may be tried again', async () => {
    const { host, edge, dial } = await listening();
    const code = edge.credentials.createBootstrapCode();
    await host.committer.idle();
    const commit = host.store.commit.bind(host.store);
    host.store.commit = () => Promise.reject(new Error('disk full'));
    const { answer, close } = await attempt(dial(), { auth: { bootstrapToken: code } });
    expect(answer.error).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    expect(close?.code).toBe(1013);
    host.store.commit = commit;
    expect((await attempt(dial(), { auth: { bootstrapToken: code } })).answer.ok).toBe(true);
  });
});

describe('what is refused before hello', () => {
  test('silence is closed with 1000 after 15 s, and no sooner', async () => {
    const { host, dial } = await listening();
    const client = dial();
    await client.next();
    await host.clock.advance(14_900);
    expect(client.socket.readyState).toBe(client.socket.OPEN);
    await host.clock.advance(400);
    expect(await client.closed).toEqual({ code: 1000, reason: '' });
    expect(host.clock.timerCount).toBe(0);
  });

  test.each([
    ['text that is not JSON', 'hello', { code: 1000, reason: '' }],
    ['an array', '[1]', { code: 1008, reason: 'invalid request frame' }],
    ['a string', '"x"', { code: 1008, reason: 'invalid request frame' }],
    ['an event', '{"type":"event","event":"x"}', { code: 1008, reason: 'invalid request frame' }],
    [
      'a field too many',
      '{"type":"req","id":"1","method":"connect","params":{},"extra":1}',
      { code: 1008, reason: 'invalid request frame' },
    ],
    [
      'a hostile key',
      '{"type":"req","id":"1","method":"connect","params":{"__proto__":{}}}',
      { code: 1008, reason: 'invalid request frame' },
    ],
  ])('%s is closed without an answer', async (_, text, close) => {
    const { dial } = await listening();
    const client = dial();
    await client.next();
    client.send(text);
    expect(await client.closed).toEqual(close);
    expect(client.unread).toBe(0);
  });

  test('another method than connect', async () => {
    const { dial } = await listening();
    const client = dial();
    await client.next();
    client.send({ type: 'req', id: '7', method: 'health' });
    const message = 'invalid handshake: first request must be connect';
    expect(await client.next()).toEqual({
      type: 'res',
      id: '7',
      ok: false,
      error: { code: 'INVALID_REQUEST', message },
    });
    expect(await client.closed).toEqual({ code: 1008, reason: message });
  });

  test.each<[string, (params: AnyFrame) => unknown, string]>([
    ['a missing part', (params) => ({ ...params, client: undefined }), "must have required property 'client'"],
    ['a wrong type', (params) => ({ ...params, client: { ...params.client, id: 5 } }), 'at /client/id: must be string'],
    [
      'a missing field',
      (params) => ({ ...params, client: { id: 'x' } }),
      "at /client: must have required property 'version'",
    ],
    ['a number too small', (params) => ({ ...params, minProtocol: 0 }), 'at /minProtocol: must be >= 1'],
    ['no object', () => 'x', 'at root: must be object'],
  ])('connect params with %s, in v4’s words', async (_, change, problem) => {
    const { dial } = await listening();
    const client = dial();
    await client.next();
    const frame = connectFrame();
    client.send({ ...frame, params: change(frame.params) });
    const message = `invalid connect params: ${problem}`;
    expect((await client.next()).error).toEqual({ code: 'INVALID_REQUEST', message });
    expect(await client.closed).toEqual({ code: 1008, reason: message });
  });

  test('unknown fields in connect, client and auth are ignored', async () => {
    const { dial } = await listening();
    const client = dial();
    await client.next();
    const { params, ...frame } = connectFrame();
    client.send({
      ...frame,
      params: {
        ...params,
        modelCatalog: { sessionKey: 'main' },
        client: { ...params.client, timeZone: 'UTC' },
        auth: { ...params.auth, x: 1 },
      },
    });
    expect((await client.next()).ok).toBe(true);
  });

  test.each([
    [3, 3],
    [5, 6],
    [1, 3],
  ])('protocol %i..%i', async (minProtocol, maxProtocol) => {
    const { dial } = await listening();
    const { answer, close } = await attempt(dial(), { minProtocol, maxProtocol });
    expect(answer.error).toEqual({
      code: 'INVALID_REQUEST',
      message: 'protocol mismatch',
      details: {
        code: 'PROTOCOL_MISMATCH',
        clientMinProtocol: minProtocol,
        clientMaxProtocol: maxProtocol,
        expectedProtocol: 4,
        minimumProbeProtocol: 3,
      },
    });
    expect(close).toEqual({ code: 1002, reason: 'protocol mismatch' });
  });

  test('a probe may speak protocol 3, and 1..99 includes 4', async () => {
    const { dial } = await listening();
    const client = { id: 'cli', version: '1', platform: 'linux', mode: 'probe' };
    const probe = await attempt(dial(), { minProtocol: 3, maxProtocol: 3, client });
    expect(probe.answer.payload.protocol).toBe(4);
    expect((await attempt(dial(), { minProtocol: 1, maxProtocol: 99 })).answer.ok).toBe(true);
  });

  test('a message above 64 KiB; one just below is read', async () => {
    const { dial } = await listening();
    const big = dial();
    await big.next();
    big.send(connectFrame({ userAgent: 'x'.repeat(70_000) }));
    expect(await big.closed).toEqual({ code: 1009, reason: '' });
    const small = dial();
    await small.next();
    small.send(JSON.stringify(connectFrame()).padEnd(65_536));
    expect((await small.next()).ok).toBe(true);
    // After hello the limit is another one.
    small.send(JSON.stringify({ type: 'req', id: 'big', method: 'health', params: { pad: 'x'.repeat(5_000_000) } }));
    expect((await small.next()).id).toBe('big');
  });

  test('everyone while the gateway starts, with the time to come back', async () => {
    const { host, dial } = await listening();
    host.currentPhase = 'starting';
    const { answer, close } = await attempt(dial());
    expect(answer.error).toEqual({
      code: 'UNAVAILABLE',
      message: 'gateway starting',
      retryable: true,
      retryAfterMs: 500,
      details: { reason: 'startup-sidecars' },
    });
    expect(close).toEqual({ code: 1013, reason: 'gateway starting' });
    expect((await attempt(dial(), { caps: ['streams'] })).close?.code).toBe(4203);
  });

  test('more connections than the limit, until one leaves', async () => {
    const { dial } = await listening({ limits: { maxConnections: 1 } });
    const first = dial();
    await attempt(first);
    const { answer, close } = await attempt(dial());
    expect(answer.error).toMatchObject({ code: 'UNAVAILABLE', retryable: true, retryAfterMs: 5_000 });
    expect(close?.code).toBe(1013);
    expect((await attempt(dial(), { caps: ['streams'] })).close?.code).toBe(4202);
    first.socket.close();
    await first.closed;
    await settle(20);
    expect((await attempt(dial())).answer.ok).toBe(true);
  });

  test.each(['node'])('role %s, with a code of its own', async (role) => {
    const { dial } = await listening();
    const { answer, close } = await attempt(dial(), { role });
    expect(answer.error).toMatchObject({ code: 'INVALID_REQUEST', details: { code: 'ROLE_UNSUPPORTED', role } });
    expect(close?.code).toBe(1008);
  });

  test('a role that nobody knows', async () => {
    const { dial } = await listening();
    const { answer, close } = await attempt(dial(), { role: 'king' });
    expect(answer.error).toEqual({ code: 'INVALID_REQUEST', message: 'invalid role' });
    expect(close).toEqual({ code: 1008, reason: 'invalid role' });
  });
});
