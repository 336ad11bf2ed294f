import { createGateway, type Gateway, type GatewayOptions } from '@openclaw/server';
import type { Findings } from './findings.ts';
import type { SharedStore } from './shared-store.ts';
import { Process, type Simulation } from './simulation.ts';

/** Where the gateway of a world runs: it is started, killed at any step, and started again on the same store. */
export class GatewayHost {
  /** The gateway, while it takes connections. */
  gateway: Gateway | undefined;
  process: Process | undefined;
  startCount = 0;
  readonly #simulation: Simulation;
  readonly #store: SharedStore;
  readonly #findings: Findings;
  readonly #options: Partial<GatewayOptions>;
  #started: (() => void)[] = [];

  constructor(parts: {
    simulation: Simulation;
    store: SharedStore;
    findings: Findings;
    options: Partial<GatewayOptions>;
  }) {
    this.#simulation = parts.simulation;
    this.#store = parts.store;
    this.#findings = parts.findings;
    this.#options = parts.options;
  }

  onStarted(listener: () => void): void {
    this.#started.push(listener);
  }

  start(): void {
    if (this.process) return;
    const process = new Process(this.#simulation, `gateway#${++this.startCount}`);
    this.process = process;
    createGateway({
      auth: { mode: 'none' },
      ...this.#options,
      store: this.#store.openedBy(process),
      clock: process,
      defer: process.defer,
      onWarning: (warning, cause) => {
        if (process.isAlive)
          this.#findings.report('fault', `${warning}: ${cause instanceof Error ? cause.stack : String(cause)}`);
      },
    }).then(
      (gateway) => {
        if (!process.isAlive) return;
        this.gateway = gateway;
        for (const listener of this.#started) listener();
      },
      (error: unknown) => {
        if (!process.isAlive) return;
        if (!String(error).includes('the disk is full'))
          this.#findings.report('fault', `the start failed: ${(error as Error).stack}`);
        this.crash();
        this.#simulation.schedule(() => this.start(), 500);
      },
    );
  }

  /** `kill -9`. */
  crash(): void {
    const { process } = this;
    this.process = undefined;
    this.gateway = undefined;
    process?.kill();
  }

  /** SIGTERM: drains, closes, and exits. */
  stop(): void {
    const { gateway, process } = this;
    if (!gateway || !process) return;
    const exit = () => {
      if (this.process === process) this.crash();
    };
    gateway
      .drain({
        timeoutMs: this.#simulation.integer(0, 3_000),
        ...(this.#simulation.chance(0.5) ? { restartExpectedMs: 500 } : {}),
      })
      .then(() => gateway.close())
      .then(exit, (error: unknown) => {
        if (process.isAlive) this.#findings.report('fault', `the stop failed: ${String(error)}`);
        exit();
      });
  }
}
