import { close, fdatasync, openSync } from 'node:fs';
import { promisify } from 'node:util';

const sync = promisify(fdatasync);

/**
 * `fdatasync` of one file by a descriptor of its own, off the event loop. Calls that come while one runs share the next:
 * each resolves when all that was written before the call is on the disk.
 */
export class SharedSync {
  #file: number;
  #sync: (file: number) => Promise<void>;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(path: string, syncFile: (file: number) => Promise<void> = sync) {
    this.#file = openSync(path, 'r+');
    this.#sync = syncFile;
  }

  /** The kept descriptor; for `fstat`. */
  get file(): number {
    return this.#file;
  }

  sync(): Promise<void> {
    if (!this.#running) return this.#start();
    this.#next ??= this.#running.then(
      () => this.#startNext(),
      () => this.#startNext(),
    );
    return this.#next;
  }

  async close(): Promise<void> {
    await this.#next?.catch(() => undefined);
    await this.#running?.catch(() => undefined);
    await promisify(close)(this.#file);
  }

  #startNext(): Promise<void> {
    this.#next = undefined;
    return this.#start();
  }

  #start(): Promise<void> {
    const running = this.#sync(this.#file).finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
