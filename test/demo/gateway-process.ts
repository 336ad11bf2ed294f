import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export interface GatewayProcessOptions {
  port: number;
  stateDirectory: string;
  configPath: string;
  token: string;
  /** Runs its sources instead of its build. */
  isFromSource: boolean;
  /** What the gateway says on stderr. */
  log: (line: string) => void;
}

/** What of the environment reaches the gateway: never a model's key, so that the demo agent answers. */
const passedOn = ['PATH', 'HOME', 'TMPDIR', 'TEMP', 'SystemRoot', 'LANG'];
const healthPatienceMs = 30_000;
const toleratedEnds = 3;

/** The real gateway program as a process of its own, started again whenever it dies. */
export class GatewayProcess {
  readonly #options: GatewayProcessOptions;
  #child: ChildProcess | undefined;
  #isStopping = false;
  /** How often it ended without being killed. */
  #ownEndCount = 0;

  constructor(options: GatewayProcessOptions) {
    this.#options = options;
  }

  /** Where it listens, on 127.0.0.1. */
  get port(): number {
    return this.#options.port;
  }

  /** Starts it, and resolves when it answers. */
  async start(): Promise<void> {
    this.#spawn();
    const deadline = performance.now() + healthPatienceMs;
    while (!(await this.#isHealthy())) {
      const isHopeless = this.#ownEndCount > toleratedEnds || performance.now() > deadline;
      if (isHopeless) throw new Error('The gateway does not answer; what it said is above.');
      await delay(50);
    }
  }

  /** `kill -9`, by its pid; resolves when it is dead. The next one is started at once. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null) return;
    const isGone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    process.kill(child.pid, 'SIGKILL');
    await isGone;
  }

  /** Ends it for good. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.kill();
  }

  #spawn(): void {
    const { port, stateDirectory, configPath, token, isFromSource, log } = this.#options;
    const program = ['--port', String(port), '--state-dir', stateDirectory, '--config', configPath];
    const child = spawn(process.execPath, [...gatewayProgram(isFromSource), ...program], {
      env: {
        ...Object.fromEntries(passedOn.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : []))),
        OPENCLAW_GATEWAY_TOKEN: token,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => log(`gateway: ${text.trimEnd()}`));
    child.once('exit', (code, signal) => {
      if (this.#isStopping || this.#child !== child) return;
      if (signal === 'SIGKILL') {
        this.#spawn();
        return;
      }
      // Whatever else ends it is a defect, and no reason to try for ever.
      const isLast = ++this.#ownEndCount > toleratedEnds;
      log(
        `The gateway ended by itself (${signal ?? code})${isLast ? ' once too often' : '; it is started again in a second'}.`,
      );
      if (isLast) return;
      setTimeout(() => {
        if (!this.#isStopping) this.#spawn();
      }, 1_000);
    });
  }

  async #isHealthy(): Promise<boolean> {
    try {
      return (await fetch(`http://127.0.0.1:${this.#options.port}/health`)).ok;
    } catch {
      return false;
    }
  }
}

/** Node's arguments that start the program. Throws when the build that is asked for is not there. */
function gatewayProgram(isFromSource: boolean): string[] {
  const path = (relative: string) => fileURLToPath(new URL(`../../apps/gateway/${relative}`, import.meta.url));
  if (isFromSource) return ['--conditions=@openclaw/source', path('src/main.ts')];
  const built = path('dist/main.js');
  if (!existsSync(built)) throw new Error(`There is no ${built}; run "npm run build", or give --from-source.`);
  return [built];
}

/** A port that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
