import { EventEmitter } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect as connectTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { settle } from '@openclaw/protocol/testing';
import { describe, expect, onTestFinished, test } from 'vitest';
import { defaultLimits } from '../src/connection/limits.ts';
import { type HttpExchange, HttpProblem } from '../src/http/route.ts';
import { SocketLimit } from '../src/http/socket-limit.ts';
import { ask, askUpgrade } from './ask.ts';
import { type EdgeFixture, listening } from './edge-fixture.ts';
import { connectFrame } from './raw-client.ts';

/** A socket that says what a test tells it to, and keeps what it gets. */
class Attacker {
  readonly socket: Socket;
  readonly closed: Promise<string>;
  got = '';

  constructor({ origin }: EdgeFixture, text = '') {
    this.socket = connectTcp(Number(new URL(origin).port), '127.0.0.1');
    this.socket.on('data', (chunk) => {
      this.got += chunk;
    });
    this.socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve(this.got)));
    if (text !== '') this.socket.write(text);
    onTestFinished(() => void this.socket.destroy());
  }

  static many(count: number, fixture: EdgeFixture, text?: string): Attacker[] {
    return Array.from({ length: count }, () => new Attacker(fixture, text));
  }

  /** Says a little again and again, as if there were more to come. */
  drip(text: string): this {
    const timer = setInterval(() => this.socket.write(text), 10);
    this.socket.once('close', () => clearInterval(timer));
    return this;
  }
}

const upgrade =
  'GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n' +
  'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

/** Others are served while somebody is slow. */
async function expectServed({ origin, dial }: EdgeFixture): Promise<void> {
  expect((await ask(origin, '/healthz')).status).toBe(200);
  const client = dial();
  await client.next();
  client.send(connectFrame());
  expect((await client.next()).ok).toBe(true);
  client.socket.terminate();
}

describe('slow headers', () => {
  test.each([
    ['none at all', '', ''],
    ['one at a time', 'GET / HTTP/1.1\r\n', 'x-a: b\r\n'],
    ['letter by letter', 'GET / HTTP/1.1\r\nhost: ', 'a'],
    ['of an upgrade that is never finished', upgrade, ''],
  ])('%s: the socket is cut, and others are served meanwhile', async (_, begin, drop) => {
    const fixture = await listening({ limits: { headersTimeoutMs: 200 } });
    const attackers = Attacker.many(50, fixture, begin).map((attacker) =>
      drop === '' ? attacker : attacker.drip(drop),
    );
    await expectServed(fixture);
    for (const attacker of attackers) expect(await attacker.closed).toMatch(/^(HTTP\/1.1 408 |$)/);
  });

  test('that are too large, or too many, are refused before they are all there', async () => {
    const fixture = await listening();
    const large = new Attacker(fixture, `GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ${'y'.repeat(20_000)}`);
    expect(await large.closed).toContain('HTTP/1.1 431 ');
    const headers = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`x-${index}`, 'y']));
    expect(await ask(fixture.origin, '/healthz', { headers })).toMatchObject({ status: 431 });
    expect(await askUpgrade(fixture.origin, headers)).toMatchObject({ status: 431 });
    await expectServed(fixture);
  });
});

describe('a slow body', () => {
  const post = 'POST /echo HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100000\r\n\r\n';

  test('is waited for as long as the route allows, and others are served meanwhile', async () => {
    const gone: unknown[] = [];
    const fixture = await listening({
      routes: [
        {
          path: '/echo',
          methods: ['POST'],
          handle: async ({ request }: HttpExchange) => {
            await new Promise((resolve) => request.once('close', resolve));
            gone.push(request.complete);
          },
        },
      ],
    });
    const attackers = Attacker.many(20, fixture, post);
    while (fixture.host.clock.timerCount < 20) await settle(1);
    await expectServed(fixture);
    await fixture.host.clock.advance(defaultLimits.requestTimeoutMs);
    for (const attacker of attackers) expect(await attacker.closed).toContain('HTTP/1.1 408 ');
    while (gone.length < 20) await settle(1);
    expect(gone).toEqual(Array(20).fill(false));
  });

  test('that nobody reads is not kept', async () => {
    let socket: Socket | undefined;
    const fixture = await listening({
      routes: [
        {
          path: '/echo',
          methods: ['POST'],
          handle: ({ request }: HttpExchange) => {
            socket = request.socket;
            throw new HttpProblem(413, 'payload_too_large', 'No.');
          },
        },
      ],
    });
    const flood = new Attacker(fixture, post.replace('100000', '1000000000'));
    const chunk = Buffer.alloc(256 * 1024);
    const pour = () => {
      while (!flood.socket.destroyed && flood.socket.write(chunk));
    };
    flood.socket.on('drain', pour);
    pour();
    expect(await flood.closed).toContain('HTTP/1.1 413 ');
    expect(socket!.bytesRead).toBeLessThan(8 * 1024 * 1024);
    await expectServed(fixture);
  });
});

describe('a slow reader', () => {
  test('of a page is cut', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'slow-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    await writeFile(join(directory, 'large.txt'), Buffer.alloc(32 * 1024 * 1024, 'x'));
    const fixture = await listening({ siteDirectory: directory, limits: { responseStallMs: 100 } });
    const reader = new Attacker(fixture, 'GET /large.txt HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
    await new Promise((resolve) => reader.socket.once('data', resolve));
    reader.socket.pause();
    await expectServed(fixture);
    // It is cut while nothing is read; what shows it is that a second one gets all and the first does not.
    const whole = await ask(fixture.origin, '/large.txt');
    expect(whole.text.length).toBe(32 * 1024 * 1024);
    while (fixture.edge.socketCount > 0) await settle(10);
    reader.socket.resume();
    expect((await reader.closed).length).toBeLessThan(32 * 1024 * 1024);
  });
});

describe('an upgrade that says nothing more', () => {
  test('is closed when its handshake took too long; more of them than may wait are refused', async () => {
    const fixture = await listening({ limits: { maxHandshaking: 20, handshakeMs: 1_000 } });
    const attackers = Attacker.many(20, fixture, `${upgrade}\r\n`);
    for (const attacker of attackers) while (!attacker.got.includes('challenge')) await settle(1);
    expect(await askUpgrade(fixture.origin)).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    expect((await ask(fixture.origin, '/healthz')).status).toBe(200);
    await fixture.host.clock.advance(1_500);
    // The close frame is there: 0x88. Who does not answer it is cut after `ws` waited for that.
    for (const attacker of attackers) while (!attacker.got.includes('\ufffd\u0002\u0003')) await settle(1);
    await expectServed(fixture);
  });

  test('nor a whole frame is cut off at the size of a handshake', async () => {
    const fixture = await listening();
    const attacker = new Attacker(fixture, `${upgrade}\r\n`);
    while (!attacker.got.includes('challenge')) await settle(1);
    // A masked text frame of 20 MB, of which 200 kB come.
    attacker.socket.write(Buffer.from([0x81, 0xff, 0, 0, 0, 0, 1, 0x31, 0x2d, 0, 1, 2, 3, 4]));
    attacker.socket.write(Buffer.alloc(200_000));
    await attacker.closed;
    await expectServed(fixture);
  });
});

describe('many sockets', () => {
  test('in all are held to a limit, and there is room again when one is gone', async () => {
    const fixture = await listening({ limits: { maxSockets: 3 } });
    const held = Attacker.many(3, fixture, 'GET');
    while (fixture.edge.socketCount < 3) await settle(1);
    expect(await new Attacker(fixture, 'GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n').closed).toBe('');
    held[0]?.socket.destroy();
    while (fixture.edge.socketCount > 2) await settle(1);
    expect((await ask(fixture.origin, '/healthz')).status).toBe(200);
  });

  test('of one address are held to a limit; loopback and proxies are not', () => {
    const server = new EventEmitter();
    const limits = { maxSockets: 100, maxSocketsPerAddress: 2 };
    new SocketLimit({ limits, isProxy: (address) => address === '10.0.0.1' }).guard(server);
    const arrive = (remoteAddress: string) => {
      const socket = Object.assign(new EventEmitter(), {
        remoteAddress,
        destroyed: false,
        destroy: () => {
          socket.destroyed = true;
        },
      });
      server.emit('connection', socket);
      return socket;
    };
    const sockets = ['203.0.113.9', '::ffff:203.0.113.9', '203.0.113.9', '203.0.113.10'].map(arrive);
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([false, false, true, false]);
    for (const address of ['127.0.0.1', '::1', '10.0.0.1']) {
      expect([1, 2, 3].map(() => arrive(address).destroyed)).toEqual([false, false, false]);
    }
    // One that was never let in gives no place back.
    sockets[2]?.emit('close');
    expect(arrive('203.0.113.9').destroyed).toBe(true);
    sockets[0]?.emit('close');
    expect([arrive('203.0.113.9').destroyed, arrive('203.0.113.9').destroyed]).toEqual([false, true]);
  });
});
