import { MessageChannel, Worker } from 'node:worker_threads';
import { connect } from '@openclaw/client';
import { serve } from '@openclaw/plugin-sdk';
import type { ConformanceHarness, ConformancePrompts } from '@openclaw/plugin-sdk/testing';
import { memoryTransportPair, portTransport, type Transport } from '@openclaw/protocol';
import { createGateway, type EventStore, type Gateway, memoryStore } from '@openclaw/server';
import type { Child } from './child.ts';
import { type AgentChoice, chosenAgent } from './chosen-agent.ts';
import { GatewayOperator } from './conformance-operator.ts';
import { RemoteAgents } from './remote-agents.ts';

/** A harness whose agent is started, and how to end it all. */
export interface Home {
  harness: ConformanceHarness;
  close(): Promise<void>;
}

export type OpenHome = (agent: AgentChoice, prompts: ConformancePrompts) => Promise<Home>;

/** How an agent lives in the process of its gateway. */
interface Quarters {
  start(agent: AgentChoice, accept: (transport: Transport) => void): Promise<() => Promise<void>>;
}

const memory: Quarters = {
  async start(choice, accept) {
    const [inside, outside] = memoryTransportPair();
    const serving = serve(await chosenAgent(choice), outside);
    accept(inside);
    await serving.ready;
    return () => serving.close();
  },
};

const worker: Quarters = {
  async start(choice, accept) {
    const { port1, port2 } = new MessageChannel();
    const thread = new Worker(new URL('./agent-worker-program.ts', import.meta.url), {
      execArgv: ['--conditions=@openclaw/source'],
      workerData: { choice, port: port2 },
      transferList: [port2],
    });
    await new Promise((resolve, reject) => {
      thread.once('error', reject);
      thread.once('message', resolve);
      accept(portTransport(port1));
    });
    return async () => void (await thread.terminate());
  },
};

/** The agent in the gateway's process; a gateway that is killed takes it along. */
function besideTheGateway(quarters: Quarters): OpenHome {
  return async (agent, prompts) => {
    const disk = memoryStore();
    let mortal = mortalStore(disk);
    let gateway = await createGateway({ auth: { mode: 'none' }, store: mortal.store });
    let link: Transport | undefined;
    const client = connect({
      dialer: () => {
        const [inside, outside] = memoryTransportPair();
        link = inside;
        gateway.accept(inside, {
          role: 'operator',
          id: 'tester',
          scopes: ['operator.admin', 'operator.approvals', 'operator.read', 'operator.write'],
        });
        return outside;
      },
    });
    const operator = new GatewayOperator(client);
    let end: () => Promise<void> = async () => undefined;
    const startAgent = async () => {
      end = await quarters.start(agent, (transport) => gateway.accept(transport, { role: 'agent', id: 'main' }));
    };
    await startAgent();
    const dead: Gateway[] = [];
    return {
      harness: {
        operator,
        prompts,
        startAgent,
        killAgent: () => end(),
        async killGateway() {
          mortal.kill();
          dead.push(gateway);
          await end();
          await disk.close();
          mortal = mortalStore(disk);
          gateway = await createGateway({ auth: { mode: 'none' }, store: mortal.store });
          link?.close(1006, 'the gateway was killed');
          await startAgent();
        },
      },
      async close() {
        operator.stop();
        client.close();
        await end();
        await gateway.close();
        // What was killed still has its timers; its store takes nothing from it any more.
        for (const each of dead) void each.close().catch(() => undefined);
      },
    };
  };
}

/** The agent is an object beside its gateway. */
export const inMemory = besideTheGateway(memory);
/** The agent is a thread of its gateway's process, as in `apps/gateway`. */
export const inWorker = besideTheGateway(worker);

/** A store whose user can be killed: nothing that it asks for from then on happens, or is answered. */
function mortalStore(disk: EventStore): { store: EventStore; kill(): void } {
  let isDead = false;
  const store = new Proxy(disk, {
    get(target, name: keyof EventStore) {
      return (...args: never[]) => {
        if (isDead) return new Promise(() => undefined);
        return (target[name] as (...args: never[]) => Promise<unknown>)(...args);
      };
    },
  });
  return {
    store,
    kill: () => {
      isDead = true;
    },
  };
}

/** Gateway and agent are processes of their own, over WebSocket and the store on the disk; both die by `kill -9`. */
export const inOwnProcess: OpenHome = async (agent, prompts) => {
  // Short, since a case waits for it whenever the agent is killed.
  const remote = await RemoteAgents.open({ agent, graceMs: 1_000 });
  const { station } = remote;
  const client = station.client();
  const operator = new GatewayOperator(client);
  let child: Child = await remote.start();
  return {
    harness: {
      operator,
      prompts,
      async startAgent() {
        child = await remote.start();
      },
      killAgent: () => child.kill(),
      async killGateway() {
        await station.restart();
        for (;;) {
          const { agents } = await client.request('agents.list');
          if ((agents as { attached?: boolean }[])[0]?.attached) return;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      },
    },
    async close() {
      operator.stop();
      await station.dispose();
    },
  };
};
