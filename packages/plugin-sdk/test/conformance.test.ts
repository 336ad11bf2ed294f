import { describe, expect, test } from 'vitest';
import { serve, type Serving } from '../src/index.ts';
import { conformanceAgent, conformanceCases, type ConformanceHarness, conformancePrompts } from '../src/testing.ts';
import { FakeGateway } from './fake-gateway.ts';

function inMemory() {
  const gateway = new FakeGateway();
  const { clock } = gateway;
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
