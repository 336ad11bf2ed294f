/**
 * One message, encoded once: its UTF-8 bytes, and the same bytes behind a WebSocket text-frame header (unmasked, final,
 * no extension), made at most once and shared by every socket, the ring and replay.
 */
export class EncodedFrame {
  readonly bytes: Buffer;
  #framed: Buffer | undefined;
  #text: string | undefined;

  private constructor(bytes: Buffer, framed: Buffer | undefined, text: string | undefined) {
    this.bytes = bytes;
    this.#framed = framed;
    this.#text = text;
  }

  /** Encodes `text`, header and bytes in one allocation. */
  static fromText(text: string): EncodedFrame {
    const length = Buffer.byteLength(text);
    const headerLength = length < 126 ? 2 : length < 65_536 ? 4 : 10;
    const framed = Buffer.allocUnsafe(headerLength + length);
    writeHeader(framed, length);
    framed.write(text, headerLength);
    return new EncodedFrame(framed.subarray(headerLength), framed, undefined);
  }

  /** Wraps bytes that were encoded before, such as a record of the log. */
  static fromBytes(bytes: Uint8Array): EncodedFrame {
    return new EncodedFrame(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), undefined, undefined);
  }

  /** The bytes behind a WebSocket header. */
  get framed(): Buffer {
    if (!this.#framed) {
      const headerLength = this.bytes.length < 126 ? 2 : this.bytes.length < 65_536 ? 4 : 10;
      this.#framed = Buffer.allocUnsafe(headerLength + this.bytes.length);
      writeHeader(this.#framed, this.bytes.length);
      this.bytes.copy(this.#framed, headerLength);
    }
    return this.#framed;
  }

  /** The message as text, for transports that carry strings. */
  get text(): string {
    this.#text ??= this.bytes.toString();
    return this.#text;
  }
}

const finalText = 0x81;

function writeHeader(target: Buffer, length: number): void {
  target[0] = finalText;
  if (length < 126) {
    target[1] = length;
  } else if (length < 65_536) {
    target[1] = 126;
    target.writeUInt16BE(length, 2);
  } else {
    target[1] = 127;
    target.writeUInt32BE(Math.floor(length / 4_294_967_296), 2);
    target.writeUInt32BE(length >>> 0, 6);
  }
}
