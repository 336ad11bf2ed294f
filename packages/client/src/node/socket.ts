import { GatewayError } from '@openclaw/protocol/wire';
import type { DialFailure } from '../dial-codes.ts';
import { checkUrl, type DialedTransport, type Dialer, type DialOptions, silentClose } from '../dialer.ts';
import { dialFailure } from './dial-failure.ts';
import { authority, type Target, targetOf } from './target.ts';
import type { OpenedSocket } from './web-socket.ts';

/**
 * Dials by the package `ws`, which is loaded with the first attempt. Throws `INVALID_REQUEST` for a url, `pin`, `ca` or
 * `proxy` that is none.
 */
export function webSocketDialer(options: DialOptions): Dialer {
  const target = checked(options);
  return () => new NodeTransport(options, target);
}

function checked({ url, pin, ca, proxy }: DialOptions): Target {
  checkUrl(url);
  const target = targetOf(url);
  const invalid = (text: string) => new GatewayError('INVALID_REQUEST', text);
  if (!target) throw invalid('url is no address; write ws://host:port or wss://host:port.');
  if (pin !== undefined && !/^sha256\/[A-Za-z0-9+/]{43}=$/.test(pin)) {
    throw invalid('pin must be sha256/ and the base64 of the SHA-256 of the certificate, 44 characters.');
  }
  if (pin !== undefined && !target.isSecure) throw invalid('pin needs a wss:// url: ws:// has no certificate.');
  for (const pem of ca === undefined ? [] : [ca].flat()) {
    if (!pem.includes('-----BEGIN CERTIFICATE-----')) throw invalid('ca must be certificates in PEM, not a file name.');
  }
  if (typeof proxy === 'string' && !/^https?:$/.test(URL.canParse(proxy) ? new URL(proxy).protocol : '')) {
    throw invalid('proxy must be http://host:port or https://host:port.');
  }
  return target;
}

/** One attempt, and the socket that comes of it. */
class NodeTransport implements DialedTransport {
  #options: DialOptions;
  #target: Target;
  #aborter = new AbortController();
  #socket: OpenedSocket | undefined;
  #step = 'connecting';
  #isOpened = false;
  #closeCode: number | undefined;
  #failure: DialFailure | undefined;

  constructor(options: DialOptions, target: Target) {
    this.#options = options;
    this.#target = target;
  }

  get failure(): DialFailure {
    const { retryAfterMs, ...failure } = this.#found();
    return { ...failure, ...(retryAfterMs === undefined || this.#options.hasNext ? {} : { retryAfterMs }) };
  }

  #found(): DialFailure {
    const place = authority(this.#target);
    if (this.#failure) return this.#failure;
    if (!this.#isOpened) return dialFailure('timeout', `${place}, while ${this.#step}`);
    if (this.#closeCode === undefined) return dialFailure('not-a-gateway', `${place}, no challenge came`);
    return dialFailure('cut-after-upgrade', `${place}, closed with ${this.#closeCode}`);
  }

  get queuedBytes(): number {
    return this.#socket?.queuedBytes ?? 0;
  }

  send(text: string): void {
    this.#socket?.send(text);
  }

  open(events: Parameters<DialedTransport['open']>[0]): void {
    const closed = (code: number, reason: string, failure?: DialFailure) => {
      if (this.#closeCode !== undefined) return;
      this.#closeCode = code;
      // What ends it is the last that was found out; a reason for an early end is already more exact.
      this.#failure ??= failure;
      events.closed(code, reason || this.#failure?.cause || '');
    };
    const attempt = {
      ...this.#options,
      ...this.#target,
      signal: this.#aborter.signal,
      enter: (step: string) => {
        this.#step = step;
      },
    };
    import('./web-socket.ts')
      .then(({ openWebSocket }) => {
        if (attempt.signal.aborted) return closed(1006, 'given up');
        this.#socket = openWebSocket(attempt, {
          opened: () => {
            this.#isOpened = true;
          },
          message: events.message,
          failed: (failure) => {
            this.#failure = failure;
          },
          closed,
        });
      })
      // A header that can't be sent, for one.
      .catch((error: unknown) => closed(1006, '', dialFailure('unknown', String(error))));
  }

  close(code: number, reason: string): void {
    if (!this.#isOpened) this.#aborter.abort();
    // A silent peer would not answer the closing handshake either.
    if (code === silentClose) this.#socket?.terminate();
    else this.#socket?.close(code, reason);
  }
}
