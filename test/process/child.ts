import { type ChildProcess, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Node's own default place; the program itself keeps its compiled code there too. */
const compileCache = join(tmpdir(), 'node-compile-cache');

/** How a process ended. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A process that runs a TypeScript file of this repository, with everything that it prints. */
export class Child {
  /** Both outputs together, as a terminal shows them. */
  output = '';
  readonly exited: Promise<Exit>;
  readonly #process: ChildProcess;
  #wakers: (() => void)[] = [];

  /** `file` is relative to the root of the repository. */
  constructor(file: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
    const path = fileURLToPath(new URL(`../../${file}`, import.meta.url));
    this.#process = spawn(process.execPath, ['--conditions=@openclaw/source', path, ...args], {
      // Nothing of the developer's own settings: a model key in the environment would change which agent answers.
      env: { PATH: process.env.PATH ?? '', HOME: '/nonexistent', NODE_COMPILE_CACHE: compileCache, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
        this.#changed();
      });
    }
    this.exited = new Promise((resolve) => this.#process.on('close', (code, signal) => resolve({ code, signal })));
    void this.exited.then(() => this.#changed());
  }

  get pid(): number {
    return this.#process.pid as number;
  }

  get hasExited(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** `kill -9`; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** The first match of `pattern` in what it prints; rejects when it ends without one. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.output);
      if (match) return match;
      if (this.hasExited) throw new Error(`The process ended without ${pattern}:\n${this.output}`);
      await new Promise<void>((resolve) => this.#wakers.push(resolve));
    }
  }

  #changed(): void {
    const waiting = this.#wakers;
    this.#wakers = [];
    for (const wake of waiting) wake();
  }
}
