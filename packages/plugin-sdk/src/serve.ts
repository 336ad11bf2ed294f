import { type ConnectOptions, connect, type Dialer } from '@openclaw/client';
import {
  type AgentWorkState,
  agentStream,
  type Clock,
  GatewayError,
  isGatewayError,
  type PortLike,
  portTransport,
  randomId,
  systemClock,
  type Transport,
} from '@openclaw/protocol/wire';
import type { Agent } from './agent.ts';
import { AgentWork } from './agent-work.ts';

/** Where an agent serves: a gateway's address with a token of the role `agent`, a transport, or a way to open transports. */
export type ServeTarget = { url: string; token: string } | { dialer: Dialer; token?: string } | Transport;

/** What `serve` may be told; everything has a default. */
export interface ServeOptions {
  /** Default: random. The same one on a new connection takes over the runs of the old one. */
  instance?: string;
  /** Further options of the connection, such as `headers` and `limits`. */
  connection?: Omit<ConnectOptions, 'url' | 'dialer' | 'token' | 'role' | 'prepare' | 'clock' | 'random'>;
  /** Default: the machine's clock. */
  clock?: Clock;
  /** Numbers in [0, 1), for delays. Default `Math.random`. */
  random?: () => number;
  /** Runs a task after what this tick brings; its parts become one emit. Default `setImmediate`. */
  defer?: (task: () => void) => void;
}

/** An agent at work. */
export interface Serving {
  /** Resolves when the gateway gives it runs for the first time. Rejects when it was refused or closed before. */
  readonly ready: Promise<void>;
  /**
   * Resolves when it is over: with nothing after `close()`, else with why: `FORBIDDEN` for a wrong token, `CLOSED` when another
   * instance took its place or the transport ended. Never rejects.
   */
  readonly closed: Promise<GatewayError | undefined>;
  /** How many runs are at work. */
  readonly runCount: number;
  /**
   * Takes no more runs, lets those at work end for up to `drainMs` (default 0), and disconnects. Runs that are cut off
   * are offered to the next instance with what they said.
   */
  close(options?: { drainMs?: number }): Promise<void>;
}

/**
 * Serves an agent: connects, attaches, and works on every run that the gateway offers, several at once. Survives drops
 * and restarts of the gateway: runs go on meanwhile, and what they say is delivered in order, exactly once. With a
 * {@link Transport} there is nothing to dial again: its end closes the agent.
 *
 * ```ts
 * const serving = serve(echo, { url: 'ws://127.0.0.1:18789', token: process.env.AGENT_TOKEN });
 * await serving.ready;
 * ```
 */
export function serve(agent: Agent, target: ServeTarget, options: ServeOptions = {}): Serving {
  const { instance = randomId(), clock = systemClock(), random, defer = setImmediate, connection = {} } = options;
  const isTransport = 'send' in target;
  let stream = agentStream(agent.id);
  const gateway = connect({
    ...connection,
    ...(isTransport ? { dialer: once(target) } : target),
    role: 'agent',
    client: {
      id: 'openclaw-agent',
      mode: 'backend',
      ...(agent.name ? { displayName: agent.name } : {}),
      ...connection.client,
    },
    clock,
    ...(random ? { random } : {}),
    async prepare(_hello, request) {
      const { id: _id, name, resumable, models } = agent;
      const attached = await request('agent.attach', {
        instance,
        resumable,
        ...(models.length > 0 ? { models: [...models] } : {}),
        ...(name === undefined ? {} : { name }),
      });
      stream = attached.stream;
    },
  });
  const work = new AgentWork({
    agent,
    instance,
    request: (method, params, { signal } = {}) => gateway.request(method, params as never, { signal }) as never,
    clock,
    defer,
  });

  let isOver = false;
  let reading: AbortController | undefined;
  let settleReady: (error?: GatewayError) => void = () => undefined;
  let settleClosed: (error?: GatewayError) => void = () => undefined;
  const ready = new Promise<void>((resolve, reject) => {
    settleReady = (error) => (error ? reject(error) : resolve());
  });
  ready.catch(() => undefined);
  const closed = new Promise<GatewayError | undefined>((resolve) => {
    settleClosed = resolve;
  });

  const finish = (error?: GatewayError) => {
    if (isOver) return;
    isOver = true;
    reading?.abort();
    work.close();
    gateway.close();
    settleReady(error ?? new GatewayError('CLOSED', 'The agent was closed before the gateway took it.'));
    settleClosed(error);
  };

  /** Without a position: what is unfinished is the gateway's to say, at every connection anew. */
  const read = async (signal: AbortSignal) => {
    try {
      for await (const item of gateway.stream(stream).events({ signal })) {
        if (signal.aborted) return;
        if (item.type === 'event') work.apply(item);
        else if (item.state) {
          work.reset((item.state as AgentWorkState).runs);
          settleReady();
        } else
          throw new GatewayError('FORBIDDEN', `The agent's stream ended: ${item.reason}. Check the agent's token.`);
      }
    } catch (error) {
      if (!signal.aborted) finish(asGatewayError(error));
    }
  };

  gateway.on('state', ({ state, reason, error }) => {
    if (isOver) return;
    if (state === 'live') {
      if (reading) return;
      reading = new AbortController();
      work.attach();
      void read(reading.signal);
    } else if (state === 'failed') {
      finish(error ?? new GatewayError('CLOSED', `The gateway ended the connection for good: ${reason}`));
    } else if (state === 'backoff' || state === 'offline' || state === 'dialing') {
      if (reading) work.detach();
      reading?.abort();
      reading = undefined;
      if (isTransport && state !== 'dialing')
        finish(error ?? new GatewayError('CLOSED', `The transport ended: ${reason}`));
    }
  });

  return {
    ready,
    closed,
    get runCount() {
      return work.runCount;
    },
    async close({ drainMs = 0 } = {}) {
      if (drainMs > 0 && !isOver) {
        await new Promise<void>((resolve) => {
          const giveUp = clock.schedule(resolve, drainMs);
          void work.drained().then(() => {
            giveUp();
            resolve();
          });
        });
      }
      finish();
    },
  };
}

/** Serves an agent over a `MessagePort`, such as the `parentPort` of a worker thread. The other end is `portTransport`. */
export function servePort(agent: Agent, port: PortLike, options: ServeOptions = {}): Serving {
  return serve(agent, portTransport(port), options);
}

function once(transport: Transport): Dialer {
  let isUsed = false;
  return () => {
    if (isUsed) throw new GatewayError('DIAL_FAILED', 'The transport has ended, and there is no way to open another.');
    isUsed = true;
    return transport;
  };
}

function asGatewayError(error: unknown): GatewayError {
  if (isGatewayError(error)) return error;
  return new GatewayError('INTERNAL', `The agent's stream could not be read: ${String(error)}`, { cause: error });
}
