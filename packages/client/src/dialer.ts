import { GatewayError, type Transport } from '@openclaw/protocol/wire';
import IsomorphicSocket from 'isomorphic-ws';

/** Opens a new transport to the gateway; called for every attempt. Throwing counts as a failed attempt. */
export type Dialer = () => Transport;

/** The part of a WebSocket that a transport needs; browsers and Node's `ws` both have it. */
export interface SocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  readonly readyState: number;
  send(text: string): void;
  close(code?: number, reason?: string): void;
  /** Only in Node: drops the socket without a closing handshake. */
  terminate?(): void;
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { code: number; reason: string }) => void): void;
  addEventListener(type: 'error', listener: (event: { message?: string }) => void): void;
}

/** A WebSocket constructor: the browser's, or Node's with its third argument. */
export type SocketConstructor = new (url: string, protocols?: string[], options?: object) => SocketLike;

const openState = 1;
/** v4's code for a peer that fell silent. */
export const silentClose = 4000;

/**
 * Dials `url` by WebSocket: the browser's own, or `ws` in Node. Throws `UNSUPPORTED` when `headers` are given where the
 * runtime has no way to send them, and `INVALID_REQUEST` for a URL that is none.
 */
export function webSocketDialer(
  url: string,
  headers?: Readonly<Record<string, string>>,
  Socket: SocketConstructor = IsomorphicSocket as unknown as SocketConstructor,
): Dialer {
  const isBrowserSocket = (Socket as unknown) === (globalThis as { WebSocket?: unknown }).WebSocket;
  if (headers && isBrowserSocket) {
    throw new GatewayError('UNSUPPORTED', 'A browser cannot send headers; pass `token` instead.');
  }
  if (!/^wss?:\/\//i.test(url)) {
    throw new GatewayError('INVALID_REQUEST', `url must begin with ws:// or wss://: ${url.slice(0, 99)}`);
  }
  return () =>
    socketTransport(isBrowserSocket ? new Socket(url) : new Socket(url, [], { headers, perMessageDeflate: false }));
}

/** A transport over an open or opening WebSocket. */
export function socketTransport(socket: SocketLike): Transport {
  let problem = '';
  socket.binaryType = 'arraybuffer';
  return {
    get queuedBytes() {
      return socket.bufferedAmount;
    },
    send(text) {
      if (socket.readyState === openState) socket.send(text);
    },
    open(events) {
      socket.addEventListener('message', ({ data }) =>
        events.message(typeof data === 'string' ? data : new TextDecoder().decode(data as ArrayBuffer)),
      );
      socket.addEventListener('error', ({ message }) => {
        problem = message ?? '';
      });
      socket.addEventListener('close', ({ code, reason }) => events.closed(code, reason || problem));
    },
    close(code, reason) {
      // A silent peer would not answer the closing handshake either.
      if (code === silentClose && socket.terminate) socket.terminate();
      else socket.close(code, reason);
    },
  };
}
