import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DeviceRecord, DeviceStore } from './store.ts';

/**
 * Keeps the record in a file that only its owner may read (0600), in a folder that is made (0700) when it is missing. Written
 * whole or not at all. Only for Node.
 */
export function fileDeviceStore(path: string): DeviceStore {
  async function load(): Promise<DeviceRecord | undefined> {
    try {
      return JSON.parse(await readFile(path, 'utf8')) as DeviceRecord;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error instanceof SyntaxError ? new Error(`${path} is no JSON`) : error;
    }
  }

  /** Writes the record beside the file, and lets `place` put it there. */
  async function write(record: DeviceRecord, place: (written: string, path: string) => Promise<void>): Promise<void> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const written = `${path}.${randomUUID()}`;
    try {
      const file = await open(written, 'wx', 0o600);
      try {
        await file.writeFile(JSON.stringify(record));
        await file.sync();
      } finally {
        await file.close();
      }
      await place(written, path);
    } finally {
      await rm(written, { force: true });
    }
  }

  return {
    load,
    save: (record) => write(record, rename),
    async saveFirst(record) {
      try {
        // Unlike a renaming, it fails where there is a file.
        await write(record, link);
        return record;
      } catch {
        const other = await load();
        if (other?.key) return other;
        // Tokens without a key, or a file system without links.
        await write(record, rename);
        return record;
      }
    },
  };
}

function codeOf(error: unknown): unknown {
  return (error as NodeJS.ErrnoException).code;
}
