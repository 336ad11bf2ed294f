import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LogOutput } from '../src/log-output.ts';
import { Workshop } from './gateway-process.ts';

let directory: string;
let files: number[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'gateway-log-'));
  files = [];
});
afterEach(() => {
  for (const file of files) closeSync(file);
  rmSync(directory, { recursive: true, force: true });
});

const opened = (path: string, flags: string | number) => {
  const file = openSync(path, flags);
  files.push(file);
  return file;
};

test('lines reach the file in order, those that still wait at the end of the process, too', async () => {
  const path = join(directory, 'log');
  const output = new LogOutput({ fd: opened(path, 'a') });
  output.write('one\n');
  await expect.poll(() => readFileSync(path, 'utf8')).toBe('one\n');
  output.write('two\n');
  await expect.poll(() => readFileSync(path, 'utf8')).toBe('one\ntwo\n');
  const whole = new LogOutput({ fd: opened(join(directory, 'other'), 'a'), maxWaitingBytes: 8 });
  for (const line of ['1\n', '2\n', '3\n', '4\n', '5\n', '6\n']) whole.write(line);
  whole.flush();
  // The first is on its way, four of two bytes wait, and there is no room for more.
  await expect.poll(() => readFileSync(join(directory, 'other'), 'utf8').split('\n').sort().join('')).toBe('12345');
});

/** A pipe that nobody reads, full to the brim or nearly so. */
const stuckPipe = () => {
  const path = join(directory, 'pipe');
  execFileSync('mkfifo', [path]);
  // Both ends, so that opening waits for nobody.
  return opened(path, 'r+');
};

describe.skipIf(process.platform !== 'linux')('a log that can’t be written', () => {
  test.each([
    ['its disk is full', () => opened('/dev/full', 'w')],
    ['its reader does not read', stuckPipe],
  ])('harms nothing: %s', async (_, file) => {
    const workshop = new Workshop();
    try {
      const config = join(workshop.directory, 'c.json5');
      writeFileSync(config, '{ log: { level: "trace" } }');
      const args = ['--port', '0', '--state-dir', workshop.stateDirectory, '--config', config];
      const program = workshop.run(args, {}, file());
      const url = await program.url();
      const refused = () => fetch(`${url}/v1/models`, { headers: { 'x-forwarded-for': '192.0.2.1' } });
      for (let round = 0; round < 40; round++) await Promise.all(Array.from({ length: 25 }, refused));
      expect(await (await fetch(`${url}/health`)).json()).toMatchObject({ ok: true });
      program.kill('SIGTERM');
      expect(await program.exited).toEqual({ code: 0, signal: null });
    } finally {
      await workshop.dispose();
    }
  });
});
