import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GatewayError } from '@openclaw/protocol/wire';

/** The files under `media/`, each named by the SHA-256 of its bytes. Which of them are needed, the database knows. */
export class MediaFiles {
  #directory: string;
  /** Files that a commit in progress will name. */
  #expected = new Map<string, number>();

  constructor(stateDirectory: string) {
    this.#directory = join(stateDirectory, 'media');
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    chmodSync(this.#directory, 0o700);
  }

  /** Throws unless `id` is the SHA-256 of `bytes`; also what keeps an id from naming another file. */
  static assertNamed(id: string, bytes: Uint8Array): void {
    if (createHash('sha256').update(bytes).digest('hex') === id) return;
    throw new GatewayError(
      'INTERNAL',
      `The medium ${id} is not named by its SHA-256. Nothing of the batch was applied.`,
    );
  }

  /** Resolves when the files are on the disk. Until the returned function is called they are not removed as unneeded. */
  async write(media: { id: string; bytes: Uint8Array }[]): Promise<() => void> {
    for (const { id, bytes } of media) MediaFiles.assertNamed(id, bytes);
    for (const { id } of media) this.#expected.set(id, (this.#expected.get(id) ?? 0) + 1);
    const release = () => {
      for (const { id } of media) {
        const count = (this.#expected.get(id) ?? 1) - 1;
        if (count === 0) this.#expected.delete(id);
        else this.#expected.set(id, count);
      }
    };
    try {
      for (const { id, bytes } of media) await this.#writeFile(id, bytes);
      await syncDirectory(this.#directory);
    } catch (error) {
      release();
      throw error;
    }
    return release;
  }

  /** A page of a file; undefined when it is gone. */
  async read(id: string, at: number, length: number): Promise<Uint8Array | undefined> {
    try {
      const file = await open(join(this.#directory, id), 'r');
      try {
        const bytes = new Uint8Array(new ArrayBuffer(length));
        const { bytesRead } = await file.read(bytes, 0, length, at);
        return bytes.subarray(0, bytesRead);
      } finally {
        await file.close();
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Removes every file that `isNeeded` disowns and that no commit in progress names. */
  async removeUnneeded(isNeeded: (id: string) => boolean): Promise<void> {
    const isUnneeded = (name: string) => !this.#expected.has(name.slice(0, 64)) && !isNeeded(name);
    for (const name of await readdir(this.#directory)) {
      if (isUnneeded(name)) await rm(join(this.#directory, name), { force: true });
    }
    await syncDirectory(this.#directory);
  }

  async #writeFile(id: string, bytes: Uint8Array): Promise<void> {
    const path = join(this.#directory, id);
    const file = await open(`${path}.new`, 'w', 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.new`, path);
  }
}

/** Makes the names in a directory durable; a no-op where directories can't be synced (Windows). */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
