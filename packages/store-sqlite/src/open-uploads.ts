import { GatewayError } from '@openclaw/protocol/wire';
import type { MediaFiles } from './media-files.ts';
import type { MediaUpload } from './media-upload.ts';

/** The uploads that nobody has discarded yet, by the number that they were begun with. */
export class OpenUploads {
  readonly #files: MediaFiles;
  readonly #uploads = new Map<number, MediaUpload>();

  constructor(files: MediaFiles) {
    this.#files = files;
  }

  async open(number: number): Promise<void> {
    this.#uploads.set(number, await this.#files.openUpload(number));
  }

  /** Throws CLOSED for one that is gone. */
  get(number: number): MediaUpload {
    const upload = this.#uploads.get(number);
    if (upload) return upload;
    throw new GatewayError('CLOSED', 'The upload was discarded, or the store was closed; begin anew.');
  }

  /** Whether a finished one has these bytes. */
  has(id: string): boolean {
    return [...this.#uploads.values()].some((upload) => upload.id === id);
  }

  async read(number: number, at: number, maxBytes: number): Promise<Uint8Array> {
    const { id } = this.get(number);
    const bytes = id === undefined ? undefined : await this.#files.read(id, at, maxBytes);
    if (bytes) return bytes;
    throw new GatewayError('INTERNAL', 'An upload is written, then finished, then read.');
  }

  async discard(number: number): Promise<void> {
    const upload = this.#uploads.get(number);
    this.#uploads.delete(number);
    await upload?.discard();
  }

  /** Discards them all. */
  async close(): Promise<void> {
    for (const number of [...this.#uploads.keys()]) await this.discard(number);
  }
}
