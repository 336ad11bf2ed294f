import { Worker } from 'node:worker_threads';
import { type PortLike, portTransport, systemClock } from '@openclaw/protocol';
import { VirtualClock } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { type Serving, serve } from '../src/index.ts';
import { type ConformanceHarness, conformanceAgent, conformanceCases, conformancePrompts } from '../src/testing.ts';
import { FakeGateway } from './fake-gateway.ts';

function inMemory() {
  const clock = new VirtualClock();
  const gateway = new FakeGateway(clock);
  let serving: Serving | undefined;
  const harness: ConformanceHarness = {
    operator: gateway,
    prompts: conformancePrompts,
    async startAgent() {
      serving = serve(conformanceAgent({ clock }), { dialer: gateway.dial }, { clock, random: () => 0.5 });
      await serving.ready;
    },
    async killAgent() {
      await serving?.close();
      gateway.giveUp();
    },
    async killGateway() {
      gateway.crash();
    },
  };
  return { harness, clock, close: () => serving?.close() };
}

describe('an agent in memory', () => {
  test.each(conformanceCases.map((each) => [each.name, each] as const))('%s', async (_name, { run }) => {
    const { harness, clock, close } = inMemory();
    let isOver = false;
    const running = harness
      .startAgent()
      .then(() => run(harness))
      .finally(() => {
        isOver = true;
      });
    running.catch(() => undefined);
    for (let turn = 0; turn < 20_000 && !isOver; turn++) await clock.advance(1);
    expect(isOver).toBe(true);
    await close();
    await running;
  });
});

describe('an agent in a worker thread', () => {
  function inWorker() {
    const gateway = new FakeGateway(systemClock());
    let worker: Worker | undefined;
    const harness: ConformanceHarness = {
      operator: gateway,
      prompts: conformancePrompts,
      async startAgent() {
        const url = new URL('./agent-worker.fixture.ts', import.meta.url);
        const { port1, port2 } = new MessageChannel();
        const started = new Worker(url, {
          execArgv: ['--conditions=@openclaw/source'],
          workerData: port2,
          transferList: [port2 as never],
        });
        worker = started;
        await new Promise((resolve, reject) => {
          started.once('error', reject);
          started.once('message', resolve);
          gateway.accept(portTransport(port1 as PortLike));
        });
      },
      async killAgent() {
        await worker?.terminate();
        gateway.giveUp();
      },
      // A gateway takes its workers with it.
      async killGateway() {
        gateway.crash();
        await harness.killAgent();
        await harness.startAgent();
      },
    };
    return harness;
  }

  test.each(conformanceCases.map((each) => [each.name, each] as const))('%s', async (_name, { run }) => {
    const harness = inWorker();
    await harness.startAgent();
    try {
      await run(harness);
    } finally {
      await harness.killAgent();
    }
  });
});
