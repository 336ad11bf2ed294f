import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';

let echo: Server;
let served: Socket[];
let proxy: FaultProxy;

beforeEach(async () => {
  served = [];
  echo = createServer({ noDelay: true }, (socket) => {
    served.push(socket);
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  proxy = await startFaultProxy({ targetPort: (echo.address() as AddressInfo).port });
});

afterEach(async () => {
  await proxy.close();
  for (const socket of served) socket.destroy();
  echo.close();
});

async function dial(): Promise<{ socket: Socket; received: () => string; until: (text: string) => Promise<void> }> {
  const socket = connect({ port: proxy.port, host: '127.0.0.1', noDelay: true });
  let text = '';
  let check = () => {};
  socket.setEncoding('utf8');
  socket.on('error', () => undefined);
  socket.on('data', (bytes) => {
    text += bytes;
    check();
  });
  await once(socket, 'connect');
  return {
    socket,
    received: () => text,
    until: (wanted) =>
      new Promise((resolve) => {
        check = () => text === wanted && resolve();
        check();
      }),
  };
}

test('without a fault everything passes, in order, and both ends close together', async () => {
  const { socket, until } = await dial();
  const words = 'x'.repeat(300_000);
  socket.write(words);
  await until(words);
  socket.end();
  await once(socket, 'close');
  await Promise.all(served.map((other) => other.closed || once(other, 'close')));
  expect(proxy.acceptedCount).toBe(1);
});

test.each([
  ['byte by byte', { writeBytes: 1 }],
  ['throttled', { bytesPerSecond: 20_000 }],
  ['late', { latencyMs: 20 }],
  ['late and in pieces', { latencyMs: 5, writeBytes: 7 }],
])('%s, the same bytes arrive in the same order', async (_name, faults) => {
  proxy.shape(faults);
  const { socket, until } = await dial();
  const words = Array.from({ length: 300 }, (_, index) => `${index},`).join('');
  for (const word of words.split(/(?<=,)/)) socket.write(word);
  await until(words);
});

test('a throttled way hands on a long write in pieces', async () => {
  proxy.shape({ bytesPerSecond: 10_000 }, 'toServer');
  const { socket, until, received } = await dial();
  socket.write('x'.repeat(2_000));
  await once(socket, 'data');
  expect(received().length).toBeLessThan(2_000);
  await until('x'.repeat(2_000));
});

test('what is stalled goes on when the stall ends', async () => {
  const { socket, until, received } = await dial();
  socket.write('a');
  await until('a');
  proxy.shape({ isStalled: true }, 'toClient');
  socket.write('held');
  await once(served[0] as Socket, 'data');
  expect(received()).toBe('a');
  proxy.shape({}, 'toClient');
  await until('aheld');
});

test('a black hole swallows one direction, and not even a close gets through', async () => {
  const { socket, until, received } = await dial();
  socket.write('a');
  await until('a');
  proxy.blackHole('toClient');
  socket.write('b');
  await once(served[0] as Socket, 'data');
  served[0]?.destroy();
  const second = await dial();
  second.socket.write('c');
  await second.until('c');
  expect(received()).toBe('a');
  expect(socket.readyState).toBe('open');
});

test('cut ends both sides, reset shows as ECONNRESET, refused connections are closed', async () => {
  const first = await dial();
  const ended = once(first.socket, 'close');
  proxy.cut();
  await ended;
  const second = await dial();
  second.socket.write('x');
  await second.until('x');
  const failed = once(second.socket, 'error');
  proxy.reset();
  expect(((await failed)[0] as NodeJS.ErrnoException).code).toBe('ECONNRESET');
  proxy.refuse(true);
  const third = await dial().catch(() => undefined);
  if (third && !third.socket.closed) await once(third.socket, 'close');
  expect(proxy.connectionCount).toBe(0);
});
