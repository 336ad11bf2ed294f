import { GatewayProtocolClient } from '@openclaw/gateway-client/browser';
import type { Side } from './side.ts';

/** The version that test/package.json pins. */
export const publishedVersion = '2026.9.1';

/** A v4 `chat` event, as far as it is read here. */
interface ChatEvent {
  runId: string;
  state: 'status' | 'delta' | 'final' | 'aborted' | 'error';
  deltaText?: string;
  replace?: boolean;
  message?: { content?: { type: string; text?: string }[] };
}

/**
 * The right side: the published v4 client, whose browser entry leaves the socket to its host and does the rest: frames, handshake,
 * sequence watch, reconnect. The host sets the delays of reconnecting; here they are those of
 * the package's documentation (1 s, doubling, 30 s at most).
 */
export class PublishedClient {
  readonly #side: Side;
  readonly #client: GatewayProtocolClient<null>;
  #runId = '';

  constructor(side: Side, { url, token }: { url: string; token: string }) {
    this.#side = side;
    this.#client = new GatewayProtocolClient<null>({
      createSocket(handlers) {
        const socket = new WebSocket(url);
        socket.onopen = () => handlers.open();
        socket.onmessage = ({ data }) => handlers.message(String(data));
        socket.onclose = ({ code, reason }) => handlers.close(code, reason);
        socket.onerror = () => handlers.error(new Error('the socket failed'));
        return {
          isOpen: () => socket.readyState === WebSocket.OPEN,
          send: (text) => socket.send(text),
          close: (code, reason) => socket.close(code, reason),
        };
      },
      createRequestId: () => crypto.randomUUID(),
      buildConnectPlan: () => null,
      buildConnectParams: () => ({
        minProtocol: 4,
        maxProtocol: 4,
        client: { id: 'gateway-client', version: publishedVersion, platform: 'browser', mode: 'backend' },
        role: 'operator',
        scopes: ['operator.read', 'operator.write'],
        caps: [],
        auth: { token },
      }),
      handshake: { mode: 'require-challenge', timeoutMs: 15_000 },
      reconnect: { initialMs: 1_000, multiplier: 2, maxMs: 30_000 },
      onHello: () => side.setLink({ words: 'connected', isUp: true }),
      resolveClose: () => ({ retry: true, notify: true }),
      onClose: () => side.setLink({ words: 'disconnected, trying again', isUp: false }),
      onEvent: ({ event, payload }) => {
        if (event === 'chat') this.#take(payload as ChatEvent);
      },
    });
    this.#client.start();
  }

  /** Shows the answer of this run from now on. */
  watch(runId: string): void {
    this.#runId = runId;
  }

  #take({ runId, state, deltaText = '', replace = false, message }: ChatEvent): void {
    if (runId !== this.#runId || this.#side.isEnded) return;
    const whole = (message?.content ?? []).map(({ text = '' }) => text).join('');
    if (state === 'delta') {
      this.#side.take(deltaText, { isWhole: replace });
    } else if (state === 'final' || state === 'aborted' || state === 'error') {
      this.#side.finalText = whole;
      this.#side.end();
    }
  }
}
