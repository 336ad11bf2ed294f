import { isGatewayError } from '@openclaw/protocol/wire';
import type { StoreUpload } from '@openclaw/server';
import type { WorkerCall, WorkerCalls } from './worker-messages.ts';

/** Asks the worker; see {@link WorkerCalls}. */
export type CallWorker = <C extends WorkerCall>(
  call: C,
  args: Parameters<WorkerCalls[C]>,
  transfer?: ArrayBuffer[],
) => Promise<Awaited<ReturnType<WorkerCalls[C]>>>;

const pieceBytes = 64 * 1024;

/** An upload whose bytes go to the worker in one buffer that wanders to and fro: nothing is left for the collector. */
export class SqliteUpload implements StoreUpload {
  readonly #number: number;
  readonly #call: CallWorker;
  #piece: Uint8Array<ArrayBuffer> | undefined;

  constructor(number: number, call: CallWorker) {
    this.#number = number;
    this.#call = call;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      const part = bytes.subarray(at, at + pieceBytes);
      const piece = this.#piece ?? new Uint8Array(new ArrayBuffer(pieceBytes));
      this.#piece = undefined;
      piece.set(part);
      const answer = await this.#call('writeUpload', [this.#number, piece, part.length], [piece.buffer]);
      this.#piece = answer.bytes;
    }
  }

  finish(): Promise<{ id: string; sizeBytes: number }> {
    this.#piece = undefined;
    return this.#call('finishUpload', [this.#number]);
  }

  async read(at: number, maxBytes: number): Promise<Uint8Array> {
    return (await this.#call('readUpload', [this.#number, at, maxBytes])).bytes;
  }

  async discard(): Promise<void> {
    this.#piece = undefined;
    try {
      await this.#call('discardUpload', [this.#number]);
    } catch (error) {
      // A closed store has let go of it.
      if (!isGatewayError(error) || error.code !== 'CLOSED') throw error;
    }
  }
}
