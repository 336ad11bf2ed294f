import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

export interface GatewayProcessOptions {
  port: number;
  stateDirectory: string;
  /** Further flags, e.g. `--agent-url`. */
  flags?: readonly string[];
  /** Run the TypeScript sources in place of the build. Default false. */
  fromSource?: boolean;
}

/** The real gateway program in a process of its own, to be killed and started again on the same state. */
export class GatewayProcess {
  killCount = 0;
  readonly #options: GatewayProcessOptions;
  #child: ChildProcess | undefined;
  #output = '';

  constructor(options: GatewayProcessOptions) {
    this.#options = options;
  }

  get port(): number {
    return this.#options.port;
  }

  /** The operator's token that the program made and keeps. */
  get token(): string {
    return readFileSync(join(this.#options.stateDirectory, 'token'), 'utf8').trim();
  }

  /** Starts the program and resolves when it answers `/healthz`. */
  async start(): Promise<void> {
    const { port, stateDirectory, flags = [], fromSource = false } = this.#options;
    const entry = fromSource
      ? ['--conditions=@openclaw/source', join(root, 'apps/gateway/src/main.ts')]
      : [join(root, 'apps/gateway/dist/main.js')];
    const { OPENAI_API_KEY, ANTHROPIC_API_KEY, ...env } = process.env;
    const child = spawn(process.execPath, [...entry, '--port', String(port), '--state-dir', stateDirectory, ...flags], {
      env: { ...env, ...(flags.includes('--agent-url') ? { OPENAI_API_KEY: 'none' } : {}) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#output = '';
    const keep = (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString()).slice(-8_000);
    };
    child.on('exit', (code) => {
      if (code !== null && code !== 0)
        console.error(`the gateway ended by itself with exit code ${code}:\n${this.#output}`);
    });
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    for (let tries = 0; tries < 600; tries++) {
      if (child.exitCode !== null)
        throw new Error(`the gateway ended with ${child.exitCode} at its start:\n${this.#output}`);
      if (await answers(port)) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error(`the gateway did not answer within 15 s:\n${this.#output}`);
  }

  /** `kill -9`; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.killCount++;
    await this.#end('SIGKILL');
  }

  /** SIGTERM: drains and ends. Resolves with the exit code. */
  async stop(): Promise<number | null> {
    await this.#end('SIGTERM');
    return this.#child?.exitCode ?? null;
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  }
}

async function answers(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/healthz`)).ok;
  } catch {
    return false;
  }
}
