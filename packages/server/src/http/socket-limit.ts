import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { addressKey } from '../connection/failed-attempts.ts';
import type { ConnectionLimits } from '../connection/limits.ts';
import { isLoopbackAddress } from '../connection/origin.ts';

export interface SocketLimitOptions {
  /** Read at each socket, so that a change counts for the next. */
  limits: Pick<ConnectionLimits, 'maxSockets' | 'maxSocketsPerAddress'>;
  /** Whether an address is a trusted proxy's: many clients share it. */
  isProxy: (address: string) => boolean;
}

/** Counts the TCP sockets of a server, and closes those that are too many before a byte of them is read. */
export class SocketLimit {
  readonly #limits: SocketLimitOptions['limits'];
  readonly #isProxy: (address: string) => boolean;
  readonly #countOf = new Map<string, number>();
  #count = 0;

  constructor({ limits, isProxy }: SocketLimitOptions) {
    this.#limits = limits;
    this.#isProxy = isProxy;
  }

  /** Sockets that are open. */
  get count(): number {
    return this.#count;
  }

  /** Watches over what the server accepts from now on. */
  guard(server: EventEmitter): void {
    server.on('connection', (socket: Socket) => this.#accept(socket));
  }

  #accept(socket: Socket): void {
    const { remoteAddress } = socket;
    const isCounted = remoteAddress !== undefined && !isLoopbackAddress(remoteAddress) && !this.#isProxy(remoteAddress);
    const key = isCounted ? addressKey(remoteAddress) : undefined;
    const ofAddress = key === undefined ? 0 : (this.#countOf.get(key) ?? 0);
    if (this.#count >= this.#limits.maxSockets || ofAddress >= this.#limits.maxSocketsPerAddress) {
      socket.destroy();
      return;
    }
    this.#count++;
    if (key !== undefined) this.#countOf.set(key, ofAddress + 1);
    socket.once('close', () => this.#closed(key));
  }

  #closed(key: string | undefined): void {
    this.#count--;
    if (key === undefined) return;
    const left = (this.#countOf.get(key) ?? 0) - 1;
    if (left > 0) this.#countOf.set(key, left);
    else this.#countOf.delete(key);
  }
}
