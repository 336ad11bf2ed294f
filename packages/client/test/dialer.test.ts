import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from '@openclaw/client';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { WebSocketServer } from 'ws';
import { type SocketConstructor, webSocketDialer } from '../src/dialer.ts';

const url = 'ws://127.0.0.1:1';

afterEach(() => vi.unstubAllGlobals());

describe('the WebSocket dialer', () => {
  test('refuses headers in a browser with a clear code, when connect() is called', () => {
    const Socket = class {} as unknown as SocketConstructor;
    vi.stubGlobal('WebSocket', Socket);
    expect(() => webSocketDialer(url, { 'x-a': '1' }, Socket)).toThrowError(
      expect.objectContaining({ code: 'UNSUPPORTED' }),
    );
    expect(() => webSocketDialer(url, undefined, Socket)).not.toThrow();
  });

  test('refuses what is no WebSocket url', () => {
    expect(() => connect({ url: 'http://x' })).toThrowError(expect.objectContaining({ code: 'INVALID_REQUEST' }));
    expect(() => connect({})).toThrowError(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  });

  test('sends headers in Node, and passes messages and the close both ways', async () => {
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
    const transport = webSocketDialer(`ws://127.0.0.1:${port}`, { 'x-a': '1' })();
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

  test('tells why a connection could not be made', async () => {
    const transport = webSocketDialer(url)();
    const [code, reason] = await new Promise<[number, string]>((resolve) => {
      transport.open({ message() {}, drained() {}, closed: (...end) => resolve(end) });
    });
    expect(code).toBe(1006);
    expect(reason).toContain('ECONNREFUSED');
  });
});
