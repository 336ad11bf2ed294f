import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@openclaw/protocol/wire';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ConfigWatch } from '../src/config-watch.ts';

let directory: string;
let watch: ConfigWatch;
let changes: number;
let wake: () => void;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'config-watch-'));
  changes = 0;
  watch = new ConfigWatch({
    clock: systemClock(),
    quietMs: 20,
    changed: () => {
      changes++;
      wake();
    },
    failed: (path, error) => {
      throw new Error(`${path}: ${String(error)}`);
    },
  });
});
afterEach(() => {
  watch.close();
  rmSync(directory, { recursive: true, force: true });
});

const at = (name: string) => join(directory, name);
/** Does something, and resolves at the change that is told for it. */
const told = (act: () => void) =>
  new Promise<void>((resolve) => {
    wake = resolve;
    act();
  });

describe('the watch over a configuration', () => {
  test('sees a file that comes, is written, is replaced, and goes', async () => {
    watch.watch([at('c.json5')]);
    await told(() => writeFileSync(at('c.json5'), 'one'));
    await told(() => writeFileSync(at('c.json5'), 'two'));
    await told(() => {
      writeFileSync(at('new'), 'three');
      renameSync(at('new'), at('c.json5'));
    });
    await told(() => rmSync(at('c.json5')));
    expect(changes).toBe(4);
  });

  test('tells once of several writes in a row, and nothing of other files', async () => {
    watch.watch([at('c.json5')]);
    await told(() => {
      for (let count = 0; count < 50; count++) {
        writeFileSync(at('gateway.sqlite-wal'), String(count));
        writeFileSync(at('c.json5'), String(count));
      }
    });
    expect(changes).toBe(1);
    for (let count = 0; count < 50; count++) writeFileSync(at('gateway.sqlite-wal'), String(count));
    await told(() => writeFileSync(at('c.json5'), 'last'));
    expect(changes).toBe(2);
  });

  test('sees a link that is swapped, and a file behind a link in another directory', async () => {
    for (const name of ['..one', '..two', 'elsewhere']) mkdirSync(at(name));
    writeFileSync(at('..one/c.json5'), 'one');
    writeFileSync(at('..two/c.json5'), 'two');
    writeFileSync(at('elsewhere/real'), 'real');
    symlinkSync('..one', at('..data'));
    symlinkSync('..data/c.json5', at('c.json5'));
    symlinkSync('elsewhere/real', at('linked'));
    watch.watch([at('c.json5'), at('linked')]);
    await told(() => {
      symlinkSync('..two', at('..new'));
      renameSync(at('..new'), at('..data'));
    });
    watch.watch([at('c.json5'), at('linked')]);
    await told(() => writeFileSync(at('elsewhere/real'), 'other'));
    await told(() => writeFileSync(at('..two/c.json5'), 'three'));
    expect(changes).toBe(3);
  });

  test('sees a directory that is moved away, and what is in the one that takes its place', async () => {
    for (const name of ['etc', 'next']) {
      mkdirSync(at(name));
      writeFileSync(at(`${name}/c.json5`), name);
    }
    watch.watch([at('etc/c.json5')]);
    await told(() => {
      renameSync(at('etc'), at('before'));
      renameSync(at('next'), at('etc'));
    });
    watch.watch([at('etc/c.json5')]);
    await told(() => writeFileSync(at('etc/c.json5'), 'edited'));
    expect(changes).toBe(2);
  });

  test('lets go of files that are not named any more', async () => {
    mkdirSync(at('a'));
    mkdirSync(at('b'));
    watch.watch([at('a/c')]);
    watch.watch([at('b/c')]);
    writeFileSync(at('a/c'), 'unseen');
    await told(() => writeFileSync(at('b/c'), 'seen'));
    expect(changes).toBe(1);
  });
});
