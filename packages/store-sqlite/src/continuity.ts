import {
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { databaseFile } from './database.ts';

const witnessFile = 'witness';

/**
 * The last journal number that someone may have seen, in a file of its own: written after each commit and before it is
 * acknowledged, never waited for. A database that stands below it has lost something (S15).
 */
export class Witness {
  #file: number;
  #bytes = Buffer.alloc(8);

  /** Reads the number; undefined when there is no whole one. */
  static read(directory: string): number | undefined {
    try {
      const bytes = readFileSync(join(directory, witnessFile));
      return bytes.length === 8 ? Number(bytes.readBigUInt64LE()) : undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  constructor(directory: string) {
    const path = join(directory, witnessFile);
    this.#file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    chmodSync(path, 0o600);
  }

  write(number: number): void {
    this.#bytes.writeBigUInt64LE(BigInt(number));
    writeSync(this.#file, this.#bytes, 0, 8, 0);
  }

  sync(): void {
    fsyncSync(this.#file);
  }

  close(): void {
    closeSync(this.#file);
  }
}

const sealFile = 'seal';

/**
 * Notes down when the system last changed the closed database, as nobody can set it: a copy that is put in its place, even
 * together with its witness, has another time (S15). Called last of all at a clean stop.
 */
export function sealDatabase(directory: string): void {
  const path = join(directory, sealFile);
  writeFileSync(path, changeTime(directory), { mode: 0o600 });
  chmodSync(path, 0o600);
}

/** Whether the database is the file that was sealed. To be asked before anything touches it. */
export function isSealed(directory: string): boolean {
  try {
    return readFileSync(join(directory, sealFile), 'utf8') === changeTime(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

function changeTime(directory: string): string {
  const { ctimeNs, ino } = statSync(join(directory, databaseFile), { bigint: true });
  return `${ino} ${ctimeNs}`;
}

/**
 * What tells one boot of the machine from another: Linux' boot id, elsewhere the time of the boot in seconds. Power can
 * only have been lost between two boots.
 */
export function currentBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return `time:${Math.round(Date.now() / 1000 - uptime())}`;
  }
}

/** True when both were taken in the same boot. Times of a boot may differ by what rounding and a slewed clock make of them. */
export function isSameBoot(a: string, b: string): boolean {
  if (!a.startsWith('time:') || !b.startsWith('time:')) return a === b;
  return Math.abs(Number(a.slice(5)) - Number(b.slice(5))) <= 3;
}

/** What was found at open. */
export interface Evidence {
  /** The last commit in the database; 0 when there never was one. */
  lastNumber: number;
  witness: number | undefined;
  /** True when the last user of the store closed it. */
  wasClosed: boolean;
  /** Whether the closed database is the file that was sealed. */
  isSealed: boolean;
  bootId: string;
  /** The boot in which the store was last opened; undefined for a new store. */
  lastBootId: string | undefined;
  /** True when the journal had a hole, or a row that does not fit its checksum. */
  wasCut: boolean;
}

/** True when the evidence proves that nothing was lost that someone may have seen (S15). Pure. */
export function isContinuous({
  lastNumber,
  witness,
  wasClosed,
  isSealed,
  bootId,
  lastBootId,
  wasCut,
}: Evidence): boolean {
  if (wasCut) return false;
  if (lastBootId === undefined) return lastNumber === 0 && (witness ?? 0) === 0;
  if (witness === undefined || lastNumber < witness) return false;
  return wasClosed ? isSealed : isSameBoot(bootId, lastBootId);
}
