import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GatewayError } from '@openclaw/protocol/wire';

/** What an upload needs of the directory that it goes to. */
export interface UploadPlace {
  directory: string;
  /** Keeps a file from being removed as unneeded, until the returned function is called. */
  expect(name: string): () => void;
  /** Resolves when no removal of the file is under way. */
  settled(name: string): Promise<void>;
  /** Removes the file unless someone needs it. */
  removeUnneeded(id: string): Promise<void>;
}

/** A file that comes in pieces: under a name of its own until it is whole, then under its hash, like all media. */
export class MediaUpload {
  /** The SHA-256 of its bytes, once it is whole. */
  id: string | undefined;
  readonly #place: UploadPlace;
  readonly #path: string;
  readonly #hash = createHash('sha256');
  #file: FileHandle | undefined;
  #sizeBytes = 0;
  #release: () => void;
  #isDiscarded = false;

  static async open(place: UploadPlace, number: number): Promise<MediaUpload> {
    const name = `upload-${number}.part`;
    const release = place.expect(name);
    try {
      // One that an earlier process left under this name may be on its way out.
      await place.settled(name);
      return new MediaUpload(place, name, release, await open(join(place.directory, name), 'w', 0o600));
    } catch (error) {
      release();
      throw error;
    }
  }

  private constructor(place: UploadPlace, name: string, release: () => void, file: FileHandle) {
    this.#place = place;
    this.#path = join(place.directory, name);
    this.#release = release;
    this.#file = file;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const file = this.#openFile();
    this.#hash.update(bytes);
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await file.write(bytes, at, bytes.length - at, this.#sizeBytes);
      at += bytesWritten;
      this.#sizeBytes += bytesWritten;
    }
  }

  /** Resolves when the bytes are on the disk and under their hash. The name itself is made durable by the commit that needs it. */
  async finish(): Promise<{ id: string; sizeBytes: number }> {
    const file = this.#openFile();
    this.#file = undefined;
    try {
      await file.sync();
    } finally {
      await file.close();
    }
    const id = this.#hash.digest('hex');
    const release = this.#place.expect(id);
    const releasePart = this.#release;
    this.#release = release;
    await this.#place.settled(id);
    await rename(this.#path, join(this.#place.directory, id));
    releasePart();
    this.id = id;
    // Discarded meanwhile: nobody else will look after the file.
    if (this.#isDiscarded) await this.#remove();
    return { id, sizeBytes: this.#sizeBytes };
  }

  async discard(): Promise<void> {
    if (this.#isDiscarded) return;
    this.#isDiscarded = true;
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
    await this.#remove();
  }

  async #remove(): Promise<void> {
    this.#release();
    await rm(this.#path, { force: true });
    if (this.id !== undefined) await this.#place.removeUnneeded(this.id);
  }

  #openFile(): FileHandle {
    if (this.#file) return this.#file;
    throw new GatewayError('CLOSED', 'The upload is finished or was discarded; begin anew.');
  }
}
