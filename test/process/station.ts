import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Gateway } from '@openclaw/client';
import { type FaultProxy, startFaultProxy } from '../fault-proxy.ts';
import { Child } from './child.ts';
import { type PlainOptions, PlainReader } from './plain-reader.ts';

type ClientOptions = Omit<Parameters<typeof connect>[0], 'url'>;

export interface StationOptions {
  /** The program; it gets `--port 0 --state-dir <directory>` and says where it is. Default the real one. */
  file?: string;
  args?: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** A state directory to begin with a copy of. */
  copyOf?: string;
  /** What the configuration file says, for the real program. */
  config?: Record<string, unknown>;
}

/**
 * A gateway as a process of its own that can be killed and started again on the same state, at one address that stays: a
 * proxy with no faults. Everything that is made here ends with `dispose`.
 */
export class Station {
  readonly directory = mkdtempSync(join(tmpdir(), 'gateway-station-'));
  readonly stateDirectory = join(this.directory, 'state');
  killCount = 0;
  readonly #options: StationOptions;
  readonly #undo: (() => unknown)[] = [];
  #proxy: FaultProxy | undefined;
  #child: Child | undefined;

  constructor(options: StationOptions = {}) {
    this.#options = options;
    if (options.copyOf) cpSync(options.copyOf, this.stateDirectory, { recursive: true });
    if (options.config) writeFileSync(join(this.directory, 'config.json5'), JSON.stringify(options.config));
  }

  /** A station whose gateway serves. */
  static async open(options: StationOptions = {}): Promise<Station> {
    const station = new Station(options);
    try {
      await station.start();
    } catch (error) {
      await station.dispose();
      throw error;
    }
    return station;
  }

  get gateway(): Child {
    return this.#child as Child;
  }

  /** `ws://…`, the same before and after a restart. */
  get url(): string {
    return (this.#proxy as FaultProxy).url;
  }

  /** The operator's token that the program made. */
  get token(): string {
    return readFileSync(join(this.stateDirectory, 'token'), 'utf8').trim();
  }

  /** Runs the program without waiting for anything. */
  launch(...args: string[]): Child {
    const { file = 'apps/gateway/src/main.ts', env, config } = this.#options;
    const configured = config ? ['--config', join(this.directory, 'config.json5')] : [];
    const child = new Child(
      file,
      ['--port', '0', '--state-dir', this.stateDirectory, ...configured, ...(this.#options.args ?? []), ...args],
      env,
    );
    this.#undo.push(() => child.kill());
    return child;
  }

  /** Starts the gateway; resolves when it serves. */
  async start(): Promise<void> {
    const child = this.launch();
    this.#child = child;
    const port = Number((await child.printed(/ at http:\/\/[^\s:]+:(\d+)/))[1]);
    if (this.#proxy) {
      this.#proxy.retarget(port);
      this.#proxy.refuse(false);
    } else {
      const proxy = await startFaultProxy({ targetPort: port });
      this.#proxy = proxy;
      this.#undo.push(() => proxy.close());
    }
  }

  /** `kill -9`; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.killCount++;
    this.#proxy?.refuse(true);
    await this.gateway.kill();
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  /** SIGTERM; resolves with how it ended. */
  async stop(): ReturnType<Child['exited']['then']> {
    this.gateway.signal('SIGTERM');
    return this.gateway.exited;
  }

  /** Our client; it comes back soon, since what is tested is not the length of a backoff. */
  client(options: ClientOptions = { token: this.token }): Gateway {
    const client = connect({ url: this.url, random: () => Math.random() / 10, ...options });
    this.#undo.push(() => client.close());
    return client;
  }

  /** A connection without our client. */
  async reader({ token = this.token, ...options }: PlainOptions & { token?: string } = {}): Promise<PlainReader> {
    const reader = await PlainReader.connect(this.url, token, options);
    this.#undo.push(() => reader.close());
    return reader;
  }

  /** Also undone by `dispose`, newest first. */
  onDispose(step: () => unknown): void {
    this.#undo.push(step);
  }

  async dispose(): Promise<void> {
    for (const step of this.#undo.splice(0).reverse()) await step();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
