import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storeConformance } from '@openclaw/server/testing';
import { afterEach, describe, test } from 'vitest';
import { sqliteStore } from '../src/index.ts';

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

describe('the SQLite store keeps the promises of a store', () => {
  for (const { name, run } of storeConformance) {
    test(name, () =>
      run(() => {
        const directory = mkdtempSync(join(tmpdir(), 'store-'));
        directories.push(directory);
        return sqliteStore({ directory });
      }),
    );
  }
});
