import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DeviceRecord, DeviceStore } from './store.ts';

/**
 * Keeps the record in a file that only its owner may read (0600), in a folder that is made (0700) when it is missing. Written
 * whole or not at all. Only for Node.
 */
export function fileDeviceStore(path: string): DeviceStore {
  return {
    async load() {
      try {
        return JSON.parse(await readFile(path, 'utf8')) as DeviceRecord;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error instanceof SyntaxError ? new Error(`${path} is no JSON`) : error;
      }
    },
    async save(record) {
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
        await rename(written, path);
      } catch (error) {
        await rm(written, { force: true });
        throw error;
      }
    },
  };
}
