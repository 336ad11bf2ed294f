import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from '@openclaw/client';
import { type MethodDeclaration, methods } from '@openclaw/protocol';
import { memoryStore } from '@openclaw/server';
import { describe, expect, test, vi } from 'vitest';
import WebSocket from 'ws';
import { gate, scriptedAgent, startGateway, testToken } from './gateway.ts';

/** Counted guards: exact on any machine, unlike times. They hold what makes the gateway fast. */

/** A connection with `streams` that has had its hello-ok, and nothing of the client SDK around it. */
async function rawOperator(url: string, caps = ['streams']) {
  const socket = new WebSocket(url);
  const frames: { type: string; id?: string; event?: string; payload?: { type?: string } }[] = [];
  const waiters: { matches: (frame: (typeof frames)[number]) => boolean; resolve: () => void }[] = [];
  socket.on('message', (data) => {
    const frame = JSON.parse(String(data));
    frames.push(frame);
    for (const waiter of [...waiters]) {
      if (!waiter.matches(frame)) continue;
      waiters.splice(waiters.indexOf(waiter), 1);
      waiter.resolve();
    }
  });
  const until = (matches: (frame: (typeof frames)[number]) => boolean) =>
    frames.some(matches) ? Promise.resolve() : new Promise<void>((resolve) => waiters.push({ matches, resolve }));
  let nextId = 0;
  const request = async (method: string, params: object) => {
    const id = String(++nextId);
    socket.send(JSON.stringify({ type: 'req', id, method, params }));
    await until((frame) => frame.type === 'res' && frame.id === id);
    return frames.find((frame) => frame.type === 'res' && frame.id === id);
  };
  await until((frame) => frame.event === 'connect.challenge');
  await request('connect', {
    minProtocol: 4,
    maxProtocol: 4,
    client: { id: 'guard', version: '1', platform: 'test', mode: 'backend' },
    role: 'operator',
    scopes: ['operator.admin', 'operator.read', 'operator.write'],
    caps,
    auth: { token: testToken },
  });
  return { socket, frames, request, until, close: () => socket.close() };
}

describe('the hot path', () => {
  test('an event is stringified once, however many read its stream, and zod sees each inbound frame at most once', async () => {
    const start = gate();
    const deltaCount = 50;
    const agent = scriptedAgent(async function* () {
      await start.opened;
      for (let index = 0; index < deltaCount; index++) {
        yield `word${index} `;
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    const running = await startGateway({ agent });
    const readers = await Promise.all(Array.from({ length: 5 }, () => rawOperator(running.url)));
    for (const reader of readers) await reader.request('streams.subscribe', { streams: [{ stream: 'session:main' }] });
    await readers[0]?.request('chat.send', { sessionKey: 'main', message: 'go', idempotencyKey: 'guard-run' });

    const isDelta = (value: unknown): boolean => {
      const frame = value as { type?: string; event?: string; payload?: { stream?: string } };
      return frame?.type === 'event' && frame.event === 'agent' && frame.payload?.stream === 'assistant';
    };
    let deltaStringifies = 0;
    let zodCalls = 0;
    const stringify = JSON.stringify;
    const stringifySpy = vi.spyOn(JSON, 'stringify').mockImplementation(((value: unknown, ...rest: []) => {
      if (isDelta(value)) deltaStringifies++;
      return stringify(value, ...rest);
    }) as typeof JSON.stringify);
    const emits = vi.spyOn(methods['run.emit'].params, 'safeParse');
    const declared = Object.values(methods) as unknown as MethodDeclaration[];
    const others = declared
      .filter(({ name }) => name !== 'run.emit')
      .map(({ params }) => vi.spyOn(params, 'safeParse'));
    const results = declared.map(({ result }) => vi.spyOn(result, 'safeParse'));
    const ended = (frame: { event?: string; payload?: object }) => {
      const payload = frame.payload as { stream?: string; data?: { phase?: string } } | undefined;
      return frame.event === 'agent' && payload?.stream === 'lifecycle' && payload.data?.phase === 'end';
    };
    start.open();
    await Promise.all(readers.map((reader) => reader.until(ended)));
    zodCalls = [...others, ...results].reduce((sum, spy) => sum + spy.mock.calls.length, 0);
    const emitCalls = emits.mock.calls.length;
    stringifySpy.mockRestore();
    for (const spy of [emits, ...others, ...results]) spy.mockRestore();

    const seen = readers.map(({ frames }) => frames.filter(isDelta).length);
    expect(new Set(seen).size).toBe(1);
    expect(seen[0]).toBeGreaterThan(0);
    expect(deltaStringifies).toBe(seen[0]);
    // Beside the emits nothing was received, and what was sent met no schema.
    expect(zodCalls).toBe(0);
    expect(emitCalls).toBeGreaterThan(0);
    expect(emitCalls).toBeLessThanOrEqual((seen[0] ?? 0) + 2);
    for (const reader of readers) reader.close();
    await running.close();
  });

  test('a tick makes at most one commit, whatever it changed', async () => {
    const store = memoryStore();
    let turn = 0;
    let isCounting = true;
    const countTurns = () => {
      turn++;
      if (isCounting) setImmediate(countTurns);
    };
    const commitsByTurn = new Map<number, number>();
    const commit = store.commit.bind(store);
    vi.spyOn(store, 'commit').mockImplementation((batch) => {
      commitsByTurn.set(turn, (commitsByTurn.get(turn) ?? 0) + 1);
      return commit(batch);
    });
    const running = await startGateway({ store });
    setImmediate(countTurns);
    const operator = await rawOperator(running.url);
    await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        operator.request('chat.send', {
          sessionKey: `s${index % 10}`,
          message: `m${index}`,
          idempotencyKey: `k${index}`,
        }),
      ),
    );
    isCounting = false;
    expect([...commitsByTurn.values()].every((count) => count === 1)).toBe(true);
    expect(commitsByTurn.size).toBeGreaterThan(0);
    operator.close();
    await running.close();
  });
});

describe('what connections cost', () => {
  test('an idle connection has no timer of its own', async () => {
    const running = await startGateway();
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const first = await rawOperator(running.url);
    const before = timers();
    const idle = await Promise.all(Array.from({ length: 40 }, () => rawOperator(running.url)));
    await Promise.all(idle.map(({ request }) => request('ping', {})));
    expect(timers()).toBeLessThanOrEqual(before);
    for (const { close } of [first, ...idle]) close();
    await running.close();
  });

  test('a reader that stalls is held back within its budget, loses nothing, and gets the rest merged', async () => {
    const start = gate();
    const pieces = 3_000;
    const piece = 'x'.repeat(4_000);
    const agent = scriptedAgent(async function* () {
      await start.opened;
      for (let index = 0; index < pieces; index++) {
        yield piece;
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    const server = createServer();
    const sockets: Socket[] = [];
    server.on('connection', (socket) => sockets.push(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const running = await startGateway({ agent });
    running.gateway.attach(server);
    const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const stalled = await rawOperator(url);
    const ofStalled = sockets.at(-1) as Socket;
    await stalled.request('streams.subscribe', { streams: [{ stream: 'session:main' }] });
    (stalled.socket as unknown as { _socket: Socket })._socket.pause();
    const client = connect({ url: running.url, token: testToken });
    const run = client.session('main').send('go');
    let mostQueued = 0;
    const watch = setInterval(() => {
      mostQueued = Math.max(mostQueued, ofStalled.writableLength);
    }, 1);
    start.open();
    await run.final.catch(() => undefined);
    clearInterval(watch);
    expect(mostQueued).toBeGreaterThan(0);
    expect(mostQueued).toBeLessThanOrEqual(4 * 1_048_576);
    (stalled.socket as unknown as { _socket: Socket })._socket.resume();
    await stalled.until(
      ({ event, payload }) => event === 'agent' && (payload as { data?: { phase?: string } }).data?.phase === 'end',
    );
    const deltas = stalled.frames.filter(({ payload }) => (payload as { stream?: string })?.stream === 'assistant');
    let length = 0;
    let isContiguous = true;
    for (const { payload } of deltas as unknown as { payload: { data: { at: number; delta: string } } }[]) {
      if (payload.data.at !== length) isContiguous = false;
      length += payload.data.delta.length;
    }
    expect(isContiguous).toBe(true);
    expect(length).toBe(pieces * piece.length);
    expect(deltas.some((frame) => 'from' in frame)).toBe(true);
    stalled.close();
    await client.close();
    await running.close();
    await new Promise((resolve) => server.close(resolve));
  });
});
