import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, cpSync, fsyncSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Directories and processes of one run of the figures; `dispose` ends and removes them all. */
export class Workplace {
  readonly #directory = mkdtempSync(join(tmpdir(), 'openclaw-figures-'));
  readonly #children = new Set<ChildProcess>();
  #count = 0;

  /** A directory of its own, not made yet; with `copyOf` it begins as a copy of that one. */
  directory(copyOf?: string): string {
    const path = join(this.#directory, String(++this.#count));
    if (copyOf === undefined) return path;
    cpSync(copyOf, path, { recursive: true });
    // Nothing of a copy is on the disk yet; what a gateway wrote over minutes is, and whoever syncs next would pay for it.
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const file = openSync(join(path, entry.name), 'r+');
      fsyncSync(file);
      closeSync(file);
    }
    return path;
  }

  /** Runs a script with this process's Node. Its errors are shown. `env` is all that it gets of an environment, beside PATH. */
  run(script: string, args: readonly string[], env: Record<string, string> = {}): ChildProcess {
    const child = spawn(process.execPath, [script, ...args], {
      // A model's key in the environment would change which agent answers.
      env: { PATH: process.env.PATH ?? '', HOME: this.#directory, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Runs a script that says `listening <port>`, and resolves with the port. Rejects when it ends before. */
  async serve(script: string, args: readonly string[] = []): Promise<{ child: ChildProcess; port: number }> {
    const child = this.run(script, args);
    const line = await said(child, /listening (\d+)/);
    return { child, port: Number(line[1]) };
  }

  /** Kills what still runs and removes every directory. */
  async dispose(): Promise<void> {
    await Promise.all([...this.#children].map((child) => killed(child)));
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** `kill -9`; resolves when the process is gone. */
export function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGKILL');
  return gone;
}

/** The first match in what a process prints. Rejects when the process ends without one. */
export function said(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    let output = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const match = pattern.exec(output);
      if (match) resolve(match);
    });
    child.once('exit', () => reject(new Error(`${child.spawnfile} ended without ${pattern}. It said: ${output}`)));
  });
}

/** A port on 127.0.0.1 that nobody uses now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
