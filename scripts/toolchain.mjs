import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The top folder of this repository. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** The one version of pnpm that installs this workspace; `check-house.mjs` compares the places that name it. */
export const pnpmVersion = '10.34.9';

const bin = join(root, 'node_modules', '.bin');

/** The environment of every child: the repository's own tools first, nothing that reports home. */
export function toolEnvironment(extra = {}) {
  return {
    ...process.env,
    PATH: `${bin}:${process.env.PATH ?? ''}`,
    TURBO_TELEMETRY_DISABLED: '1',
    NO_UPDATE_NOTIFIER: '1',
    npm_config_update_notifier: 'false',
    ...extra,
  };
}

/** The Node that runs everything here: the binary that the registry package `node` brought, whatever the system has. */
export function nodeBinary() {
  return join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
}

/**
 * Runs a command and resolves with its exit code and everything that it printed. With `stream` its output also goes to
 * the terminal while it runs. Never rejects: a command that can't be started ends with code 127.
 */
export function run(command, args, { stream = false, env = toolEnvironment(), cwd = root } = {}) {
  return new Promise((done) => {
    let output = '';
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const [source, sink] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ]) {
      source.setEncoding('utf8');
      source.on('data', (text) => {
        output += text;
        if (stream) sink.write(text);
      });
    }
    child.on('error', (error) => done({ code: 127, output: `${output}${command}: ${error.message}\n` }));
    child.on('close', (code, signal) =>
      done({ code: code ?? 1, output: signal ? `${output}ended by ${signal}\n` : output }),
    );
  });
}

/** True when what is installed is what the lockfile says, so that an install would change nothing. */
export function isInstalled() {
  const installed = join(root, 'node_modules', '.pnpm', 'lock.yaml');
  if (!existsSync(installed) || !existsSync(nodeBinary())) return false;
  return readFileSync(installed, 'utf8') === readFileSync(join(root, 'pnpm-lock.yaml'), 'utf8');
}

/** Installs exactly what the lockfile says; fails when a package.json does not agree with it. */
export function install() {
  // By npx, not by the pnpm in node_modules: that one would delete itself when pnpm has to make node_modules anew.
  // CI: without a terminal pnpm must not ask whether it may.
  return run(
    'npx',
    ['--yes', `pnpm@${pnpmVersion}`, 'install', '--frozen-lockfile', '--prefer-offline', '--reporter=append-only'],
    {
      env: toolEnvironment({ CI: 'true' }),
    },
  );
}

/** Stops with one sentence when the running Node can't even start the toolchain. */
export function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  console.error(
    `Node ${process.versions.node} is too old: install Node 20.19 or newer (nodejs.org) and run the command again.`,
  );
  process.exit(1);
}
