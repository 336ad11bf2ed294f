import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectOptions, connect } from '@openclaw/client';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { WebSocketServer } from 'ws';
import { webSocketDialer as browserDialer } from '../src/browser/socket.ts';
import { webSocketDialer } from '../src/node/socket.ts';

const url = 'ws://127.0.0.1:1';
const pin = `sha256/${'A'.repeat(43)}=`;

afterEach(() => vi.unstubAllGlobals());

describe('the WebSocket dialer of Node', () => {
  test.each<[string, Partial<ConnectOptions>]>([
    ['another scheme', { url: 'http://user:canary@x' }],
    ['no url', {}],
    ['no host', { url: 'ws://' }],
    ['a fragment', { url: 'ws://x/#canary' }],
    ['a further url that is none', { url, urls: ['canary'] }],
    ['a pin of another form', { url: 'wss://x', pin: 'sha256/canary' }],
    ['a pin without TLS', { url, pin }],
    ['a CA that is a file name', { url: 'wss://x', ca: '/etc/canary.pem' }],
    ['a proxy of another kind', { url, proxy: 'socks5://canary:canary@x' }],
    ['a proxy that is no address', { url, proxy: 'canary' }],
  ])('refuses %s when connect() is called, and repeats none of it', (_name, options) => {
    expect(() => connect(options as ConnectOptions)).toThrowError(
      expect.objectContaining({ code: 'INVALID_REQUEST', message: expect.not.stringContaining('canary') }),
    );
  });

  test('sends headers, and passes messages and the close both ways', async () => {
    const http = createServer();
    const server = new WebSocketServer({ server: http });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const arrived = new Promise<[string | undefined, string, number]>((resolve) => {
      server.on('connection', (socket, request) => {
        let text = '';
        socket.send('hello');
        socket.on('message', (data) => (text = String(data)));
        socket.on('close', (code) => resolve([request.headers['x-a'] as string | undefined, text, code]));
      });
    });
    const { port } = http.address() as AddressInfo;
    const transport = webSocketDialer({ url: `ws://127.0.0.1:${port}`, headers: { 'x-a': '1' } })();
    const closed = new Promise((resolve) => {
      transport.open({
        message: (text) => {
          transport.send(`${text} back`);
          transport.close(1000, 'done');
        },
        drained() {},
        closed: (code, reason) => resolve([code, reason]),
      });
    });
    expect(await arrived).toEqual(['1', 'hello back', 1000]);
    expect(await closed).toEqual([1000, 'done']);
    server.close();
    http.close();
  });

  test('an address that can not be reached makes room for the next one', async () => {
    const http = createServer();
    const server = new WebSocketServer({ server: http });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const reached = new Promise<void>((resolve) => server.on('connection', () => resolve()));
    const { port } = http.address() as AddressInfo;
    const gateway = connect({ url, urls: [`ws://127.0.0.1:${port}`], random: () => 0 });
    await reached;
    gateway.close();
    server.close();
    http.close();
  });

  test('what asks to wait does not keep the next address waiting, only the next round', async () => {
    const asked: string[] = [];
    const busy = createServer().on('upgrade', (request, socket) => {
      asked.push(request.url ?? '');
      socket.end('HTTP/1.1 503 Busy\r\nretry-after: 600\r\nconnection: close\r\n\r\n');
    });
    await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
    const { port } = busy.address() as AddressInfo;
    const waits: number[] = [];
    const at = `ws://127.0.0.1:${port}`;
    const gateway = connect({ url: `${at}/1`, urls: [`${at}/2`], random: () => 0 });
    gateway.on('state', ({ retryAtMs }) => retryAtMs && waits.push(retryAtMs - Date.now()));
    await vi.waitFor(() => expect(waits).toHaveLength(2));
    gateway.close();
    busy.close();
    expect(asked).toEqual(['/1', '/2']);
    expect(waits.map((ms) => ms > 500_000)).toEqual([false, true]);
  });

  test('knows an answer by its head, however slowly its body comes', async () => {
    const sockets: Duplex[] = [];
    const http = createServer().on('upgrade', (_request, socket) => {
      sockets.push(socket);
      socket.write('HTTP/1.1 403 No\r\ncontent-length: 99\r\n\r\n{');
    });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const { port } = http.address() as AddressInfo;
    const transport = webSocketDialer({ url: `ws://127.0.0.1:${port}` })();
    transport.open({ message() {}, drained() {}, closed() {} });
    await vi.waitFor(() => expect(transport.failure).toMatchObject({ code: 'forbidden', status: 403 }));
    transport.close(1000, 'given up');
    expect(transport.failure?.code).toBe('forbidden');
    for (const socket of sockets) socket.destroy();
    http.close();
  });

  test('given up while it connects, it ends with it', async () => {
    const http = createServer();
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const { port } = http.address() as AddressInfo;
    const asked = new Promise<Duplex>((resolve) => http.on('upgrade', (_request, socket) => resolve(socket)));
    const gateway = connect({ url: `ws://127.0.0.1:${port}` });
    const socket = await asked;
    const gone = new Promise<void>((resolve) =>
      socket
        .on('end', resolve)
        .on('error', () => resolve())
        .resume(),
    );
    gateway.close();
    await gone;
    socket.destroy();
    http.close();
  });
});

/** As much of a browser's WebSocket as a test needs. */
class FakeSocket {
  static last: FakeSocket;
  readyState = 0;
  bufferedAmount = 0;
  binaryType = '';
  sent: string[] = [];
  ended: [number | undefined, string | undefined] | undefined;
  onmessage: (event: { data: unknown }) => void = () => {};
  onclose: (event: { code: number; reason: string }) => void = () => {};

  readonly url: string;

  constructor(url: string) {
    this.url = url;
    FakeSocket.last = this;
  }

  send(text: string): void {
    this.sent.push(text);
  }

  close(code?: number, reason?: string): void {
    this.ended = [code, reason];
  }
}

describe('the WebSocket dialer of browsers', () => {
  test.each([
    ['headers', { headers: { 'x-a': '1' } }],
    ['pin', { pin }],
    ['ca', { ca: 'x' }],
    ['proxy', { proxy: false as const }],
  ])('refuses %s with a clear code, when it is made', (name, options) => {
    expect(() => browserDialer({ url, ...options })).toThrowError(
      expect.objectContaining({ code: 'UNSUPPORTED', message: expect.stringContaining(name) }),
    );
    expect(() => browserDialer({ url })).not.toThrow();
  });

  test('passes text and binary messages on, sends while it is open, and says no more than the platform tells', () => {
    vi.stubGlobal('WebSocket', FakeSocket);
    const transport = browserDialer({ url })();
    const heard: unknown[] = [];
    transport.open({ message: (text) => heard.push(text), drained() {}, closed: (...end) => heard.push(end) });
    const socket = FakeSocket.last;
    transport.send('too early');
    socket.readyState = 1;
    transport.send('now');
    socket.onmessage({ data: 'a' });
    socket.onmessage({ data: new TextEncoder().encode('b').buffer });
    socket.onclose({ code: 1006, reason: '' });
    transport.close(1000, 'bye');
    expect([socket.url, socket.binaryType, socket.sent, socket.ended]).toEqual([
      url,
      'arraybuffer',
      ['now'],
      [1000, 'bye'],
    ]);
    expect(heard).toEqual(['a', 'b', [1006, '']]);
    expect(transport.failure).toMatchObject({ code: 'unknown', nextStep: expect.stringContaining('tab') });
  });
});
