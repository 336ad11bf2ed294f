import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { tracedAddresses } from './connection-trace.ts';
import { mayRun } from './left-out.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'gateway-trace-'));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Where `ip` is, for users whose shells don't look there. */
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

/** How this user gets a network of its own; undefined when the machine does not allow it. */
const unshare = [['-rn'], ['-n']].find(
  (args) => spawnSync('unshare', [...args, 'ip', 'link', 'set', 'lo', 'up'], { stdio: 'ignore', env }).status === 0,
);
const canTrace = spawnSync('strace', ['-o', '/dev/null', 'true'], { stdio: 'ignore' }).status === 0;

const canRun = () =>
  mayRun(
    unshare,
    'the gateway in an empty network',
    'unshare (util-linux) and ip (iproute2) must be there and allowed',
  ) && mayRun(canTrace, 'the gateway in an empty network', 'Debian: apt-get install strace; tracing must be allowed');

/** Runs node in a network that has only its loopback, and tells what it printed and whom it and its children called. */
async function runOffline(args: readonly string[]) {
  const log = join(directory, 'strace.log');
  const traced = [
    'strace',
    '-f',
    '-qq',
    '-e',
    'trace=connect,sendto,sendmsg,sendmmsg',
    '-o',
    log,
    process.execPath,
    ...args,
  ];
  const child = spawn('unshare', [...(unshare ?? []), 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', ...traced], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const code = await new Promise((resolve) => child.on('close', resolve));
  return { code, output, addresses: tracedAddresses(readFileSync(log, 'utf8')) };
}

test('in an empty network the gateway starts and the demo agent answers, and nobody outside was called or looked up', {
  timeout: 120_000,
}, async () => {
  if (!canRun()) return;
  const program = fileURLToPath(new URL('offline-program.ts', import.meta.url));
  const { code, output, addresses } = await runOffline(['--conditions=@openclaw/source', program]);
  expect(output).toMatch(/^answer: .*"text"/m);
  expect(output).toContain('gateway exit: 0');
  expect(code).toBe(0);
  // The client's own connection shows that the trace sees what there is to see.
  expect(addresses.loopback.length).toBeGreaterThan(0);
  expect(addresses.outside).toEqual([]);
  console.log(`empty network: ${addresses.loopback.length} connections within, ${addresses.outside.length} outside`);
});

test('the trace finds a program that calls or looks up somebody outside, though no network is there', {
  timeout: 60_000,
}, async () => {
  if (!canRun()) return;
  const call = "require('node:net').connect(9, '192.0.2.1').on('error', () => {})";
  const lookUp =
    "const r = new (require('node:dns').Resolver)({ timeout: 100, tries: 1 }); r.setServers(['192.0.2.53']); r.resolve4('example.test', () => {})";
  expect((await runOffline(['-e', call])).addresses.outside).toEqual(['192.0.2.1 port 9']);
  expect((await runOffline(['-e', lookUp])).addresses.outside).toContain('192.0.2.53 port 53');
});

test('the network is empty: there is no way out of it', () => {
  if (!canRun()) return;
  const devices = execFileSync('unshare', [...(unshare ?? []), 'ip', '-o', 'link'], { encoding: 'utf8', env })
    .trim()
    .split('\n');
  expect(devices).toHaveLength(1);
  expect(devices[0]).toContain('lo:');
});
