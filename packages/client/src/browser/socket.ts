import { GatewayError } from '@openclaw/protocol/wire';
import { unknownFailure } from '../dial-codes.ts';
import { checkUrl, type DialedTransport, type Dialer, type DialOptions } from '../dialer.ts';

/**
 * Dials by the WebSocket of the platform: browsers, workers, React Native, Deno. Throws `UNSUPPORTED` for what only Node can
 * do, and `INVALID_REQUEST` for a url that is none.
 */
export function webSocketDialer(options: DialOptions): Dialer {
  for (const name of ['headers', 'proxy', 'ca', 'pin'] as const) {
    if (options[name] !== undefined) throw new GatewayError('UNSUPPORTED', `${name} works in Node only.`);
  }
  const { url } = options;
  checkUrl(url);
  return () => socketTransport(new WebSocket(url));
}

function socketTransport(socket: WebSocket): DialedTransport {
  socket.binaryType = 'arraybuffer';
  return {
    failure: unknownFailure,
    get queuedBytes() {
      return socket.bufferedAmount;
    },
    send(text) {
      if (socket.readyState === 1) socket.send(text);
    },
    open(events) {
      socket.onmessage = ({ data }) =>
        events.message(typeof data === 'string' ? data : new TextDecoder().decode(data as ArrayBuffer));
      socket.onclose = ({ code, reason }) => events.closed(code, reason);
    },
    close: (code, reason) => socket.close(code, reason),
  };
}
