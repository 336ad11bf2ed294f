import { createServer, get, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { settle, VirtualClock } from '@openclaw/protocol/testing';
import { expect, onTestFinished, test } from 'vitest';
import { EventSender, leaving } from '../src/http/openai/event-sender.ts';

/** A stream of events whose reader does not read until it is told to. */
async function unread() {
  const clock = new VirtualClock();
  const taken: ServerResponse[] = [];
  const server = createServer((_, response) => taken.push(response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const request = get({ port, host: '127.0.0.1' });
  const answered = new Promise<import('node:http').IncomingMessage>((resolve) => request.once('response', resolve));
  request.on('error', () => undefined);
  onTestFinished(() => {
    request.destroy();
    server.closeAllConnections();
    server.close();
  });
  while (taken.length === 0) await settle();
  const response = taken[0] as ServerResponse;
  const signal = leaving(response);
  const sender = new EventSender(response, signal, { clock, heartbeatMs: 15_000, stallMs: 60_000 });
  const incoming = await answered;
  return { clock, response, signal, sender, incoming };
}

const event = 'x'.repeat(64 * 1_024);

/** Sends until the other end takes no more; the pending send. */
async function fill(sender: EventSender): Promise<{ count: number; stuck: Promise<void> }> {
  for (let count = 1; ; count++) {
    let isSent = false;
    const sent = sender.send(event).then(() => {
      isSent = true;
    });
    for (let turn = 0; turn < 50 && !isSent; turn++) await settle();
    if (!isSent) return { count, stuck: sent };
  }
}

test('a reader that does not read holds the sender up, with one event in memory', async () => {
  const { response, sender, incoming } = await unread();
  const { count, stuck } = await fill(sender);
  expect(response.writableLength).toBeLessThan(2 * event.length);
  let bytes = 0;
  incoming.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await stuck;
  await sender.send('last');
  sender.end();
  await new Promise((resolve) => incoming.once('end', resolve));
  expect(bytes).toBe(count * (event.length + 'data: \n\n'.length) + 'data: last\n\n'.length);
});

test('a reader that takes nothing for too long is cut off, and the sender goes on', async () => {
  const { clock, response, signal, sender } = await unread();
  const { stuck } = await fill(sender);
  await clock.advance(59_000);
  expect(response.destroyed).toBe(false);
  await clock.advance(1_000);
  await stuck;
  expect(signal.aborted).toBe(true);
  await sender.send('to nobody');
  sender.close();
  expect(clock.timerCount).toBe(0);
});

test('a reader that is slow with a long event is not cut off while it takes some of it', async () => {
  const { clock, response, signal, sender, incoming } = await unread();
  const long = 'x'.repeat(24 * 1_024 * 1_024);
  let isSent = false;
  const sent = sender.send(long).then(() => {
    isSent = true;
  });
  let bytes = 0;
  incoming.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  incoming.pause();
  let turnCount = 0;
  for (; !isSent; turnCount++) {
    await clock.advance(40_000);
    expect(signal.aborted).toBe(false);
    const drained = Promise.race([sent, new Promise((resolve) => response.once('drain', resolve))]);
    incoming.resume();
    await drained;
    incoming.pause();
    await settle();
  }
  // In all it took longer than a reader may take nothing.
  expect(turnCount * 40_000).toBeGreaterThan(60_000);
  incoming.resume();
  sender.end();
  await new Promise((resolve) => incoming.once('end', resolve));
  expect(bytes).toBe(long.length + 'data: \n\n'.length);
});

test('heartbeats fill silence only', async () => {
  const { clock, sender, incoming } = await unread();
  let text = '';
  incoming.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  await clock.advance(10_000);
  await sender.send('one');
  await clock.advance(10_000);
  await sender.send('two', 'named');
  await clock.advance(15_000);
  sender.end();
  await new Promise((resolve) => incoming.once('end', resolve));
  expect(text).toBe('data: one\n\nevent: named\ndata: two\n\n: still here\n\n');
  expect(clock.timerCount).toBe(0);
});
