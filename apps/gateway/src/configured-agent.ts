import type { Clock } from '@openclaw/protocol/wire';
import type { Gateway } from '@openclaw/server';
import type { AgentChoice } from './agent-choice.ts';
import { AgentWorker } from './agent-worker.ts';

/** What a {@link ConfiguredAgent} needs. */
export interface ConfiguredAgentOptions {
  choice: AgentChoice;
  gateway: Pick<Gateway, 'accept' | 'localRunCount'>;
  /** A line for the person who runs the gateway. */
  log: (line: string) => void;
  clock: Clock;
}

/** How often it is looked whether runs are still being worked on, in ms. */
const lookMs = 1_000;

/** The agent of the configuration, in its worker; another choice takes the place of the first when its runs have ended. */
export class ConfiguredAgent {
  readonly #options: ConfiguredAgentOptions;
  readonly #worker: AgentWorker;
  #choice: AgentChoice;
  #wanted: AgentChoice;
  #cancelLook: (() => void) | undefined;

  constructor(options: ConfiguredAgentOptions) {
    const { choice, gateway, log, clock } = options;
    this.#options = options;
    this.#choice = choice;
    this.#wanted = choice;
    this.#worker = new AgentWorker({
      choice,
      accept: (transport) => gateway.accept(transport, { role: 'agent', id: 'main' }),
      log,
      clock,
    });
    this.#worker.start();
  }

  /** Another choice is wanted; undefined changes nothing. It takes over at the first moment without a run at work. */
  use(choice: AgentChoice | undefined): void {
    this.#wanted = choice ?? this.#choice;
    this.look();
  }

  /** To be called when a run has ended, before anybody is told: between two runs of a busy session is no other moment. */
  look(): void {
    this.#cancelLook?.();
    const { gateway, clock, log } = this.#options;
    if (JSON.stringify(this.#wanted) === JSON.stringify(this.#choice)) return;
    if (gateway.localRunCount > 0) {
      // Runs leave in other ways, too.
      this.#cancelLook = clock.schedule(() => this.look(), lookMs);
      return;
    }
    this.#choice = this.#wanted;
    this.#worker
      .replace(this.#choice)
      .catch((error: unknown) => log(`The agent could not be replaced: ${String(error)}`));
  }

  /** No worker is started any more; the one at work is left to what its gateway does. */
  cease(): void {
    this.#cancelLook?.();
    this.#worker.cease();
  }

  /** Ends the worker for good; resolves when it is gone. */
  async stop(): Promise<void> {
    this.cease();
    await this.#worker.stop();
  }
}
