import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { GatewayError } from '@openclaw/protocol/wire';
import { MediaUpload } from './media-upload.ts';

/** A medium of a commit: with its bytes, or naming a file that is here already. */
export interface NamedMedium {
  id: string;
  bytes?: Uint8Array;
}

/** The files of a commit's media. */
export interface WrittenMedia {
  /** In the order of the media, in bytes. */
  sizes: number[];
  /** The commit is done: files of it that are unneeded may go. */
  release(): void;
  /** The commit failed: they go, where nothing else needs them. Never rejects. */
  discard(): Promise<void>;
}

/** The files under `media/`, each named by the SHA-256 of its bytes. Which of them are needed, the database knows. */
export class MediaFiles {
  #directory: string;
  #isKnown: (id: string) => boolean;
  /** Files that an upload or a commit in progress needs: how often. */
  #expected = new Map<string, number>();
  /** Removals under way, by the hash that the file is named by. */
  #removing = new Map<string, Promise<void>>();

  /** `isKnown` tells whether the database has a medium. */
  constructor(stateDirectory: string, isKnown: (id: string) => boolean) {
    this.#isKnown = isKnown;
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

  /** Begins a file that comes in pieces; `number` is its own for as long as the store is open. */
  openUpload(number: number): Promise<MediaUpload> {
    const place = {
      directory: this.#directory,
      expect: (name: string) => this.#expect(name),
      settled: async (name: string) => this.#removing.get(name),
      removeUnneeded: (id: string) => this.removeUnneeded([id]),
    };
    return MediaUpload.open(place, number);
  }

  /**
   * Resolves when the files are on the disk. Those without bytes must be here; whether they are whole, and wanted, the caller
   * knows. Until `release` or `discard` is called none of them is removed as unneeded. A failure leaves nothing behind.
   */
  async write(media: NamedMedium[]): Promise<WrittenMedia> {
    for (const { id, bytes } of media) {
      if (bytes) MediaFiles.assertNamed(id, bytes);
      else if (!/^[0-9a-f]{64}$/.test(id)) throw unknownMedium(id);
    }
    const releases = media.map(({ id }) => this.#expect(id));
    const release = () => {
      for (const one of releases) one();
    };
    // An erasure that ran meanwhile has left them alone.
    const discard = async () => {
      release();
      await this.removeUnneeded(media.flatMap(({ id }) => [id, `${id}.new`])).catch(() => undefined);
    };
    try {
      const sizes: number[] = [];
      for (const { id, bytes } of media) {
        await this.#removing.get(id);
        if (bytes) await this.#writeFile(id, bytes);
        sizes.push(bytes?.length ?? (await this.#sizeOf(id)));
      }
      await syncDirectory(this.#directory);
      return { sizes, release, discard };
    } catch (error) {
      await discard();
      throw error;
    }
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

  /** Removes the files, of all that are there, that the database does not know and no upload and no commit in progress needs. */
  async removeUnneeded(names?: readonly string[]): Promise<void> {
    let isChanged = names === undefined;
    for (const name of names ?? (await readdir(this.#directory))) {
      const id = name.slice(0, 64);
      if (this.#expected.has(id) || this.#isKnown(name)) continue;
      await this.#remove(name);
      isChanged = true;
    }
    if (isChanged) await syncDirectory(this.#directory);
  }

  #expect(name: string): () => void {
    this.#expected.set(name, (this.#expected.get(name) ?? 0) + 1);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const count = (this.#expected.get(name) ?? 1) - 1;
      if (count === 0) this.#expected.delete(name);
      else this.#expected.set(name, count);
    };
  }

  async #remove(name: string): Promise<void> {
    const id = name.slice(0, 64);
    const removal = rm(join(this.#directory, name), { force: true });
    const settled = removal.then(
      () => undefined,
      () => undefined,
    );
    this.#removing.set(id, settled);
    try {
      await removal;
    } finally {
      if (this.#removing.get(id) === settled) this.#removing.delete(id);
    }
  }

  async #sizeOf(id: string): Promise<number> {
    try {
      return (await stat(join(this.#directory, id))).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw unknownMedium(id);
      throw error;
    }
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

/** The refusal of a commit that names bytes that are not here. */
export function unknownMedium(id: string): GatewayError {
  return new GatewayError(
    'INTERNAL',
    `No bytes are known of the medium ${id.slice(0, 64)}. Nothing of the batch was applied.`,
  );
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
