import { deepEqual, equal, ok } from 'node:assert/strict';
import type { RunPart } from '@openclaw/protocol/wire';
import { spoken } from './rehearsal.ts';

/** What a person can do at the gateway under test. Parts are those of the session's stream, in its order. */
export interface ConformanceOperator {
  /** Sends a message in a session of its own; resolves with the runId. */
  send(text: string): Promise<string>;
  /** The parts so far. */
  parts(runId: string): Promise<readonly RunPart[]>;
  /** All parts, once the terminal one is there. */
  ended(runId: string): Promise<readonly RunPart[]>;
  /** Resolves when `is` holds for the parts so far; must not wait for the end of the run. */
  until(runId: string, is: (parts: readonly RunPart[]) => boolean): Promise<void>;
  abort(runId: string): Promise<void>;
  steer(runId: string, text: string): Promise<void>;
  decide(approvalId: string, decision: 'allow' | 'deny'): Promise<void>;
}

/** Where an agent is put to the test: a gateway, and a home for the agent (in memory, a worker, a process). */
export interface ConformanceHarness {
  operator: ConformanceOperator;
  /** Starts the agent in its home; resolves when it is attached. Called again after `killAgent`. */
  startAgent(): Promise<void>;
  /** Ends the agent without a word, as `kill -9` does; resolves when the gateway may give its runs to the next one. */
  killAgent(): Promise<void>;
  /** Ends the gateway without a word and starts it again on the same state; resolves when the agent is attached again. */
  killGateway(): Promise<void>;
  /** What this agent can be asked. Cases whose prompt is missing are left out. */
  prompts: ConformancePrompts;
}

/** What an agent can be asked, and what it says then where that is always the same. */
export interface ConformancePrompts {
  /** Answered at once. */
  short: string;
  shortText?: string;
  /** Answered in many deltas, over at least a quarter of a second. */
  long: string;
  longText?: string;
  /** Answered in several steps with `safe` tools. */
  steps?: string;
  /** Ends as failed. */
  failing?: string;
  /** Asks for an approval and then says `allow` or `deny`. */
  approval?: string;
  /** Says something, waits for a steering message, and repeats it. */
  steering?: string;
}

/** One case: framework-free, to be registered as a test of its own with a fresh harness whose agent is started. */
export interface ConformanceCase {
  /** A sentence about what holds. */
  name: string;
  /** Needs this prompt. */
  needs: keyof ConformancePrompts;
  run(harness: ConformanceHarness): Promise<void>;
}

/** The cases that every agent passes in every home (S21, S28). */
export const conformanceCases: readonly ConformanceCase[] = [
  {
    name: 'a run is answered and ends well, with the terminal as its last part',
    needs: 'short',
    async run({ operator, prompts }) {
      const said = answer(await operator.ended(await operator.send(prompts.short)), 'end');
      if (prompts.shortText !== undefined) equal(said, prompts.shortText);
    },
  },
  {
    name: 'runs are worked on at the same time, each with its own answer',
    needs: 'long',
    async run({ operator, prompts }) {
      const runIds = await Promise.all([
        operator.send(prompts.long),
        operator.send(prompts.long),
        operator.send(prompts.long),
      ]);
      await Promise.all(runIds.map((runId) => operator.until(runId, hasWords(5))));
      for (const runId of runIds) checkLong(await operator.ended(runId), prompts);
    },
  },
  {
    name: 'a run that fails ends as failed, once, with words',
    needs: 'failing',
    async run({ operator, prompts }) {
      const parts = await operator.ended(await operator.send(prompts.failing as string));
      answer(parts, 'error');
      const last = parts.at(-1);
      ok(
        last?.stream === 'lifecycle' && last.data.reason === 'failed' && last.data.error,
        'the terminal part says why',
      );
    },
  },
  {
    name: 'nothing follows an abort',
    needs: 'long',
    async run({ operator, prompts }) {
      const runId = await operator.send(prompts.long);
      await operator.until(runId, hasWords(5));
      await operator.abort(runId);
      const parts = await operator.ended(runId);
      answer(parts, 'error');
      const count = parts.length;
      // Another run, from beginning to end, gives anything that is late the time to show.
      await operator.ended(await operator.send(prompts.short));
      equal((await operator.parts(runId)).length, count);
    },
  },
  ...(['allow', 'deny'] as const).map(
    (decision): ConformanceCase => ({
      name: `an approval is asked once, and its answer reaches the run: ${decision}`,
      needs: 'approval',
      async run({ operator, prompts }) {
        const runId = await operator.send(prompts.approval as string);
        const said = answer(await decideWhenAsked(operator, runId, decision), 'end');
        ok(said.includes(decision), said);
      },
    }),
  ),
  {
    name: 'an approval that waits outlives the agent',
    needs: 'approval',
    async run({ operator, prompts, killAgent, startAgent }) {
      const runId = await operator.send(prompts.approval as string);
      await operator.until(runId, (parts) => parts.some(isAsked));
      await killAgent();
      await startAgent();
      const parts = await decideWhenAsked(operator, runId, 'allow');
      equal(
        new Set(parts.filter(isAsked).map((part) => (part.stream === 'approval' ? part.data.approvalId : ''))).size,
        1,
      );
      ok(answer(parts, 'end').includes('allow'));
    },
  },
  {
    name: 'a steering message is taken in once',
    needs: 'steering',
    async run({ operator, prompts }) {
      const runId = await operator.send(prompts.steering as string);
      await operator.until(runId, hasWords(1));
      await operator.steer(runId, 'turn left');
      const parts = await operator.ended(runId);
      ok(answer(parts, 'end').includes('turn left'));
      equal(parts.filter((part) => part.stream === 'item' && part.data.kind === 'steered').length, 1);
    },
  },
  {
    name: 'a killed gateway costs a run nothing',
    needs: 'long',
    async run({ operator, prompts, killGateway }) {
      const runId = await operator.send(prompts.long);
      await operator.until(runId, hasWords(5));
      await killGateway();
      checkLong(await operator.ended(runId), prompts);
    },
  },
  {
    name: 'a killed agent costs a run nothing: the next one goes on with it',
    needs: 'long',
    async run({ operator, prompts, killAgent, startAgent }) {
      const runId = await operator.send(prompts.long);
      await operator.until(runId, hasWords(5));
      await killAgent();
      await startAgent();
      checkLong(await operator.ended(runId), prompts);
    },
  },
  {
    name: 'gateway and agent, killed one after the other, cost a run nothing',
    needs: 'long',
    async run({ operator, prompts, killAgent, killGateway, startAgent }) {
      const runId = await operator.send(prompts.long);
      for (const words of [3, 6]) {
        await operator.until(runId, hasWords(words));
        await killGateway();
        await killAgent();
        await startAgent();
      }
      checkLong(await operator.ended(runId), prompts);
    },
  },
  {
    name: 'a run in steps is continued after its last finished step, and no tool is carried out twice',
    needs: 'steps',
    async run({ operator, prompts, killAgent, startAgent }) {
      const whole = answer(await operator.ended(await operator.send(prompts.steps as string)), 'end');
      const runId = await operator.send(prompts.steps as string);
      await operator.until(runId, (parts) => parts.some((part) => part.stream === 'item' && part.data.kind === 'step'));
      await killAgent();
      await startAgent();
      const parts = await operator.ended(runId);
      equal(answer(parts, 'end'), whole);
      const results = parts.flatMap((part) =>
        part.stream === 'tool' && part.data.phase === 'result' ? [part.data.toolCallId] : [],
      );
      deepEqual(results, [...new Set(results)]);
    },
  },
  {
    name: 'a run that was sent while no agent was there is worked on when one comes',
    needs: 'short',
    async run({ operator, prompts, killAgent, startAgent }) {
      await killAgent();
      const runId = await operator.send(prompts.short);
      await startAgent();
      answer(await operator.ended(runId), 'end');
    },
  },
];

/** The answer's text; asserts that every delta fits its part, and that exactly one terminal, of this phase, comes last. */
function answer(parts: readonly RunPart[], phase: 'end' | 'error'): string {
  const lengths = new Map<string, number>();
  for (const part of parts) {
    if (part.stream !== 'assistant' && part.stream !== 'thinking') continue;
    const { itemId, at, delta, replace } = part.data;
    const key = `${part.stream} ${itemId}`;
    if (!replace) equal(at, lengths.get(key) ?? 0, `a delta of ${itemId} begins where the one before ends`);
    lengths.set(key, (replace ? 0 : at) + delta.length);
  }
  const terminals = parts.filter(
    (part) => part.stream === 'lifecycle' && (part.data.phase === 'end' || part.data.phase === 'error'),
  );
  equal(terminals.length, 1, 'one terminal part');
  const last = parts.at(-1);
  equal(last, terminals[0], 'the terminal part is the last');
  equal(last?.stream === 'lifecycle' ? last.data.phase : undefined, phase, JSON.stringify(last));
  return spoken(parts, 'assistant');
}

function checkLong(parts: readonly RunPart[], { longText }: ConformancePrompts): void {
  const said = answer(parts, 'end');
  if (longText !== undefined) equal(said, longText);
  else ok(said !== '');
}

function hasWords(count: number): (parts: readonly RunPart[]) => boolean {
  return (parts) => spoken(parts, 'assistant').split(/\s+/).filter(Boolean).length >= count;
}

function isAsked(part: RunPart): boolean {
  return part.stream === 'approval' && part.data.phase === 'requested';
}

async function decideWhenAsked(operator: ConformanceOperator, runId: string, decision: 'allow' | 'deny') {
  await operator.until(runId, (parts) => parts.some(isAsked));
  const asked = (await operator.parts(runId)).find(isAsked);
  ok(asked?.stream === 'approval');
  await operator.decide(asked.data.approvalId, decision);
  return operator.ended(runId);
}
