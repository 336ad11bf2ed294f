import type { ServerResponse } from 'node:http';
import type { Clock } from '@openclaw/protocol';

export interface EventSenderOptions {
  clock: Clock;
  /** How long a stream may stay silent before it gets a comment line, in ms. */
  heartbeatMs: number;
  /** How long the other end may take to take one piece before the socket is cut, in ms. */
  stallMs: number;
}

/** Bytes of a piece, written at once: however long an event is, a reader that goes on taking is not cut. */
const pieceBytes = 65_536;

/**
 * Sends server-sent events, one after the other and no faster than they are taken: nothing is queued here, whoever sends
 * waits. `signal` aborts when the other end is gone.
 */
export class EventSender {
  readonly #response: ServerResponse;
  readonly #options: EventSenderOptions;
  readonly #signal: AbortSignal;
  #cancelHeartbeat: () => void = () => {};

  constructor(response: ServerResponse, signal: AbortSignal, options: EventSenderOptions) {
    this.#response = response;
    this.#options = options;
    this.#signal = signal;
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store, no-transform',
      // nginx would gather events before it passes them on.
      'x-accel-buffering': 'no',
    });
    response.flushHeaders();
    this.#beat();
  }

  /** Sends one event; resolves when the next may be sent, or the other end is gone. */
  async send(data: string, event?: string): Promise<void> {
    if (this.#signal.aborted) return;
    const name = event === undefined ? '' : `event: ${event}\n`;
    const bytes = Buffer.from(`${name}data: ${data}\n\n`);
    // A heartbeat must not fall between two pieces.
    this.#cancelHeartbeat();
    for (let at = 0; at < bytes.length && !this.#signal.aborted; at += pieceBytes)
      if (!this.#response.write(bytes.subarray(at, at + pieceBytes))) await this.#drained();
    this.#beat();
  }

  /** Ends the stream as it should end. */
  end(): void {
    this.#cancelHeartbeat();
    if (!this.#signal.aborted) this.#response.end();
  }

  /** Lets go of the timer; whoever made this calls it, however the stream ended. */
  close(): void {
    this.#cancelHeartbeat();
  }

  #beat(): void {
    this.#cancelHeartbeat();
    this.#cancelHeartbeat = this.#options.clock.schedule(() => {
      if (this.#signal.aborted) return;
      if (!this.#response.writableNeedDrain) this.#response.write(': still here\n\n');
      this.#beat();
    }, this.#options.heartbeatMs);
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const cancelStall = this.#options.clock.schedule(() => this.#response.destroy(), this.#options.stallMs);
      const done = () => {
        cancelStall();
        this.#response.off('drain', done);
        this.#signal.removeEventListener('abort', done);
        resolve();
      };
      this.#response.on('drain', done);
      this.#signal.addEventListener('abort', done);
    });
  }
}

/** A signal that aborts when the caller is gone. */
export function leaving(response: ServerResponse): AbortSignal {
  const left = new AbortController();
  if (response.destroyed || response.socket?.destroyed) left.abort();
  else response.once('close', () => left.abort());
  return left.signal;
}
