import { type Clock, type ContentBlock, GatewayError } from '@openclaw/protocol';
import type { Committer } from '../../streams/committer.ts';
import type { EventStore, StoreUpload } from '../../streams/event-store.ts';
import { HttpProblem } from '../route.ts';
import { UploadRoom, type UploadsOptions } from './upload-room.ts';

type MediaReference = Extract<ContentBlock, { type: 'media' }>['media'];

/** What a file is called and what it is. */
export interface MediaLabel {
  mimeType: string;
  fileName?: string;
}

/** Bytes that somebody may read, in pages. */
export interface ReadableMedium extends MediaLabel {
  sizeBytes: number;
  /** Undefined when they are gone by now. */
  read(at: number, maxBytes: number): Promise<Uint8Array | undefined>;
}

/** A file on its way in. */
export interface IncomingUpload {
  /** Throws 413 or 507 once it is more than is allowed; it has to be given up then. */
  write(bytes: Uint8Array): Promise<void>;
  finish(label: MediaLabel): Promise<MediaReference & { expiresAtMs: number }>;
  /** Gives it up; without effect once it is finished. */
  discard(): Promise<void>;
}

/** A file that is whole and that no message has used yet. */
interface WaitingUpload extends MediaLabel {
  id: string;
  principal: string;
  sizeBytes: number;
  file: StoreUpload;
  /** Commits under way that use it. */
  useCount: number;
  isExpired: boolean;
  cancelExpiry: () => void;
}

/**
 * The files that came by HTTP and wait for a message to use them. Each belongs to the principal who sent it: nobody else can
 * use or read it, or tell that it is there. What no message uses within its lifetime is deleted; a stop deletes all.
 */
export class Uploads {
  readonly #store: EventStore;
  readonly #committer: Committer;
  readonly #clock: Clock;
  readonly #room: UploadRoom;
  readonly #waiting = new Map<string, WaitingUpload>();
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(parts: { store: EventStore; committer: Committer; clock: Clock; options: () => UploadsOptions }) {
    this.#store = parts.store;
    this.#committer = parts.committer;
    this.#clock = parts.clock;
    this.#room = new UploadRoom(parts.options);
  }

  /** Bytes of files that no message has used, those under way included. */
  get waitingBytes(): number {
    return this.#room.bytes;
  }

  /** How long an upload waits for its message, in ms. */
  get lifetimeMs(): number {
    // Beyond that a timer goes off at once.
    return Math.min(this.#room.limits.lifetimeMs, 2 ** 31 - 1);
  }

  /** Throws 415 for a type that the options do not allow. */
  assertAllowed(mimeType: string): void {
    const { types } = this.#room.limits;
    const essence = mimeType.split(';', 1)[0]?.trim() ?? '';
    const isAllowed = types?.some((type) =>
      type.endsWith('/*') ? essence.startsWith(type.slice(0, -1)) : type === essence || type === '*/*',
    );
    if (isAllowed ?? true) return;
    const told = `Files of the type ${essence} are not taken here; allowed: ${types?.join(', ')}.`;
    throw new HttpProblem(415, 'unsupported_media_type', told);
  }

  /** The bytes that a file of this type may have. */
  maxBytesOf(mimeType: string): number {
    const { maxBytes, maxImageBytes = maxBytes } = this.#room.limits;
    return mimeType.startsWith('image/') ? Math.min(maxImageBytes, maxBytes) : maxBytes;
  }

  /** Begins a file of `sizeBytes`, where that is known. Throws 413, 429, 503 or 507 when there is no room for it. */
  async begin(
    principal: string,
    { maxBytes, sizeBytes = 0 }: { maxBytes: number; sizeBytes?: number },
  ): Promise<IncomingUpload> {
    if (sizeBytes > maxBytes) throw tooLarge(maxBytes);
    this.#room.assertPlace(principal);
    this.#room.assertCount(principal);
    // Reserved before anything is waited for, so that what comes at the same time finds it taken.
    this.#room.assertBytes(principal, sizeBytes);
    this.#room.noteIncoming(principal, 1);
    let reserved = sizeBytes;
    this.#room.hold(principal, reserved, 1);
    let isOpen = true;
    const end = (keptBytes?: number) => {
      isOpen = false;
      this.#room.noteIncoming(principal, -1);
      this.#room.hold(principal, (keptBytes ?? 0) - reserved, keptBytes === undefined ? -1 : 0);
    };
    let file: StoreUpload;
    try {
      file = await this.#store.openUpload();
    } catch (error) {
      end();
      throw error;
    }
    let written = 0;
    return {
      write: async (bytes) => {
        written += bytes.length;
        if (written > maxBytes) throw tooLarge(maxBytes);
        if (written > reserved) {
          this.#room.assertBytes(principal, written - reserved);
          this.#room.hold(principal, written - reserved, 0);
          reserved = written;
        }
        await file.write(bytes);
      },
      finish: async (label) => {
        const { id, sizeBytes: size } = await file.finish();
        end(size);
        return this.#keep(principal, { ...label, id, sizeBytes: size }, file);
      },
      discard: async () => {
        if (!isOpen) return;
        end();
        await file.discard();
      },
    };
  }

  #keep(
    principal: string,
    label: MediaLabel & { id: string; sizeBytes: number },
    file: StoreUpload,
  ): MediaReference & { expiresAtMs: number } {
    const key = nameOf(principal, label.id);
    const { lifetimeMs } = this;
    const upload: WaitingUpload = { ...label, principal, file, useCount: 0, isExpired: false, cancelExpiry: () => {} };
    // The same bytes once more: the newer one lives longer.
    const before = this.#waiting.get(key);
    this.#waiting.set(key, upload);
    if (before) this.#expire(before);
    upload.cancelExpiry = this.#clock.schedule(() => this.#expire(upload), lifetimeMs);
    return { ...label, expiresAtMs: Math.round(this.#clock.now() + lifetimeMs) };
  }

  /** Whether `principal` has uploaded these bytes and may still use them. */
  has(principal: string, id: string): boolean {
    const upload = this.#waiting.get(nameOf(principal, id));
    return upload !== undefined && !upload.isExpired;
  }

  /** Bytes that `principal` may read: its own upload, or a medium that some message refers to. */
  async find(principal: string, id: string): Promise<ReadableMedium | undefined> {
    const upload = this.#waiting.get(nameOf(principal, id));
    if (upload) {
      const { mimeType, fileName, sizeBytes, file } = upload;
      const label = { mimeType, sizeBytes, ...(fileName === undefined ? {} : { fileName }) };
      // Used meanwhile, it is the message's.
      const read = (at: number, maxBytes: number) =>
        file.read(at, maxBytes).catch(async () => (await this.#store.readMedia(id, at, maxBytes))?.bytes);
      return { ...label, read };
    }
    const known = await this.#store.readMedia(id, 0, 0);
    if (!known) return undefined;
    const { bytes: _bytes, ...label } = known;
    return { ...label, read: async (at, maxBytes) => (await this.#store.readMedia(id, at, maxBytes))?.bytes };
  }

  /**
   * Looks media up for a message of a session without letting a later message of it overtake: undefined at once when there is
   * nothing to wait for.
   */
  inTurn<T>(sessionKey: string, lookUp?: () => Promise<T>): Promise<T | undefined> | undefined {
    const before = this.#turns.get(sessionKey);
    if (!lookUp) return before?.then(() => undefined);
    const turn = before ? before.then(lookUp) : lookUp();
    const settled = turn
      .catch(() => undefined)
      .then(() => {
        if (this.#turns.get(sessionKey) === settled) this.#turns.delete(sessionKey);
      });
    this.#turns.set(sessionKey, settled);
    return turn;
  }

  /**
   * Binds bytes to the stream of a message, with this tick's commit, and returns the reference that the message carries. An
   * upload is the message's from that commit on. `known` is what {@link Uploads.find} told of bytes that are no upload.
   */
  bind(
    principal: string,
    stream: string,
    { id, fileName, known }: { id: string; fileName?: string | undefined; known?: ReadableMedium | undefined },
  ): MediaReference {
    const upload = this.#waiting.get(nameOf(principal, id));
    const label = upload ?? known;
    if (!label) throw new GatewayError('INTERNAL', `No bytes are known of the medium ${id}.`);
    const name = fileName ?? label.fileName;
    const named = name === undefined ? {} : { fileName: name };
    const batch = this.#committer.change(() => upload && this.#settle(upload, false));
    batch.media.push({ id, stream, mimeType: label.mimeType, ...named });
    if (upload) {
      upload.useCount++;
      this.#committer.onApplied(() => this.#settle(upload, true));
    }
    return { id, mimeType: label.mimeType, sizeBytes: label.sizeBytes, ...named };
  }

  /** Lets go of everything that no message has used. */
  async close(): Promise<void> {
    const uploads = [...this.#waiting.values()];
    this.#waiting.clear();
    await Promise.all(
      uploads.map((upload) => {
        upload.cancelExpiry();
        return upload.file.discard();
      }),
    );
  }

  #settle(upload: WaitingUpload, isUsed: boolean): void {
    upload.useCount--;
    if (isUsed || upload.isExpired) this.#expire(upload);
  }

  /** Its time is over, or it was used; a commit that is under way may still need the file. */
  #expire(upload: WaitingUpload): void {
    upload.cancelExpiry();
    if (!upload.isExpired) {
      upload.isExpired = true;
      this.#room.hold(upload.principal, -upload.sizeBytes, -1);
    }
    if (upload.useCount > 0) return;
    const key = nameOf(upload.principal, upload.id);
    if (this.#waiting.get(key) === upload) this.#waiting.delete(key);
    // What can't be deleted now, the store deletes at its next start.
    upload.file.discard().catch(() => undefined);
  }
}

function nameOf(principal: string, id: string): string {
  return `${id} ${principal}`;
}

function tooLarge(maxBytes: number): HttpProblem {
  return new HttpProblem(
    413,
    'payload_too_large',
    `A file of this type may have ${maxBytes} bytes; send a smaller one.`,
  );
}
