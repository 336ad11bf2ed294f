import { EncodedFrame } from '../transport/encoded-frame.ts';

type StateVersion = { presence: number; health: number } | undefined;

/**
 * Encodes events outside streams. An event that goes to many connections is encoded once: connections with streams share
 * one frame, v4 connections share the bytes before `seq` and get their own number spliced in behind them.
 */
export class EventFrames {
  /** How many events were encoded; a test holds it against how many were published. */
  encodedCount = 0;
  #event = '';
  #payloadJson = '';
  #stateVersion: StateVersion;
  #head: Buffer | undefined;
  #shared: EncodedFrame | undefined;

  /** The frame without a number. */
  shared(event: string, payloadJson: string, stateVersion?: StateVersion): EncodedFrame {
    const head = this.#headOf(event, payloadJson, stateVersion);
    this.#shared ??= EncodedFrame.fromBytes(Buffer.concat([head, closingBrace]));
    return this.#shared;
  }

  /** The frame with the connection's own number. */
  numbered(event: string, payloadJson: string, seq: number, stateVersion?: StateVersion): EncodedFrame {
    const head = this.#headOf(event, payloadJson, stateVersion);
    return EncodedFrame.fromBytes(Buffer.concat([head, Buffer.from(`,"seq":${seq}}`, 'latin1')]));
  }

  /** The event up to its closing brace. Whoever sends to many does so in a row, so the last one is all that is kept. */
  #headOf(event: string, payloadJson: string, stateVersion: StateVersion): Buffer {
    if (
      this.#head &&
      event === this.#event &&
      payloadJson === this.#payloadJson &&
      stateVersion?.presence === this.#stateVersion?.presence &&
      stateVersion?.health === this.#stateVersion?.health
    ) {
      return this.#head;
    }
    const version = stateVersion ? `,"stateVersion":${JSON.stringify(stateVersion)}` : '';
    this.#event = event;
    this.#payloadJson = payloadJson;
    this.#stateVersion = stateVersion;
    this.#shared = undefined;
    this.#head = Buffer.from(`{"type":"event","event":${JSON.stringify(event)},"payload":${payloadJson}${version}`);
    this.encodedCount++;
    return this.#head;
  }
}

const closingBrace = Buffer.from('}');
