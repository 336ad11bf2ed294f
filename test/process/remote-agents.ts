import type { Gateway } from '@openclaw/client';
import { Child } from './child.ts';
import type { AgentChoice } from './chosen-agent.ts';
import { Station, type StationOptions } from './station.ts';

export interface RemoteOptions {
  agent?: AgentChoice;
  /** How long the gateway waits for an agent that is gone. Default 30 s. */
  graceMs?: number;
}

/** A station whose gateway has no agent of its own, and agents that are processes. */
export class RemoteAgents {
  readonly station: Station;
  readonly #options: RemoteOptions;
  /** Asks the gateway with every right. */
  admin!: Gateway['request'];
  #token = '';

  private constructor(station: Station, options: RemoteOptions) {
    this.station = station;
    this.#options = options;
  }

  static async open(options: RemoteOptions = {}): Promise<RemoteAgents> {
    const { graceMs = 30_000 } = options;
    const program: StationOptions = {
      file: 'test/process/gateway-program.ts',
      args: ['--agent-grace-ms', `${graceMs}`],
    };
    const remote = new RemoteAgents(await Station.open(program), options);
    remote.admin = remote.station.client({ token: remote.station.token, scopes: ['operator.admin'] }).request;
    const { token } = await remote.admin('tokens.create', { role: 'agent', id: 'main' });
    remote.#token = token;
    return remote;
  }

  /** Starts an agent process without waiting for anything. */
  launch(agent: AgentChoice = this.#options.agent ?? { kind: 'conformance' }): Child {
    const child = new Child('test/process/agent-program.ts', [], {
      AGENT: JSON.stringify(agent),
      AGENT_URL: this.station.url,
      AGENT_TOKEN: this.#token,
    });
    this.station.onDispose(() => child.kill());
    return child;
  }

  /** Starts an agent process; resolves when it is attached. */
  async start(agent?: AgentChoice): Promise<Child> {
    const child = this.launch(agent);
    await child.printed(/ready/);
    return child;
  }
}
