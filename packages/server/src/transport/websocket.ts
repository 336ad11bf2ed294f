import type { Duplex } from 'node:stream';
import { type RawData, WebSocket } from 'ws';
import { EncodedFrame } from './encoded-frame.ts';
import { type ServerTransport, type ServerTransportEvents, watermarks } from './server-transport.ts';
import type { Turn } from './turn.ts';

/** A ping without a body behind its WebSocket header, shared by all sockets. */
const pingFrame = Buffer.from([0x89, 0x00]);
/** What a chunk from the socket may hold beyond the message that is being received. */
const chunkSlackBytes = 64 * 1024;

export interface WebSocketTransportOptions {
  /** Limits a message from the peer until `setMaxFrameBytes`. */
  maxFrameBytes: number;
  turn: Turn;
}

/**
 * A WebSocket whose messages are written as pre-framed bytes straight to its socket. The first message of a turn leaves at
 * once, the others of that turn together in one write at its end. `ws` writes its own frames (pong, close) whole and
 * synchronously to the same socket, so both stay in order as long as no extension is in use: the constructor throws if
 * one was negotiated.
 */
export class WebSocketTransport implements ServerTransport {
  readonly isLocal = false;
  readonly #webSocket: WebSocket;
  readonly #socket: Duplex;
  readonly #turn: Turn;
  #maxFrameBytes: number;
  #queue: Buffer[] = [];
  #queueBytes = 0;
  #writtenBytes = 0;
  #takenBytes = 0;
  #inFlightBytes = 0;
  #isInTurn = false;
  #isAboveHigh = false;
  #events: ServerTransportEvents | undefined;
  /** Bytes since the last whole message, counted only while frames are limited below what `ws` itself allows. */
  #unfinishedBytes = 0;
  #countBytes: ((chunk: Buffer) => void) | undefined;

  /** `socket` is the one that was given to `handleUpgrade` for `webSocket`. */
  constructor(webSocket: WebSocket, socket: Duplex, { maxFrameBytes, turn }: WebSocketTransportOptions) {
    if (webSocket.extensions !== '') {
      throw new Error(
        `A WebSocket with the extension "${webSocket.extensions}" can't take pre-framed bytes; turn it off.`,
      );
    }
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.#turn = turn;
    this.#maxFrameBytes = maxFrameBytes;
  }

  get isOpen(): boolean {
    return this.#webSocket.readyState === WebSocket.OPEN;
  }

  get queuedBytes(): number {
    return this.#queueBytes + this.#socket.writableLength;
  }

  hasDrained(): boolean {
    const takenBytes = this.#writtenBytes - this.#socket.writableLength;
    const inFlightBytes = inFlight(this.#socket);
    const hasDrained =
      takenBytes > this.#takenBytes || (takenBytes === this.#takenBytes && inFlightBytes < this.#inFlightBytes);
    this.#takenBytes = Math.max(takenBytes, this.#takenBytes);
    this.#inFlightBytes = inFlightBytes;
    return hasDrained;
  }

  open(events: ServerTransportEvents): void {
    this.#events = events;
    const webSocket = this.#webSocket;
    webSocket.on('message', (data) => this.#received(data));
    webSocket.on('pong', () => events.alive());
    webSocket.on('ping', () => events.alive());
    webSocket.on('close', (code, reason) => events.closed(code, reason.toString()));
    // `close` follows every error and says what there is to say.
    webSocket.on('error', () => undefined);
    this.#socket.on('drain', this.#drained);
    // `ws` has one limit for the life of a socket, which is the one after the handshake. Until then the bytes of an
    // unfinished message are counted here, so that a stranger can't make the gateway hold more.
    this.#countBytes = (chunk) => {
      this.#unfinishedBytes += chunk.length;
      if (this.#unfinishedBytes > this.#maxFrameBytes + chunkSlackBytes) this.#tooBig();
    };
    this.#socket.prependListener('data', this.#countBytes);
  }

  send(frame: EncodedFrame): void {
    this.#write(frame.framed);
  }

  sendText(text: string): number {
    if (!this.isOpen) return 0;
    const frame = EncodedFrame.fromText(text);
    this.#write(frame.framed);
    return frame.bytes.length;
  }

  ping(): void {
    if (!this.isOpen) return;
    this.#joinTurn();
    this.#enqueue(pingFrame);
  }

  pauseReading(isPaused: boolean): void {
    if (isPaused) this.#webSocket.pause();
    else this.#webSocket.resume();
  }

  setMaxFrameBytes(maxFrameBytes: number): void {
    this.#maxFrameBytes = maxFrameBytes;
    this.#stopCounting();
  }

  close(code: number, reason: string): void {
    this.#flushQueue();
    this.#webSocket.close(code, reason);
    // A paused socket would never show the peer's half of the closing handshake.
    this.#webSocket.resume();
  }

  terminate(): void {
    this.#webSocket.terminate();
  }

  /** The end of the turn. Called by {@link Turn}. */
  flush(): void {
    this.#isInTurn = false;
    this.#flushQueue();
  }

  #write(bytes: Buffer): void {
    if (!this.isOpen) return;
    if (this.#isInTurn) {
      this.#enqueue(bytes);
    } else {
      this.#joinTurn();
      this.#writeRaw(bytes);
    }
    if (this.queuedBytes > watermarks.highBytes) this.#isAboveHigh = true;
  }

  #joinTurn(): void {
    if (this.#isInTurn) return;
    this.#isInTurn = true;
    this.#turn.add(this);
  }

  #enqueue(bytes: Buffer): void {
    this.#queue.push(bytes);
    this.#queueBytes += bytes.length;
  }

  #flushQueue(): void {
    const [first] = this.#queue;
    if (!first) return;
    const bytes = this.#queue.length === 1 ? first : Buffer.concat(this.#queue, this.#queueBytes);
    this.#queue = [];
    this.#queueBytes = 0;
    // After a close frame, in either direction, no data frame may follow.
    if (this.isOpen) this.#writeRaw(bytes);
  }

  #writeRaw(bytes: Buffer): void {
    this.#writtenBytes += bytes.length;
    // A callback per write only where it may be the one that crosses the low watermark; `drain` alone was seen to stay out
    // after a large write that the kernel took whole.
    if (this.#socket.writableLength + bytes.length > watermarks.lowBytes) this.#socket.write(bytes, this.#drained);
    else this.#socket.write(bytes);
  }

  #drained = (): void => {
    if (!this.#isAboveHigh || !this.isOpen || this.queuedBytes >= watermarks.lowBytes) return;
    this.#isAboveHigh = false;
    this.#events?.drained();
  };

  #received(data: RawData): void {
    this.#unfinishedBytes = 0;
    if (!this.isOpen) return;
    const bytes = asBuffer(data);
    if (bytes.length > this.#maxFrameBytes) this.#tooBig();
    else this.#events?.message(bytes.toString(), bytes.length);
  }

  #tooBig(): void {
    if (!this.isOpen) return;
    this.#stopCounting();
    this.close(1009, '');
    // Reads on without keeping anything, as `ws` does at its own limit: an unread rest would turn the end into a reset, and
    // the peer would not see the close frame.
    this.#socket.removeAllListeners('data');
    this.#socket.resume();
    this.#socket.end();
  }

  #stopCounting(): void {
    if (this.#countBytes) this.#socket.off('data', this.#countBytes);
    this.#countBytes = undefined;
  }
}

function asBuffer(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}

/**
 * How much of the write in progress the kernel has not taken. `writableLength` falls only when a whole write is done, which
 * for a slow reader can take longer than it may be silent; the handle knows of every byte. Node's own socket timeout looks
 * at the same number. Where there is no such handle, whole writes have to do.
 */
function inFlight(socket: Duplex): number {
  const handle: unknown = '_handle' in socket ? socket._handle : undefined;
  const size =
    typeof handle === 'object' && handle !== null && 'writeQueueSize' in handle ? handle.writeQueueSize : undefined;
  return typeof size === 'number' ? size : 0;
}
