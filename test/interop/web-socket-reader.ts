/** What a WebSocket stream carried: a whole text message, or its close frame. */
export type ReadMessage = { type: 'text'; text: string } | { type: 'close'; code: number; reason: string };

/**
 * Reads one direction of a WebSocket connection from its raw bytes, HTTP upgrade included: written for tests, so that what
 * was on the wire is judged without the WebSocket library of either end. Throws on what RFC 6455 forbids.
 */
export class WebSocketReader {
  readonly #isMasked: boolean;
  readonly #found: (message: ReadMessage) => void;
  #bytes: Buffer = Buffer.alloc(0);
  #isUpgraded = false;
  #fragments: Buffer[] = [];

  /** `isMasked`: whether this is the direction from the client. */
  constructor(isMasked: boolean, found: (message: ReadMessage) => void) {
    this.#isMasked = isMasked;
    this.#found = found;
  }

  push(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    if (!this.#isUpgraded) {
      const end = this.#bytes.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.#bytes = this.#bytes.subarray(end + 4);
      this.#isUpgraded = true;
    }
    while (this.#readFrame()) {}
  }

  #readFrame(): boolean {
    const bytes = this.#bytes;
    if (bytes.length < 2) return false;
    const first = bytes.readUInt8(0);
    const second = bytes.readUInt8(1);
    if ((first & 0x70) !== 0) throw new Error('a reserved bit is set, though no extension was negotiated');
    if (second >> 7 !== (this.#isMasked ? 1 : 0)) throw new Error('clients mask their frames, servers never do');
    let length = second & 0x7f;
    let at = 2;
    if (length === 126) {
      if (bytes.length < 4) return false;
      length = bytes.readUInt16BE(2);
      at = 4;
    } else if (length === 127) {
      if (bytes.length < 10) return false;
      length = Number(bytes.readBigUInt64BE(2));
      at = 10;
    }
    const mask = this.#isMasked ? bytes.subarray(at, at + 4) : undefined;
    if (mask) at += 4;
    if (bytes.length < at + length) return false;
    const body = Buffer.from(bytes.subarray(at, at + length));
    if (mask)
      for (let index = 0; index < body.length; index++)
        body[index] = (body[index] as number) ^ (mask[index % 4] as number);
    this.#bytes = bytes.subarray(at + length);
    this.#take(first & 0x0f, first >> 7 === 1, body);
    return true;
  }

  #take(opcode: number, isFinal: boolean, body: Buffer): void {
    if (opcode === 8) {
      const code = body.length >= 2 ? body.readUInt16BE(0) : 1005;
      this.#found({ type: 'close', code, reason: body.subarray(2).toString() });
    } else if (opcode === 0 || opcode === 1) {
      this.#fragments.push(body);
      if (!isFinal) return;
      const whole = Buffer.concat(this.#fragments);
      this.#fragments = [];
      this.#found({ type: 'text', text: new TextDecoder('utf-8', { fatal: true }).decode(whole) });
    } else if (opcode !== 9 && opcode !== 10) {
      throw new Error(`the opcode ${opcode} was not expected`);
    }
  }
}
