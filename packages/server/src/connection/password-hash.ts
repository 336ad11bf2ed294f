import { createHmac, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { GatewayError } from '@openclaw/protocol';

/** A password as it is kept: the parameters of scrypt, its salt and what came out. */
interface PasswordHash {
  cost: number;
  blockSize: number;
  parallelization: number;
  salt: Buffer;
  hash: Buffer;
}

/** Computes scrypt off the event loop. */
export type Derive = (password: string, salt: Buffer, keyBytes: number, options: ScryptOptions) => Promise<Buffer>;

export interface PasswordVerifierOptions {
  /** Default: Node's scrypt, in its thread pool. */
  derive?: Derive;
  /** Computations at a time: each takes 32 MiB and about 140 ms of a core. Default 2. */
  maxConcurrent?: number;
  /** Computations that may wait for their turn; more are refused with `UNAVAILABLE`. Default 32. */
  maxWaiting?: number;
}

const pattern = /^scrypt\$N=(\d{1,7}),r=(\d{1,2}),p=(\d{1,2})\$([\w-]{8,256})\$([\w-]{22,256})$/;
const defaults = { cost: 32_768, blockSize: 8, parallelization: 1 };
/** Whoever sets the text decides the cost; a slip of the pen must not take the machine down. */
const maxMemoryBytes = 256 * 1024 * 1024;

/**
 * The text to keep in place of a password: `scrypt$N=32768,r=8,p=1$<salt>$<hash>`, both base64url. `auth.password` takes it.
 * About 140 ms of another thread.
 */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await deriveByNode(password, salt, 32, scryptOptions(defaults));
  const { cost, blockSize, parallelization } = defaults;
  return `scrypt$N=${cost},r=${blockSize},p=${parallelization}$${salt.toString('base64url')}$${hash.toString('base64url')}`;
}

/** Whether a configured password is a hash and not the password itself. */
export function isPasswordHash(configured: string): boolean {
  return configured.startsWith('scrypt$');
}

/** The parts of a hash; throws `INVALID_REQUEST` for text that only begins like one. */
export function parsePasswordHash(configured: string): PasswordHash {
  const [, cost, blockSize, parallelization, salt, hash] = pattern.exec(configured) ?? [];
  const parsed = {
    cost: Number(cost),
    blockSize: Number(blockSize),
    parallelization: Number(parallelization),
    salt: Buffer.from(salt ?? '', 'base64url'),
    hash: Buffer.from(hash ?? '', 'base64url'),
  };
  const isPowerOfTwo = parsed.cost >= 2 && (parsed.cost & (parsed.cost - 1)) === 0;
  const isBounded = memoryOf(parsed) <= maxMemoryBytes && parsed.blockSize >= 1 && parsed.parallelization >= 1;
  if (salt === undefined || !isPowerOfTwo || !isBounded || parsed.parallelization > 16) {
    throw new GatewayError(
      'INVALID_REQUEST',
      'The password begins with "scrypt$" but is no hash that hashPassword makes: scrypt$N=32768,r=8,p=1$<salt>$<hash>.',
    );
  }
  return parsed;
}

/**
 * Compares passwords with kept hashes, a few at a time. What was right once is remembered as a mark under a key of this
 * process, so that a crowd that comes back costs nothing; the same text asked for twice at a time is computed once.
 */
export class PasswordVerifier {
  readonly #derive: Derive;
  readonly #maxConcurrent: number;
  readonly #maxWaiting: number;
  readonly #key = randomBytes(32);
  /** The mark of the right password, by hash. */
  readonly #known = new Map<string, string>();
  readonly #underway = new Map<string, Promise<boolean>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor({ derive = deriveByNode, maxConcurrent = 2, maxWaiting = 32 }: PasswordVerifierOptions = {}) {
    this.#derive = derive;
    this.#maxConcurrent = maxConcurrent;
    this.#maxWaiting = maxWaiting;
  }

  /**
   * Whether `given` is the password that `configured` is the hash of: at once when that is known. Rejects with `UNAVAILABLE`
   * (retryable) when too many wait.
   */
  verify(configured: string, given: string): boolean | Promise<boolean> {
    const mark = this.#markOf(configured, given);
    if (this.#known.get(configured) === mark) return true;
    let result = this.#underway.get(mark);
    if (!result) {
      result = this.#compute(configured, given, mark).finally(() => this.#underway.delete(mark));
      this.#underway.set(mark, result);
    }
    return result;
  }

  /** Forgets what was right for hashes that are not in use any more. */
  retain(configured: ReadonlySet<string>): void {
    for (const hash of this.#known.keys()) if (!configured.has(hash)) this.#known.delete(hash);
  }

  async #compute(configured: string, given: string, mark: string): Promise<boolean> {
    await this.#turn();
    try {
      const kept = parsePasswordHash(configured);
      const hash = await this.#derive(given, kept.salt, kept.hash.length, scryptOptions(kept));
      const isRight = timingSafeEqual(hash, kept.hash);
      if (isRight) this.#known.set(configured, mark);
      return isRight;
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  /** Resolves when it is this computation's turn, and counts it as running. */
  async #turn(): Promise<void> {
    if (this.#running >= this.#maxConcurrent) {
      if (this.#waiting.length >= this.#maxWaiting) {
        throw new GatewayError('UNAVAILABLE', 'Too many passwords are being checked; try again.', {
          retryable: true,
          retryAfterMs: 1_000,
        });
      }
      await new Promise<void>((resolve) =>
        this.#waiting.push(() => {
          this.#running++;
          resolve();
        }),
      );
      return;
    }
    this.#running++;
  }

  #markOf(configured: string, given: string): string {
    return createHmac('sha256', this.#key).update(`${configured}\0${given}`).digest('base64url');
  }
}

function scryptOptions({ cost, blockSize, parallelization }: Omit<PasswordHash, 'salt' | 'hash'>): ScryptOptions {
  const memory = memoryOf({ cost, blockSize });
  return { N: cost, r: blockSize, p: parallelization, maxmem: memory + 4 * 1024 * 1024 };
}

function memoryOf({ cost, blockSize }: { cost: number; blockSize: number }): number {
  return 128 * cost * blockSize;
}

function deriveByNode(password: string, salt: Buffer, keyBytes: number, options: ScryptOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFC'), salt, keyBytes, options, (error, hash) =>
      error ? reject(error) : resolve(hash),
    );
  });
}
