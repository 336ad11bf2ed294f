import { CloseCode } from './close-codes.ts';

/** How a transport tells its owner what happened. Callbacks never overlap and none follows `closed`. */
export interface TransportEvents {
  /** One whole message, in order. */
  message(text: string): void;
  /** The bytes queued for the peer fell to where more may be sent. */
  drained(): void;
  /** The end; exactly once. */
  closed(code: number, reason: string): void;
}

/**
 * A message pipe between two peers: what a WebSocket, a `MessagePort` and an in-memory pair have in common. Messages
 * arrive whole and in order, or the transport closes.
 */
export interface Transport {
  /** Queues one message. A no-op once closed. */
  send(text: string): void;
  /** Bytes accepted by `send` that have not yet been handed on. */
  readonly queuedBytes: number;
  /** Starts delivery; called once, by the owner. Messages that came earlier are delivered first. */
  open(events: TransportEvents): void;
  /** Closes with a code and a reason in words. `closed` is then called on both sides. */
  close(code: number, reason: string): void;
}

/** The part of a `MessagePort` (browser or `node:worker_threads`) that {@link portTransport} uses. */
export interface PortLike {
  postMessage(message: unknown): void;
  close(): void;
  addEventListener(type: 'message' | 'close', listener: (event: object) => void): void;
  /** Node's way to listen, which gives the message itself. */
  on?(type: 'message' | 'close', listener: (message: unknown) => void): unknown;
  start?(): void;
}

/**
 * A transport over a `MessagePort`. The other end must use `portTransport` too. A port that is closed without a word (its
 * worker died) closes with 1006.
 */
export function portTransport(port: PortLike): Transport {
  let events: TransportEvents | undefined;
  let isClosed = false;
  const end = (code: number, reason: string) => {
    if (isClosed) return;
    isClosed = true;
    port.close();
    events?.closed(code, reason);
  };
  return {
    queuedBytes: 0,
    send(text) {
      if (!isClosed) port.postMessage(text);
    },
    open(handlers) {
      events = handlers;
      const receive = (data: unknown) => {
        if (isClosed) return;
        if (typeof data === 'string') handlers.message(data);
        else if (isCloseMessage(data)) end(data.close, data.reason);
      };
      const left = () => end(1006, 'the port was closed');
      // Not by addEventListener where there is a choice: to make its events, Node loads all of its HTTP client in each thread.
      if (port.on) {
        port.on('message', receive);
        port.on('close', left);
        return;
      }
      port.addEventListener('message', (event) => receive((event as { data?: unknown }).data));
      port.addEventListener('close', left);
      port.start?.();
    },
    close(code, reason) {
      if (isClosed) return;
      port.postMessage({ close: code, reason });
      end(code, reason);
    },
  };
}

function isCloseMessage(value: unknown): value is { close: number; reason: string } {
  return typeof value === 'object' && value !== null && typeof (value as { close?: unknown }).close === 'number';
}

/** Hands a function to be run later; the default is a microtask. Tests pass their own to own the order. */
export type Defer = (task: () => void) => void;

/** Two transports that are each other's peer, in one process. Delivery is asynchronous and in order. */
export function memoryTransportPair(defer: Defer = queueMicrotask): [Transport, Transport] {
  const left = new MemoryEnd(defer);
  const right = new MemoryEnd(defer);
  left.peer = right;
  right.peer = left;
  return [left, right];
}

class MemoryEnd implements Transport {
  peer!: MemoryEnd;
  queuedBytes = 0;
  #events: TransportEvents | undefined;
  #inbox: string[] = [];
  #end: { code: number; reason: string } | undefined;
  #defer: Defer;
  #isDelivering = false;
  #isClosed = false;

  constructor(defer: Defer) {
    this.#defer = defer;
  }

  send(text: string): void {
    if (this.#isClosed || this.#end) return;
    this.queuedBytes += text.length;
    this.peer.#inbox.push(text);
    this.peer.#deliver();
  }

  open(events: TransportEvents): void {
    this.#events = events;
    this.#deliver();
  }

  close(code: number = CloseCode.normal, reason = ''): void {
    for (const end of [this, this.peer]) {
      end.#end ??= { code, reason };
      end.#deliver();
    }
  }

  #deliver(): void {
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    this.#defer(() => {
      this.#isDelivering = false;
      if (!this.#events || this.#isClosed) return;
      const batch = this.#inbox;
      this.#inbox = [];
      for (const text of batch) {
        this.peer.queuedBytes -= text.length;
        if (!this.#isClosed) this.#events.message(text);
      }
      if (batch.length > 0) this.peer.#events?.drained();
      if (this.#inbox.length > 0) this.#deliver();
      else if (this.#end && !this.#isClosed) {
        this.#isClosed = true;
        this.#events.closed(this.#end.code, this.#end.reason);
      }
    });
  }
}

// The one name of the runtime that this file uses; the package is compiled without DOM and Node types.
declare function queueMicrotask(task: () => void): void;
