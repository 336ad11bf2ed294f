import { write, writeSync } from 'node:fs';

/** What a {@link LogOutput} writes to. */
export interface LogOutputOptions {
  /** Default 2, stderr. */
  fd?: number;
  /** Bytes that may wait for a reader that does not read; what comes then is dropped, not waited for. Default 1 MiB. */
  maxWaitingBytes?: number;
}

/** How long to wait before a reader is tried again that takes nothing, in ms. */
const retryMs = 100;
/** A write that takes this long, in ms, has a reader that does not read: the end of the process does not wait for it. */
const stuckMs = 500;

/**
 * Lines on their way to a file descriptor, in order, without ever holding up the event loop. A log that can't be written (its
 * disk is full, its reader is gone) must not take the gateway with it: such lines are lost, and later ones are tried again.
 */
export class LogOutput {
  readonly #fd: number;
  readonly #maxWaitingBytes: number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #isWriting = false;
  #isStuck = false;

  constructor({ fd = 2, maxWaitingBytes = 1_048_576 }: LogOutputOptions = {}) {
    this.#fd = fd;
    this.#maxWaitingBytes = maxWaitingBytes;
  }

  write(text: string): void {
    const bytes = Buffer.from(text);
    if (this.#waitingBytes + bytes.length > this.#maxWaitingBytes) return;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (!this.#isWriting) this.#next();
  }

  /** Writes what waits, as far as it goes without waiting: for the end of the process. */
  flush(): void {
    if (this.#isStuck) return;
    let rest = this.#take();
    try {
      while (rest.length > 0) rest = rest.subarray(writeSync(this.#fd, rest));
    } catch {
      // There is nobody left to tell.
    }
  }

  #next(): void {
    if (this.#waiting.length > 0) this.#put(this.#take());
  }

  #put(bytes: Buffer): void {
    this.#isWriting = true;
    const slow = setTimeout(() => {
      this.#isStuck = true;
    }, stuckMs).unref();
    write(this.#fd, bytes, 0, bytes.length, null, (error, written) => {
      clearTimeout(slow);
      this.#isStuck = error?.code === 'EAGAIN';
      const rest = bytes.subarray(written);
      if (rest.length > 0 && (!error || this.#isStuck)) this.#putBack(rest);
      const goOn = () => {
        this.#isWriting = false;
        this.#next();
      };
      if (this.#isStuck) setTimeout(goOn, retryMs).unref();
      else goOn();
    });
  }

  #take(): Buffer {
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    return bytes;
  }

  #putBack(bytes: Buffer): void {
    this.#waiting.unshift(bytes);
    this.#waitingBytes += bytes.length;
  }
}
