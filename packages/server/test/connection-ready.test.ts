import { memoryTransportPair, portTransport, type Transport } from '@openclaw/protocol';
import { settle } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { EventFrames } from '../src/connection/event-frames.ts';
import type { Peer } from '../src/connection/peer.ts';
import { presenceEntry } from '../src/connection/presence.ts';
import { EncodedFrame } from '../src/transport/encoded-frame.ts';
import { watermarks } from '../src/transport/server-transport.ts';
import { type EdgeFixture, listening } from './edge-fixture.ts';
import { type AnyFrame, connectFrame, type RawClient } from './raw-client.ts';

async function joined({ dial, host }: EdgeFixture, caps: string[] = []): Promise<{ client: RawClient; peer: Peer }> {
  const client = dial();
  await client.next();
  client.send(connectFrame({ caps }));
  await client.next();
  return { client, peer: host.peers.at(-1)! };
}

describe('after hello', () => {
  test.each<[string, string, unknown, string]>([
    ['an array', '[1]', 'invalid', 'at root: must be object'],
    ['a string', '"x"', 'invalid', 'at root: must be object'],
    ['no type', '{"id":"7"}', 'invalid', 'at /type: must be one of req, res, event'],
    ['an event', '{"type":"event","event":"x"}', 'invalid', 'at /type: must be req'],
    ['a field too many', '{"type":"req","id":"7","method":"health","x":1}', '7', "at root: unexpected property 'x'"],
    ['an empty id', '{"type":"req","id":"","method":"health"}', '', 'at /id: must be a non-empty string'],
    ['a number as id', '{"type":"req","id":7,"method":"health"}', 7, 'at /id: must be a non-empty string'],
    ['an object as id', '{"type":"req","id":{},"method":"health"}', 'invalid', 'at /id: must be a non-empty string'],
    ['no method', '{"type":"req","id":"7"}', '7', 'at /method: must be a non-empty string'],
  ])('%s is answered with its id, and nothing else is lost', async (_, text, id, reason) => {
    const edge = await listening();
    const { client } = await joined(edge);
    client.send('not JSON: ignored');
    client.send(text);
    client.send({ type: 'req', id: 'next', method: 'health' });
    expect(await client.next()).toEqual({
      type: 'res',
      id,
      ok: false,
      error: { code: 'INVALID_REQUEST', message: `invalid request frame: ${reason}` },
    });
    expect((await client.next()).id).toBe('next');
    expect(edge.host.requests.map((frame) => frame.id)).toEqual(['next']);
  });

  test('a second connect is refused and the connection stays', async () => {
    const edge = await listening();
    const { client } = await joined(edge);
    client.send({ ...connectFrame(), id: 'again' });
    expect((await client.next()).error).toEqual({
      code: 'INVALID_REQUEST',
      message: 'connect is only valid as the first request',
    });
    client.send({ type: 'req', id: 'next', method: 'health' });
    expect((await client.next()).id).toBe('next');
  });

  test('v4 events are numbered per connection from 1; connections with streams get no numbers', async () => {
    const edge = await listening();
    const [one, two, streams] = [await joined(edge), await joined(edge), await joined(edge, ['streams'])];
    const everyone = [one, two, streams];
    one.peer.sendEvent('health', '{"ok":true}', { presence: 2, health: 3 });
    for (const { peer } of everyone) peer.sendEvent('chat', '{"text":"é"}');
    expect(await one.client.next()).toEqual({
      type: 'event',
      event: 'health',
      payload: { ok: true },
      seq: 1,
      stateVersion: { presence: 2, health: 3 },
    });
    const chat = { type: 'event', event: 'chat', payload: { text: 'é' } };
    expect(await one.client.next()).toEqual({ ...chat, seq: 2 });
    expect(await two.client.next()).toEqual({ ...chat, seq: 1 });
    expect(await streams.client.next()).toEqual(chat);
  });

  test('frames that are the same for everyone arrive as they are', async () => {
    const edge = await listening();
    const { client, peer } = await joined(edge, ['streams']);
    const frame = { type: 'event', event: 'agent', payload: {}, stream: 'session:agent:main:main', offset: 4 };
    peer.send(EncodedFrame.fromText(JSON.stringify(frame)));
    peer.respond('r"1', false, '{"code":"FORBIDDEN","message":"no"}');
    expect(await client.next()).toEqual(frame);
    expect(await client.next()).toEqual({
      type: 'res',
      id: 'r"1',
      ok: false,
      error: { code: 'FORBIDDEN', message: 'no' },
    });
  });

  test.each([
    [4101, 1008],
    [4102, 1012],
    [4103, 1001],
    [4201, 1013],
    [4409, 1008],
    [4413, 1009],
    [4426, 1002],
  ])('the close code %i is %i to v4, and the host is told once that it left', async (code, v4Code) => {
    const edge = await listening();
    const [v4, streams] = [await joined(edge), await joined(edge, ['streams'])];
    for (const { peer } of [v4, streams]) {
      peer.close(code, 'in words'.padEnd(200, 'é'));
      expect(peer.isOpen).toBe(false);
      peer.close(code, 'again');
      peer.respond('late', true, '{}');
      peer.sendEvent('late', '{}');
    }
    expect(await v4.client.closed).toMatchObject({ code: v4Code });
    const { code: got, reason } = await streams.client.closed;
    expect(got).toBe(code);
    expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(123);
    expect(reason.startsWith('in words')).toBe(true);
    await settle();
    expect(edge.host.departed).toEqual([v4.peer, streams.peer]);
    expect(v4.client.unread + streams.client.unread).toBe(0);
  });

  test('a peer that goes is reported, and one that never joined is not', async () => {
    const edge = await listening();
    const { client, peer } = await joined(edge);
    const stranger = edge.dial();
    await stranger.next();
    stranger.socket.terminate();
    client.socket.close();
    await client.closed;
    while (edge.host.departed.length === 0) await settle();
    expect(edge.host.departed).toEqual([peer]);
    expect(peer.identity.principal).toBe('token:shared');
  });

  test('while reading is paused requests wait, and are served in order afterwards', async () => {
    const edge = await listening();
    const { client, peer } = await joined(edge);
    edge.host.answer = (from, { id }) => {
      if (id === '0') from.pauseReading(true);
      from.respond(id, true, '{}');
    };
    for (let n = 0; n < 20; n++) client.send({ type: 'req', id: String(n), method: 'health' });
    expect((await client.next()).id).toBe('0');
    await settle(30);
    expect(edge.host.requests.length).toBe(1);
    edge.host.answer = (from, { id }) => from.respond(id, true, '{}');
    peer.pauseReading(false);
    for (let n = 1; n < 20; n++) expect((await client.next()).id).toBe(String(n));
  });
});

describe('a slow reader', () => {
  test('is read from again only when it has taken what waits for it, and the host is told', async () => {
    const edge = await listening();
    const { client, peer } = await joined(edge, ['streams']);
    client.socket.pause();
    const frame = EncodedFrame.fromText(JSON.stringify({ pad: 'x'.repeat(200_000) }));
    let sent = 0;
    while (peer.queuedBytes <= watermarks.highBytes) {
      peer.send(frame);
      sent++;
      await settle(1);
    }
    client.send({ type: 'req', id: 'r', method: 'health' });
    await settle(30);
    expect(edge.host.requests).toEqual([]);
    expect(edge.host.drainedPeers).toEqual([]);
    client.socket.resume();
    for (let n = 0; n < sent; n++) await client.next();
    expect((await client.next()).id).toBe('r');
    expect(edge.host.drainedPeers).toEqual([peer]);
  });

  test('never has more than the hard limit and one frame queued; then it is closed, resumable', async () => {
    const edge = await listening();
    const { client, peer } = await joined(edge, ['streams']);
    client.socket.pause();
    const frame = EncodedFrame.fromText(JSON.stringify({ pad: 'x'.repeat(250_000) }));
    let most = 0;
    for (let n = 0; n < 200; n++) {
      peer.send(frame);
      most = Math.max(most, peer.queuedBytes);
      if (n % 5 === 0) await settle(1);
    }
    expect(peer.isOpen).toBe(false);
    expect(most).toBeLessThanOrEqual(watermarks.hardBytes + frame.framed.length);
    client.socket.resume();
    expect(await client.closed).toMatchObject({ code: 4101, reason: expect.stringContaining('slow consumer') });
  });
});

test('a reader that takes nothing for 15 s is closed, resumable', async () => {
  const edge = await listening();
  const { client, peer } = await joined(edge, ['streams']);
  client.socket.pause();
  const frame = EncodedFrame.fromText(JSON.stringify({ pad: 'x'.repeat(200_000) }));
  while (peer.queuedBytes <= watermarks.highBytes) {
    peer.send(frame);
    await settle(1);
  }
  await edge.host.clock.advance(10_000);
  expect(peer.isOpen).toBe(true);
  await edge.host.clock.advance(11_000);
  expect(peer.isOpen).toBe(false);
  client.socket.resume();
  expect(await client.closed).toMatchObject({ code: 4101, reason: 'slow consumer: nothing was read for 15 s' });
});

test('an event for many connections is encoded once, whatever their kind', () => {
  const frames = new EventFrames();
  const texts = new Set<string>();
  for (let n = 1; n <= 100; n++) {
    texts.add(frames.numbered('chat', '{"text":"é"}', n).text);
    texts.add(frames.shared('chat', '{"text":"é"}').text);
  }
  expect(frames.encodedCount).toBe(1);
  expect(texts.size).toBe(101);
  expect(frames.shared('chat', '{"text":"e"}', { presence: 1, health: 2 }).text).toBe(
    '{"type":"event","event":"chat","payload":{"text":"e"},"stateVersion":{"presence":1,"health":2}}',
  );
});

describe('a local peer', () => {
  function linkedLocal(edge: EdgeFixture, scopes: string[] = []) {
    const [left, right] = memoryTransportPair();
    const peer = edge.edge.acceptTransport(left, {
      role: 'agent',
      id: 'main',
      scopes: new Set(scopes),
      principal: 'local:agent/main',
      isLocal: true,
    });
    return { peer, ...opened(right) };
  }

  function opened(transport: Transport) {
    const frames: AnyFrame[] = [];
    const closes: number[] = [];
    transport.open({
      message: (text) => frames.push(JSON.parse(text) as AnyFrame),
      drained() {},
      closed: (code) => closes.push(code),
    });
    return { transport, frames, closes };
  }

  test('says connect like everyone, and is who its host says it is, whatever it claims', async () => {
    const edge = await listening();
    const { transport, frames, peer } = linkedLocal(edge);
    transport.send(
      JSON.stringify(connectFrame({ role: 'operator', scopes: ['operator.admin'], auth: {}, caps: ['streams'] })),
    );
    transport.send('{"type":"req","id":"2","method":"agent.attach"}');
    await settle();
    expect(frames.map((frame) => frame.event ?? frame.payload.type ?? frame.id)).toEqual([
      'connect.challenge',
      'hello-ok',
      '2',
    ]);
    expect(frames[1]?.payload.auth).toEqual({ role: 'agent', scopes: [] });
    expect(edge.host.peers).toEqual([peer]);
    expect(peer.identity).toMatchObject({ role: 'agent', id: 'main', isLocal: true });
    expect(peer.remoteAddress).toBeUndefined();
  });

  test('may take its time, gets ticks, and needs no answer to a ping', async () => {
    const edge = await listening();
    const { transport, frames, closes } = linkedLocal(edge);
    await edge.host.clock.advance(60_000);
    expect(closes).toEqual([]);
    transport.send(JSON.stringify(connectFrame({ caps: ['streams'] })));
    await edge.host.clock.advance(30_000);
    expect(closes).toEqual([]);
    expect(frames.filter((frame) => frame.event === 'tick').length).toBe(6);
  });

  test('over a MessagePort is a peer like any other', async () => {
    const edge = await listening();
    const { port1, port2 } = new MessageChannel();
    edge.edge.acceptTransport(portTransport(port1), {
      role: 'agent',
      id: 'main',
      scopes: new Set(),
      principal: 'local:agent/main',
      isLocal: true,
    });
    const { transport, frames } = opened(portTransport(port2));
    transport.send(JSON.stringify(connectFrame({ caps: ['streams'] })));
    while (frames.length < 2) await settle();
    expect(frames[1]?.payload.type).toBe('hello-ok');
    edge.host.peers[0]?.close(4409, 'replaced');
    while (edge.host.departed.length === 0) await settle();
    expect(edge.edge.connectionCount).toBe(0);
  });

  test('whose worker dies is reported', async () => {
    const edge = await listening();
    const { transport, peer } = linkedLocal(edge);
    transport.send(JSON.stringify(connectFrame()));
    await settle();
    transport.close(1006, 'the port was closed');
    await settle();
    expect(edge.host.departed).toEqual([peer]);
    expect(edge.edge.connectionCount).toBe(0);
  });
});

test('presence lists apps and pages, not services, single calls or agents', async () => {
  const edge = await listening();
  const { peer } = await joined(edge);
  expect(presenceEntry(peer, { ts: 1 })).toBeUndefined();
  const client = edge.dial();
  await client.next();
  client.send(
    connectFrame({
      client: { id: 'chat-web', version: '3', platform: 'web', mode: 'ui', displayName: 'Chat', instanceId: 'i1' },
    }),
  );
  await client.next();
  expect(presenceEntry(edge.host.peers.at(-1)!, { ts: 5 })).toEqual({
    host: 'Chat',
    ip: '127.0.0.1',
    version: '3',
    platform: 'web',
    mode: 'ui',
    reason: 'connect',
    text: 'Chat (ui, web)',
    ts: 5,
    roles: ['operator'],
    scopes: ['operator.read', 'operator.write'],
    instanceId: 'i1',
  });
});
