import { get } from 'node:http';
import { memoryTransportPair } from '@openclaw/protocol';
import { settle, VirtualClock } from '@openclaw/protocol/testing';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  type AnsweredRequest,
  type ClosedConnection,
  createGateway,
  type EndedRun,
  type GatewayFigures,
  type GatewayObserver,
  memoryStore,
} from '../src/index.ts';
import { safeObserver } from '../src/observer.ts';
import { connectFrame, connectParams, RawClient } from './raw-client.ts';

/** An observer that writes down everything, and its notes by the method's name. */
function recorder() {
  const calls: [string, ...unknown[]][] = [];
  const observer = new Proxy({} as GatewayObserver, {
    get:
      (_, name: string) =>
      (...args: unknown[]) =>
        calls.push([name, ...args.filter((arg) => arg !== undefined)]),
  });
  return {
    observer,
    calls,
    of: <T = unknown>(name: keyof GatewayObserver) =>
      calls.filter(([called]) => called === name).map(([, first]) => first as T),
  };
}

async function running(observer: GatewayObserver | readonly GatewayObserver[], store = memoryStore()) {
  const clock = new VirtualClock();
  const gateway = await createGateway({ auth: { mode: 'token', token: 'right' }, store, clock, observer });
  const { port } = await gateway.listen({ port: 0 });
  const clients: RawClient[] = [];
  let isClosed = false;
  const close = async () => {
    for (const { socket } of clients) socket.terminate();
    if (!isClosed) await gateway.close();
    isClosed = true;
  };
  onTestFinished(close);
  return {
    gateway,
    clock,
    port,
    close,
    dial(options = {}) {
      const client = new RawClient(`ws://127.0.0.1:${port}/`, options);
      clients.push(client);
      return client;
    },
    async join(changes: Parameters<typeof connectParams>[0] = {}) {
      const client = this.dial();
      await client.next();
      client.send(connectFrame(changes));
      const hello = await client.next();
      expect(hello.ok).toBe(true);
      return { client, connId: hello.payload.server.connId as string };
    },
  };
}

let lastId = 0;

async function request(client: RawClient, method: string, params: object = {}, more: object = {}) {
  const id = `r${++lastId}`;
  client.send({ type: 'req', id, method, params, ...more });
  for (;;) {
    const frame = await client.next();
    if (frame.type === 'res' && frame.id === id) return frame;
  }
}

/** A gateway with an agent that does what a test tells it, and an operator. */
async function withAgent() {
  const record = recorder();
  const gateway = await running(record.observer);
  const [inside, outside] = memoryTransportPair();
  gateway.gateway.accept(inside, { role: 'agent', id: 'main' });
  outside.open({ message() {}, drained() {}, closed() {} });
  let id = 0;
  const call = async (method: string, params: object) => {
    outside.send(JSON.stringify({ type: 'req', id: `a${++id}`, method, params }));
    await settle();
  };
  await call('connect', { ...connectParams({ auth: {} }), role: 'agent', caps: ['streams'] });
  await call('agent.attach', { instance: 'instance-one', resumable: true });
  const { client } = await gateway.join({ scopes: ['operator.write', 'operator.approvals'] });
  return { ...record, ...gateway, call, client };
}

describe('a connection', () => {
  test('is told of at its hello and at its end, with what it says of itself cut and cleaned', async () => {
    const { observer, of } = recorder();
    const gateway = await running(observer);
    const { client, connId } = await gateway.join({
      client: { id: `\u001b[31m${'x'.repeat(100)}`, version: '1\n2', platform: 'linux', mode: 'backend' },
    });
    const facts = {
      connId,
      role: 'operator',
      clientId: ` [31m${'x'.repeat(59)}`,
      clientVersion: '1 2',
      remoteAddress: '127.0.0.1',
    };
    expect(of('connectionOpened')).toEqual([facts]);
    await gateway.clock.advance(1_500);
    client.socket.close(1000, 'my own words');
    await client.closed;
    await settle();
    expect(of('connectionClosed')).toEqual([{ ...facts, code: 1000, durationMs: 1_500 }]);
  });

  test('that the gateway closes has the gateway’s code and words', async () => {
    const { observer, of } = recorder();
    const gateway = await running(observer);
    await gateway.join();
    await gateway.close();
    expect(of<ClosedConnection>('connectionClosed')).toMatchObject([{ code: 1012, reason: 'service restart' }]);
    expect(of('closed')).toHaveLength(1);
  });

  test('that is refused is told of with a code, and in the audit trail', async () => {
    const { observer, of, calls } = recorder();
    const gateway = await running(observer);
    const client = gateway.dial();
    await client.next();
    client.send(connectFrame({ auth: { token: 'wrong-and-secret' } }));
    await client.closed;
    const code = 'AUTH_TOKEN_MISMATCH';
    expect(of('refused')).toMatchObject([{ where: 'connect', code, remoteAddress: '127.0.0.1' }]);
    expect(of('audited')).toMatchObject([{ action: 'connect.refused', code, remoteIp: '127.0.0.1' }]);
    expect(of('connectionOpened')).toEqual([]);
    expect(JSON.stringify(calls)).not.toContain('secret');
  });

  test.each([
    ['what is no frame', 'connect', 'INVALID_FRAME', (client: RawClient) => client.send('{"a":1}')],
    ['a socket that goes away', 'connect', 'CLOSED_EARLY', (client: RawClient) => client.socket.close()],
  ])('is refused for %s', async (_, where, code, act) => {
    const { observer, of } = recorder();
    const gateway = await running(observer);
    const client = gateway.dial();
    await client.next();
    act(client);
    await client.closed;
    await settle();
    expect(of('refused')).toMatchObject([{ where, code }]);
  });

  test('that never says connect is told of as too slow', async () => {
    const { observer, of } = recorder();
    const gateway = await running(observer);
    const client = gateway.dial();
    await client.next();
    await gateway.clock.advance(20_000);
    expect(of('refused')).toMatchObject([{ where: 'connect', code: 'HANDSHAKE_TIMEOUT' }]);
  });

  test('and a plain request by a foreign name are told of alike', async () => {
    const { observer, of } = recorder();
    const gateway = await running(observer);
    const status = await new Promise((resolve) => {
      const headers = { host: 'evil.example' };
      get({ port: gateway.port, path: '/', headers }, (response) => resolve(response.resume().statusCode));
    });
    expect(status).toBe(403);
    expect(of('refused')).toMatchObject([{ where: 'http', code: 'host_not_allowed', remoteAddress: '127.0.0.1' }]);
    expect(of('audited')).toMatchObject([{ action: 'http.refused', code: 'host_not_allowed' }]);
  });

  test('that is refused before its upgrade is told of', async () => {
    const { observer, of } = recorder();
    const gateway = await running(observer);
    const client = gateway.dial({ headers: { host: 'evil.example' } });
    await client.closed;
    expect(of('refused')).toMatchObject([{ where: 'upgrade', code: 'host_not_allowed' }]);
    expect(of('audited')).toMatchObject([{ action: 'connect.refused', code: 'host_not_allowed' }]);
  });
});

describe('a request', () => {
  test('is told of with its outcome, by the names that this gateway knows', async () => {
    const { observer, of } = recorder();
    const gateway = await running(observer);
    const { client, connId } = await gateway.join({ scopes: ['operator.read', 'operator.admin'] });
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await request(client, 'health', {}, { traceparent });
    await request(client, 'status', {}, { traceparent: 'nonsense' });
    await request(client, 'my.own-secret-method');
    await request(client, 'chat.send', { hello: 1 });
    expect(of<AnsweredRequest>('requestAnswered')).toEqual([
      { method: 'health', outcome: 'ok', durationMs: 0, connId, traceparent },
      { method: 'status', outcome: 'ok', durationMs: 0, connId },
      { method: 'other', outcome: 'INVALID_REQUEST', durationMs: 0, connId },
      { method: 'chat.send', outcome: 'INVALID_REQUEST', durationMs: 0, connId },
    ]);
  });

  test('and its answer are counted as frames, with their bytes', async () => {
    const { observer, calls } = recorder();
    const gateway = await running(observer);
    const { client } = await gateway.join();
    calls.length = 0;
    const text = JSON.stringify({ type: 'req', id: 'é', method: 'ping' });
    client.send(text);
    const answer = JSON.stringify(await client.next());
    expect(calls.filter(([name]) => name === 'frame')).toEqual([
      ['frame', 'in', 'req', Buffer.byteLength(text)],
      ['frame', 'out', 'res', Buffer.byteLength(answer)],
    ]);
  });
});

describe('a run', () => {
  test('is told of from its acceptance to its end: time to first text, tokens, and no word of it', async () => {
    const { of, calls, clock, call, client } = await withAgent();
    await request(client, 'chat.send', { sessionKey: 'main', message: 'my secret', idempotencyKey: 'run-1' });
    expect(of('runStarted')).toEqual([{ runId: 'run-1', agentId: 'main' }]);
    await call('run.start', { runId: 'run-1' });
    await clock.advance(700);
    const text = { stream: 'assistant', data: { itemId: 't', at: 0, delta: 'a secret' } };
    await call('run.emit', { runId: 'run-1', n: 1, parts: [text] });
    await clock.advance(300);
    const usage = { stream: 'usage', data: { inputTokens: 12, outputTokens: 5 } };
    const end = { stream: 'lifecycle', data: { phase: 'end' } };
    await call('run.emit', { runId: 'run-1', n: 2, parts: [usage, end] });
    expect(of<EndedRun>('runEnded')).toEqual([
      {
        runId: 'run-1',
        agentId: 'main',
        outcome: 'ok',
        durationMs: 1_000,
        firstTokenMs: 700,
        inputTokens: 12,
        outputTokens: 5,
      },
    ]);
    expect(JSON.stringify(calls)).not.toContain('secret');
  });

  test('that fails is told of with why, not with the words of the failure', async () => {
    const { of, call, client } = await withAgent();
    await request(client, 'chat.send', { sessionKey: 'main', message: 'x', idempotencyKey: 'run-2' });
    await call('run.start', { runId: 'run-2' });
    const end = { stream: 'lifecycle', data: { phase: 'error', reason: 'failed', error: 'key sk-secret is wrong' } };
    await call('run.emit', { runId: 'run-2', n: 1, parts: [end] });
    expect(of<EndedRun>('runEnded')).toEqual([{ runId: 'run-2', agentId: 'main', outcome: 'failed', durationMs: 0 }]);
  });

  test('that is asked for twice is told of as a replay', async () => {
    const { of, client } = await withAgent();
    const params = { sessionKey: 'main', message: 'x', idempotencyKey: 'run-3' };
    await request(client, 'chat.send', params);
    await request(client, 'chat.send', params);
    expect(of('replayed')).toEqual(['chat.send']);
    expect(of('runStarted')).toHaveLength(1);
  });
});

describe('an approval', () => {
  test('is in the audit trail with who answered it, once however often it was sent', async () => {
    const { of, call, client } = await withAgent();
    await request(client, 'chat.send', { sessionKey: 'main', message: 'x', idempotencyKey: 'run-4' });
    await call('run.start', { runId: 'run-4' });
    const asked = { stream: 'approval', data: { phase: 'requested', approvalId: 'a-1', title: 'Delete it all?' } };
    await call('run.emit', { runId: 'run-4', n: 1, parts: [asked] });
    const answer = { id: 'a-1', decision: 'deny', idempotencyKey: 'k-1' };
    expect((await request(client, 'approvals.resolve', answer)).ok).toBe(true);
    expect((await request(client, 'approvals.resolve', answer)).ok).toBe(true);
    expect(of('audited')).toMatchObject([
      { action: 'approval.resolved', actor: 'token:shared', target: 'a-1', reason: 'deny' },
    ]);
  });
});

describe('the store and its readers', () => {
  test('a subscription is told of by whether its position held', async () => {
    const { observer, of } = recorder();
    const gateway = await running(observer);
    const { client } = await gateway.join({ caps: ['streams'] });
    await request(client, 'sessions.create', { key: 'main' });
    const stream = 'session:main';
    const answer = await request(client, 'streams.subscribe', { streams: [{ stream }] });
    const [{ epoch, head }] = answer.payload.streams;
    await request(client, 'streams.subscribe', { streams: [{ stream, after: { epoch, offset: head } }] });
    await request(client, 'streams.subscribe', { streams: [{ stream, after: { epoch: 'other', offset: 1 } }] });
    expect(of('resumed')).toEqual(['no_position', 'full', 'epoch_changed']);
  });

  test('a commit is told of with what it brought; one that fails is a warning, once in a row', async () => {
    const { observer, of, calls } = recorder();
    const store = memoryStore();
    const gateway = await running(observer, store);
    const { client } = await gateway.join();
    calls.length = 0;
    await request(client, 'sessions.create', { key: 'main' });
    expect(of<number>('committed').reduce((sum, events) => sum + events, 0)).toBeGreaterThan(0);
    store.commit = () => Promise.reject(new Error('disk full'));
    for (let index = 0; index < 3; index++) await request(client, 'sessions.create', { key: `k${index}` });
    expect(of('warning')).toHaveLength(1);
  });

  test('what there is at the moment can be asked for', async () => {
    const { observer, of } = recorder();
    const gateway = await running(observer);
    await gateway.join();
    const waiting = gateway.dial();
    await waiting.next();
    const [figures] = of<() => GatewayFigures>('started');
    expect(figures?.()).toEqual({
      connections: { operator: 1 },
      handshaking: 1,
      queuedBytes: 0,
      openRuns: 0,
      uncommittedBytes: 0,
    });
  });
});

describe('an observer that throws', () => {
  test('harms neither the gateway nor the other observers, and is told of once', async () => {
    const warnings: string[] = [];
    const broken: GatewayObserver = {
      frame: () => {
        throw new Error('frame');
      },
      requestAnswered: () => {
        throw new Error('requestAnswered');
      },
      warning: (message) => warnings.push(message),
    };
    const { observer, of } = recorder();
    const gateway = await running([broken, observer]);
    const { client } = await gateway.join();
    for (let index = 0; index < 5; index++) expect((await request(client, 'health')).ok).toBe(true);
    expect(of('requestAnswered')).toHaveLength(5);
    expect(warnings).toEqual([expect.stringContaining('frame'), expect.stringContaining('requestAnswered')]);
  });

  test('even where its warning throws, too', () => {
    const broken = {
      warning: () => {
        throw new Error('no');
      },
    };
    expect(() => safeObserver(broken).warning('w')).not.toThrow();
    expect(() => safeObserver().frame('in', 'req', 1)).not.toThrow();
  });
});
