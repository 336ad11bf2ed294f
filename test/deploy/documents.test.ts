import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import JSON5 from 'json5';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startGateway } from '../gateway.ts';
import { Child } from '../process/child.ts';
import { documentedFile } from './documented-file.ts';
import { mayRun } from './left-out.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const pages = join(root, 'docs', 'deploy');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
  packageManager: string;
};
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'gateway-documents-'));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('the configurations of the gateway on the pages', () => {
  const files = readdirSync(pages).filter((name) => name.endsWith('.json5'));

  for (const name of files)
    test(`${name} is valid`, { timeout: 30_000 }, async () => {
      const args = ['check-config', '--config', join(pages, name), '--state-dir', join(directory, 'state')];
      const child = new Child('apps/gateway/src/main.ts', args);
      const { code } = await child.exited;
      expect(code, child.output).toBe(0);
    });

  test('what is printed in a page is one of these files, or valid by itself', { timeout: 60_000 }, async () => {
    const known = files.map((name) => JSON.stringify(JSON5.parse(documentedFile(name, {}))));
    for (const page of readdirSync(pages).filter((name) => name.endsWith('.md'))) {
      for (const [, block = ''] of readFileSync(join(pages, page), 'utf8').matchAll(/```json5\n(.*?)```/gs)) {
        if (known.includes(JSON.stringify(JSON5.parse(block)))) continue;
        const path = join(directory, 'config.json5');
        writeFileSync(path, block);
        const child = new Child('apps/gateway/src/main.ts', ['check-config', '--config', path]);
        const { code } = await child.exited;
        expect(code, `${page}: ${block}${child.output}`).toBe(0);
      }
    }
  });
});

describe('openclaw-ws-gateway.service', () => {
  const unit = readFileSync(join(pages, 'openclaw-ws-gateway.service'), 'utf8');
  const setting = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1];

  test('systemd finds nothing wrong with it, and calls its exposure low', () => {
    if (!mayRun(existsSync('/usr/bin/systemd-analyze'), 'the systemd unit', 'Debian: apt-get install systemd')) return;
    const path = join(directory, 'openclaw-ws-gateway.service');
    // What the unit starts has to be there: this clone in place of the one in /opt.
    writeFileSync(path, unit.replaceAll('/opt/openclaw-ws-gateway', root.replace(/\/$/, '')));
    const verified = spawnSync('systemd-analyze', ['verify', '--man=no', path], { encoding: 'utf8' });
    expect(`${verified.stdout}${verified.stderr}`).not.toContain('openclaw-ws-gateway.service');
    expect(verified.status).toBe(0);
    const security = execFileSync('systemd-analyze', ['security', '--offline=true', '--no-pager', path], {
      encoding: 'utf8',
    });
    const [, exposure] = /Overall exposure level[^:]*: ([\d.]+)/.exec(security) ?? [];
    console.log(`systemd unit: exposure ${exposure} of 10`);
    expect(Number(exposure)).toBeLessThan(3);
  });

  test('it starts what the build makes, waits longer than a drain, and comes back after everything but a mistake', () => {
    const bin = JSON.parse(readFileSync(join(root, 'apps/gateway/package.json'), 'utf8')).bin['openclaw-ws-gateway'];
    expect(setting('ExecStart')).toContain(join('/opt/openclaw-ws-gateway/apps/gateway', bin));
    expect(setting('ExecStart')).toContain('--state-dir %S/openclaw-ws-gateway');
    const drainSeconds = Number(
      /waits up to (\d+) s/.exec(readFileSync(join(root, 'apps/gateway/src/flags.ts'), 'utf8'))?.[1],
    );
    expect(drainSeconds).toBeGreaterThan(0);
    expect(Number(setting('TimeoutStopSec'))).toBeGreaterThan(drainSeconds + 5);
    expect(setting('Restart')).toBe('always');
    expect(setting('RestartPreventExitStatus')).toBe('64 78');
    // V8 writes code into memory: this one would end it at the start.
    expect(unit).not.toContain('MemoryDenyWriteExecute');
  });
});

describe('Dockerfile', () => {
  const text = readFileSync(join(pages, 'Dockerfile'), 'utf8');
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const all = (instruction: string) =>
    lines.filter((line) => line.startsWith(`${instruction} `)).map((line) => line.slice(instruction.length + 1));

  test('what it copies is here, what it runs is a script of this repository, and its pnpm is the pinned one', () => {
    const known = [
      'FROM',
      'ENV',
      'WORKDIR',
      'COPY',
      'RUN',
      'USER',
      'VOLUME',
      'EXPOSE',
      'STOPSIGNAL',
      'HEALTHCHECK',
      'ENTRYPOINT',
    ];
    expect(lines.filter((line) => !known.includes(line.split(' ')[0] as string))).toEqual([]);
    for (const copied of all('COPY')) {
      const [source = ''] = copied.split(' ').filter((word) => !word.startsWith('--'));
      if (!copied.includes('--from=')) expect(existsSync(join(root, source)), copied).toBe(true);
    }
    for (const [, script = ''] of text.matchAll(/npm run (\S+)/g))
      expect(Object.keys(manifest.scripts)).toContain(script);
    for (const [, pnpm] of text.matchAll(/(pnpm@[\d.]+)/g)) expect(pnpm).toBe(manifest.packageManager);
  });

  test('both stages are on the major version of Node that the repository runs on, and the program is not root', () => {
    const images = all('FROM').map((line) => line.split(' ')[0]);
    expect(new Set(images)).toEqual(new Set([`node:${process.versions.node.split('.')[0]}-bookworm-slim`]));
    expect(all('USER')).toEqual(['node']);
    expect(lines.findIndex((line) => line.startsWith('USER'))).toBeGreaterThan(
      lines.lastIndexOf('FROM node:24-bookworm-slim'),
    );
    const [entry = ''] = all('ENTRYPOINT');
    expect(JSON.parse(entry)).toEqual(expect.arrayContaining(['/app/dist/main.js', '--state-dir', '/state']));
  });

  test('its health check is content with a gateway that lives, and with nothing else', {
    timeout: 30_000,
  }, async () => {
    const [check = ''] = all('HEALTHCHECK');
    const [program, ...args] = JSON.parse(check.slice(check.indexOf('['))) as string[];
    expect(program).toBe('node');
    const statusAt = (port: number) =>
      new Promise((resolve) => {
        const told = args.map((arg) => arg.replace('18789', String(port)));
        spawn(process.execPath, told, { stdio: 'ignore' }).on('close', resolve);
      });
    const running = await startGateway();
    expect(await statusAt(running.port)).toBe(0);
    await running.close();
    expect(await statusAt(running.port)).toBe(1);
  });
});
