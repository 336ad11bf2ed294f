import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { memoryTransportPair } from '@openclaw/protocol';
import { seededRandom, settle } from '@openclaw/protocol/testing';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { EncodedFrame } from '../src/transport/encoded-frame.ts';
import { localTransport } from '../src/transport/local.ts';
import { type ServerTransportEvents, watermarks } from '../src/transport/server-transport.ts';
import { Turn } from '../src/transport/turn.ts';
import { WebSocketTransport } from '../src/transport/websocket.ts';

const noEvents: ServerTransportEvents = { message() {}, alive() {}, drained() {}, closed() {} };

async function linked(perMessageDeflate = false) {
  const server = createServer();
  const webSockets = new WebSocketServer({ noServer: true, perMessageDeflate });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const upgraded = new Promise<{ webSocket: WebSocket; socket: Socket }>((resolve) =>
    server.on('upgrade', (request, socket, head) =>
      webSockets.handleUpgrade(request, socket, head, (webSocket) => resolve({ webSocket, socket: socket as Socket })),
    ),
  );
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, { perMessageDeflate });
  onTestFinished(() => {
    client.terminate();
    server.close();
  });
  client.on('error', () => undefined);
  const opened = new Promise((resolve) => client.on('open', resolve));
  const { webSocket, socket } = await upgraded;
  await opened;
  onTestFinished(() => webSocket.terminate());
  return { client, webSocket, socket };
}

function transportOf({ webSocket, socket }: { webSocket: WebSocket; socket: Socket }, maxFrameBytes = 1 << 20) {
  return new WebSocketTransport(webSocket, socket, { maxFrameBytes, turn: new Turn() });
}

describe('a WebSocket that takes pre-framed bytes', () => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    test(`keeps order and bytes when raw frames, texts, pings, sends of ws and the close interleave (seed ${seed})`, async () => {
      const random = seededRandom(seed);
      const ends = await linked();
      const transport = transportOf(ends);
      transport.open(noEvents);
      const got: string[] = [];
      const pinged: string[] = [];
      ends.client.on('message', (text) => got.push(String(text)));
      ends.client.on('ping', (body) => pinged.push(String(body)));
      const closed = new Promise<number>((resolve) => ends.client.on('close', resolve));
      const viaTurn: string[] = [];
      const viaWs: string[] = [];
      for (let n = 0; n < 400; n++) {
        const text = JSON.stringify({ n, body: 'é'.repeat(Math.floor(random() * (random() < 0.05 ? 70_000 : 90))) });
        const dice = random();
        if (dice < 0.4) transport.send(EncodedFrame.fromText(text));
        else if (dice < 0.7) transport.sendText(text);
        else if (dice < 0.8) transport.send(EncodedFrame.fromBytes(Buffer.from(text)));
        else if (dice < 0.85) ends.webSocket.send(text);
        else if (dice < 0.9) ends.webSocket.ping('own');
        else if (dice < 0.95) ends.client.ping('theirs');
        else transport.ping();
        if (dice < 0.8) viaTurn.push(text);
        else if (dice < 0.85) viaWs.push(text);
        if (random() < 0.1) await settle(1);
      }
      transport.close(4102, 'done');
      transport.sendText('after the close');
      expect(await closed).toBe(4102);
      const own = new Set(viaTurn);
      expect(got.filter((text) => own.has(text))).toEqual(viaTurn);
      expect(got.filter((text) => !own.has(text))).toEqual(viaWs);
      expect(pinged.length).toBeGreaterThan(0);
    });
  }

  test('writes the first message of a turn at once and all others in one write at its end', async () => {
    const ends = await linked();
    const transport = transportOf(ends);
    transport.open(noEvents);
    const writes: number[] = [];
    const write = ends.socket.write.bind(ends.socket);
    ends.socket.write = ((bytes: Buffer) => {
      writes.push(bytes.length);
      return write(bytes);
    }) as typeof ends.socket.write;
    for (let n = 0; n < 50; n++) transport.sendText('x');
    transport.ping();
    expect(writes).toEqual([3]);
    await settle(1);
    expect(writes).toEqual([3, 49 * 3 + 2]);
    transport.sendText('y');
    expect(writes.length).toBe(3);
  });

  test('writes nothing behind a close frame, whoever sent it', async () => {
    const ends = await linked();
    const transport = transportOf(ends);
    transport.open(noEvents);
    transport.sendText('sent');
    transport.sendText('waits for the end of the turn');
    ends.webSocket.close(1000);
    const written = ends.socket.bytesWritten;
    await settle(1);
    expect(ends.socket.bytesWritten).toBe(written);
  });

  test('refuses a socket on which compression was negotiated', async () => {
    const ends = await linked(true);
    expect(() => transportOf(ends)).toThrow(/permessage-deflate/);
  });

  test('counts what a reader has not taken, and tells when it fell below the low watermark', async () => {
    const ends = await linked();
    const transport = transportOf(ends);
    let drained = 0;
    transport.open({ ...noEvents, drained: () => drained++ });
    ends.client.pause();
    const frame = EncodedFrame.fromText('z'.repeat(256 * 1024));
    while (transport.queuedBytes <= watermarks.highBytes) {
      transport.send(frame);
      await settle(1);
    }
    expect(drained).toBe(0);
    transport.hasDrained();
    expect(transport.hasDrained()).toBe(false);
    // Sending more is no sign of draining.
    transport.sendText('more');
    expect(transport.hasDrained()).toBe(false);
    const falls = new Promise<void>((resolve) => {
      const look = () => (drained > 0 ? resolve() : void setImmediate(look));
      look();
    });
    ends.client.resume();
    await falls;
    expect(transport.queuedBytes).toBeLessThan(watermarks.lowBytes);
    expect(transport.hasDrained()).toBe(true);
    expect(drained).toBe(1);
  });

  test('hears the answer to its ping as a sign of life', async () => {
    const ends = await linked();
    const transport = transportOf(ends);
    const alive = new Promise<void>((resolve) => transport.open({ ...noEvents, alive: resolve }));
    transport.ping();
    await alive;
  });

  test('takes text and binary messages, and closes with 1009 at the first one that is too long', async () => {
    const ends = await linked();
    const transport = transportOf(ends, 1_000);
    const got: string[] = [];
    transport.open({ ...noEvents, message: (text) => got.push(text) });
    const closed = new Promise<number>((resolve) => ends.client.on('close', resolve));
    ends.client.send('text');
    ends.client.send(Buffer.from('binary'));
    ends.client.send('b'.repeat(1_000));
    ends.client.send('c'.repeat(1_001));
    ends.client.send('late');
    expect(await closed).toBe(1009);
    expect(got).toEqual(['text', 'binary', 'b'.repeat(1_000)]);
  });

  test('does not keep more than the limit of a message that never ends', async () => {
    const ends = await linked();
    const transport = transportOf(ends, 1_000);
    transport.open(noEvents);
    const closed = new Promise<number>((resolve) => ends.client.on('close', resolve));
    for (let n = 0; n < 200; n++) ends.client.send('d'.repeat(990), { fin: false });
    expect(await closed).toBe(1009);
  });
});

describe('a local transport', () => {
  test('carries frames and texts both ways in order, and closes both ends with the code', async () => {
    const [left, right] = memoryTransportPair();
    const server = localTransport(left);
    const got: string[] = [];
    const heard: string[] = [];
    const ends: number[] = [];
    server.open({ ...noEvents, message: (text) => heard.push(text), closed: (code) => ends.push(code) });
    right.open({ message: (text) => got.push(text), drained() {}, closed: (code) => ends.push(code) });
    server.send(EncodedFrame.fromText('{"a":1}'));
    server.sendText('two');
    right.send('hello');
    await settle();
    expect(got).toEqual(['{"a":1}', 'two']);
    expect(heard).toEqual(['hello']);
    server.close(4409, 'replaced');
    server.sendText('too late');
    await settle();
    expect(ends).toEqual([4409, 4409]);
    expect(got.length).toBe(2);
  });

  test('tells of draining once after the queue was above the high watermark', async () => {
    const [left, right] = memoryTransportPair();
    const server = localTransport(left);
    let drained = 0;
    server.open({ ...noEvents, drained: () => drained++ });
    server.sendText('small');
    right.open({ message() {}, drained() {}, closed() {} });
    await settle();
    expect(drained).toBe(0);
    server.sendText('x'.repeat(watermarks.highBytes + 1));
    await settle();
    expect(drained).toBe(1);
    expect(server.hasDrained()).toBe(true);
    expect(server.hasDrained()).toBe(false);
  });
});
