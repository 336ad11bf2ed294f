import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/** How a gateway process ended. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** The program as a process of its own, from its sources, with everything that it prints. */
export class GatewayProcess {
  /** Both outputs together, as a terminal shows them. */
  output = '';
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  #wake: (() => void)[] = [];

  /** `stderr`: a file that takes what it logs, which is then no part of {@link output}. */
  constructor(args: readonly string[], env: Record<string, string> = {}, stderr: number | 'pipe' = 'pipe') {
    this.#child = spawn(process.execPath, ['--conditions=@openclaw/source', main, ...args], {
      // Nothing of the developer's own settings: a model key in the environment would change which agent answers.
      env: { PATH: process.env.PATH ?? '', HOME: '/nonexistent', ...env },
      stdio: ['ignore', 'pipe', stderr],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
        this.#changed();
      });
    }
    this.exited = new Promise((resolve) => this.#child.on('close', (code, signal) => resolve({ code, signal })));
    void this.exited.then(() => this.#changed());
  }

  /** The first match of `pattern` in what it prints; rejects when it ends without one. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.output);
      if (match) return match;
      if (this.hasExited) throw new Error(`The gateway ended without ${pattern}:\n${this.output}`);
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  /** `http://…` of the gateway, once it serves. */
  async url(): Promise<string> {
    return (await this.printed(/at (http:\/\/\S+),/))[1] as string;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get hasExited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  #changed(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }
}

/** A directory for one test and every gateway that it starts; `dispose` ends them all. */
export class Workshop {
  readonly directory = mkdtempSync(join(tmpdir(), 'gateway-program-'));
  readonly stateDirectory = join(this.directory, 'state');
  #processes: GatewayProcess[] = [];

  /** Starts a gateway on the workshop's state directory and a free port; `args` are added. */
  start(args: readonly string[] = [], env?: Record<string, string>): GatewayProcess {
    return this.run(['--port', '0', '--state-dir', this.stateDirectory, ...args], env);
  }

  /** Starts the program with exactly these arguments. */
  run(args: readonly string[], env?: Record<string, string>, stderr?: number): GatewayProcess {
    const process = new GatewayProcess(args, env, stderr);
    this.#processes.push(process);
    return process;
  }

  /** The token that the gateway made. */
  get token(): string {
    return readFileSync(join(this.stateDirectory, 'token'), 'utf8').trim();
  }

  async dispose(): Promise<void> {
    for (const process of this.#processes) if (!process.hasExited) process.kill('SIGKILL');
    await Promise.all(this.#processes.map(({ exited }) => exited));
    rmSync(this.directory, { recursive: true, force: true });
  }
}
