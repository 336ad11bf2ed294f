import { HttpProblem } from '../route.ts';

/** The bounds of uploads. All sizes in bytes, all times in ms. */
export interface UploadsOptions {
  /** One file. Default 100 MiB. */
  maxBytes?: number;
  /** One picture. Default: as `maxBytes`. */
  maxImageBytes?: number;
  /** All files that no message has used yet. Default 1 GiB. */
  totalBytes?: number;
  /** Those of one principal. Default 512 MiB. */
  principalBytes?: number;
  /** How many of them there may be. Default 1,000. */
  maxCount?: number;
  /** Those of one principal. Default 200. */
  principalCount?: number;
  /** How long an upload waits for a message to use it, of the gateway's uptime. Default 1 h. */
  lifetimeMs?: number;
  /** What may be uploaded, such as `image/*` or `application/pdf`, judged after a look at the first bytes. Default anything. */
  types?: readonly string[];
  /** Uploads that may be under way at a time; the last place is nobody's who has another. Default 8. */
  maxConcurrent?: number;
}

const defaults = {
  maxBytes: 100 * 1_048_576,
  totalBytes: 1_024 * 1_048_576,
  principalBytes: 512 * 1_048_576,
  maxCount: 1_000,
  principalCount: 200,
  lifetimeMs: 3_600_000,
  maxConcurrent: 8,
};

/** Counts what uploads take up and how many are under way, by principal and in all, and says when there is no room. */
export class UploadRoom {
  readonly #options: () => UploadsOptions;
  /** Bytes and number of files by principal. */
  readonly #held = new Map<string, { bytes: number; count: number }>();
  readonly #incoming = new Map<string, number>();
  #bytes = 0;
  #count = 0;
  #incomingCount = 0;

  constructor(options: () => UploadsOptions) {
    this.#options = options;
  }

  /** The bounds in use now. */
  get limits(): typeof defaults & UploadsOptions {
    const given = Object.entries(this.#options()).filter(([, value]) => value !== undefined);
    return { ...defaults, ...(Object.fromEntries(given) as UploadsOptions) };
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Throws 503 when as many uploads are under way as may be, of the principal or of all. */
  assertPlace(principal: string): void {
    const { maxConcurrent } = this.limits;
    const own = this.#incoming.get(principal) ?? 0;
    if (this.#incomingCount < maxConcurrent && (own === 0 || own < maxConcurrent - 1)) return;
    const told = `${this.#incomingCount} uploads are under way, ${own} of them yours; send it again in a moment.`;
    throw new HttpProblem(503, 'unavailable', told, { 'retry-after': '2' });
  }

  /** Notes that an upload of the principal begins (1) or ends (-1). */
  noteIncoming(principal: string, change: 1 | -1): void {
    this.#incomingCount += change;
    const count = (this.#incoming.get(principal) ?? 0) + change;
    if (count === 0) this.#incoming.delete(principal);
    else this.#incoming.set(principal, count);
  }

  /** Throws 429 when there is no room for one more file of the principal. */
  assertCount(principal: string): void {
    const { maxCount, principalCount } = this.limits;
    if (this.#count < maxCount && (this.#held.get(principal)?.count ?? 0) < principalCount) return;
    const told = 'Too many uploads wait for a message to use them; use them, or wait until they expire.';
    throw new HttpProblem(429, 'too_many_uploads', told, { 'retry-after': '60' });
  }

  /** Throws 507 when there is no room for so many more bytes of the principal. */
  assertBytes(principal: string, bytes: number): void {
    const { totalBytes, principalBytes } = this.limits;
    const own = this.#held.get(principal)?.bytes ?? 0;
    if (this.#bytes + bytes <= totalBytes && own + bytes <= principalBytes) return;
    const told = 'There is no room for more uploads; use those that wait in a message, or let them expire.';
    throw new HttpProblem(507, 'insufficient_storage', told, { 'retry-after': '60' });
  }

  /** Adds to what the principal takes up; negative numbers give back. */
  hold(principal: string, bytes: number, count: number): void {
    this.#bytes += bytes;
    this.#count += count;
    const held = this.#held.get(principal) ?? { bytes: 0, count: 0 };
    held.bytes += bytes;
    held.count += count;
    if (held.count === 0) this.#held.delete(principal);
    else this.#held.set(principal, held);
  }
}
