import { type ConformancePrompts, conformanceCases, conformancePrompts } from '@openclaw/plugin-sdk/testing';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { type AgentChoice, demo } from './chosen-agent.ts';
import type { Home, OpenHome } from './conformance-homes.ts';
import { modelPrompts, startModel } from './model.ts';
import { countTo } from './words.ts';

interface Cast {
  agent: AgentChoice;
  prompts: ConformancePrompts;
  stop?: () => Promise<unknown>;
}

const demoPrompts: ConformancePrompts = {
  short: 'count to 3',
  shortText: countTo(3),
  long: 'count to 40',
  longText: countTo(40),
};

const casts: readonly (readonly [name: string, prompts: ConformancePrompts, open: () => Promise<Cast>])[] = [
  [
    'the conformance agent',
    conformancePrompts,
    async () => ({ agent: { kind: 'conformance' }, prompts: conformancePrompts }),
  ],
  ['the demo agent', demoPrompts, async () => ({ agent: demo, prompts: demoPrompts })],
  ['the agent on a model', modelPrompts, async () => ({ ...(await startModel()), prompts: modelPrompts })],
];

/** Registers the conformance cases for every agent of ours in one home, one after the other in one and the same. */
export function conformanceIn(place: string, open: OpenHome): void {
  describe.each(casts)(`%s ${place}, at a real gateway:`, (_name, prompts, start) => {
    let cast: Cast;
    let home: Home;
    beforeAll(async () => {
      cast = await start();
      home = await open(cast.agent, cast.prompts);
    });
    afterAll(async () => {
      await home.close();
      await cast.stop?.();
    });
    const cases = conformanceCases.filter(({ needs }) => prompts[needs] !== undefined);
    test.each(cases.map((each) => [each.name, each] as const))('%s', { timeout: 40_000 }, (_case, { run }) =>
      run(home.harness),
    );
  });
}
