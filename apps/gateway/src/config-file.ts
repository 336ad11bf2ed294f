import { createHash } from 'node:crypto';
import { readFileSync, realpathSync } from 'node:fs';
import { copyFile, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** The text of a configuration file, and its hash. */
export interface ConfigText {
  text: string;
  /** SHA-256 of the file's bytes, in hex. Of a file that is missing: of no bytes. */
  hash: string;
  exists: boolean;
}

/** The file as it is now. A missing one is empty; throws Node's error for one that can't be read. */
export function readConfigText(path: string): ConfigText {
  try {
    return textOf(readFileSync(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return missing;
    throw error;
  }
}

const missing: ConfigText = { text: '', hash: createHash('sha256').digest('hex'), exists: false };

function textOf(bytes: Buffer): ConfigText {
  return { text: bytes.toString('utf8'), hash: createHash('sha256').update(bytes).digest('hex'), exists: true };
}

/**
 * Replaces the file: whoever reads it at any moment, or after a crash, finds the old or the new text whole. Its mode stays
 * (0600 for a new one), the text before is kept as `<name>.bak`, and of a symbolic link the file behind it is replaced.
 * Rejects with Node's error, and then the old text is there.
 */
export async function writeConfigText(path: string, text: string): Promise<ConfigText> {
  const target = realTarget(path);
  const mode = await stat(target).then(
    (found) => found.mode & 0o777,
    () => undefined,
  );
  const temporary = join(dirname(target), `.${basename(target)}.${process.pid}.new`);
  try {
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(text);
      if (mode !== undefined) await file.chmod(mode);
      await file.sync();
    } finally {
      await file.close();
    }
    if (mode !== undefined) await copyFile(target, `${target}.bak`);
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(target));
  return textOf(await readFile(target));
}

function realTarget(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** Makes a rename outlive a power failure; where directories can't be synced, that is up to the system. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r').catch(() => undefined);
  await directory?.sync().catch(() => undefined);
  await directory?.close();
}

/** Of the bytes of files; those that can't be read count as missing. */
export function fingerprint(files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) {
    try {
      hash.update(readFileSync(file));
    } catch {
      hash.update('missing');
    }
    hash.update('\0');
  }
  return hash.digest('hex');
}
