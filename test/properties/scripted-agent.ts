import {
  type Agent,
  type AgentPart,
  DeniedError,
  defineAgent,
  end,
  fail,
  notice,
  step,
  thinking,
  usage,
} from '@openclaw/plugin-sdk';
import { seededRandom } from '@openclaw/protocol/testing';
import type { Process } from './simulation.ts';

interface ScriptedStep {
  thoughts: number;
  /** Deltas before and after the tool; each of `units` UTF-16 units at least. */
  before: number;
  after: number;
  units: number;
  tool?: { toolCallId?: string; safe: boolean; asks: boolean };
  notices: boolean;
}

/** What a run does, decided by its id. */
export interface Script {
  steps: ScriptedStep[];
  ending: 'return' | 'end' | 'throw' | 'fail';
  paceMs: number;
}

/** What agents did in the world, whichever process did it. */
export class AgentBook {
  /** How often `run` was called, by runId. */
  readonly attempts = new Map<string, number>();
  /** How often a tool that is not safe was executed, by run and tool. */
  readonly unsafeExecutions = new Map<string, number>();

  count(counts: Map<string, number>, key: string): void {
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
}

export function scriptOf(runId: string): Script {
  const random = seededRandom(hash(runId));
  const integer = (least: number, most: number) => least + Math.floor(random() * (most - least + 1));
  const isBig = random() < 0.06;
  const steps = Array.from({ length: integer(1, 3) }, (_, index): ScriptedStep => {
    const hasTool = random() < 0.45;
    return {
      thoughts: random() < 0.3 ? integer(1, 3) : 0,
      before: integer(0, 4),
      after: integer(hasTool ? 0 : 1, 4),
      units: isBig ? integer(500, 2_000) : integer(1, 12),
      ...(hasTool
        ? {
            tool: {
              ...(random() < 0.5 ? { toolCallId: `call-${index}` } : {}),
              safe: random() < 0.5,
              asks: random() < 0.25,
            },
          }
        : {}),
      notices: random() < 0.15,
    };
  });
  const endings = ['return', 'return', 'return', 'return', 'end', 'end', 'throw', 'fail'] as const;
  return {
    steps,
    ending: endings[integer(0, endings.length - 1)] ?? 'return',
    paceMs: random() < 0.3 ? 0 : integer(5, 400),
  };
}

/** The words of one delta: unlike any other, so that a doubled, lost or moved one shows. */
function words(runId: string, index: number, part: string, variant: number, { units }: ScriptedStep): string {
  return `[${runId} ${index}${part} v${variant}]`.padEnd(units, '…é');
}

/** The answer's text of one step, as an attempt says it. */
export function stepText(runId: string, index: number, variant: number): string {
  const scripted = scriptOf(runId).steps[index] as ScriptedStep;
  let text = '';
  for (let count = 0; count < scripted.before; count++) text += words(runId, index, `b${count}`, variant, scripted);
  for (let count = 0; count < scripted.after; count++) text += words(runId, index, `a${count}`, variant, scripted);
  return text;
}

/** Whether `text` is the whole answer: every step once, in order, each as one of the attempts said it. */
export function isWholeAnswer(runId: string, text: string, attempts: number): boolean {
  const { steps } = scriptOf(runId);
  const match = (index: number, rest: string): boolean => {
    if (index === steps.length) return rest === '';
    for (let variant = 1; variant <= attempts; variant++) {
      const said = stepText(runId, index, variant);
      if (rest.startsWith(said) && match(index + 1, rest.slice(said.length))) return true;
    }
    return false;
  };
  return match(0, text);
}

/** An agent that says what its script says; a fickle one says it in other words at each attempt. */
export function scriptedAgent(
  process: Process,
  book: AgentBook,
  { resumable, isFickle }: { resumable: boolean; isFickle: boolean },
): Agent {
  return defineAgent({
    id: 'main',
    resumable,
    async *run({ runId, attempt, journal, call, takeSteering }): AsyncGenerator<AgentPart> {
      book.count(book.attempts, runId);
      const { steps, ending, paceMs } = scriptOf(runId);
      const variant = isFickle ? attempt : 1;
      const random = seededRandom(hash(`${runId} ${attempt}`));
      const pause = () => (random() < 0.6 ? process.sleep(random() * paceMs) : Promise.resolve());
      for (let index = journal.steps.length; index < steps.length; index++) {
        const scripted = steps[index] as ScriptedStep;
        for (let count = 0; count < scripted.thoughts; count++) {
          await pause();
          yield thinking(words(runId, index, `t${count}`, variant, scripted));
        }
        for (let count = 0; count < scripted.before; count++) {
          await pause();
          yield words(runId, index, `b${count}`, variant, scripted);
        }
        if (scripted.tool) {
          const { toolCallId, safe, asks } = scripted.tool;
          const named = { ...(toolCallId ? { toolCallId } : {}), name: 'work', safe, args: { index } };
          const approval = asks ? { approval: { title: `May I, in ${runId}?` } } : {};
          try {
            yield* call({ ...named, ...approval }, async () => {
              if (!safe) book.count(book.unsafeExecutions, `${runId} ${index}`);
              await process.sleep(random() * paceMs);
              return { done: index };
            });
          } catch (error) {
            if (!(error instanceof DeniedError)) throw error;
          }
        }
        for (let count = 0; count < scripted.after; count++) {
          await pause();
          yield words(runId, index, `a${count}`, variant, scripted);
        }
        for (const { text } of takeSteering()) yield notice(`taken: ${text.slice(0, 40)}`);
        if (scripted.notices) yield notice(`step ${index} is done`);
        yield step();
      }
      yield usage({ outputTokens: steps.length });
      await pause();
      if (ending === 'throw') throw new Error('the script says so');
      if (ending === 'fail') yield fail('the script says so');
      if (ending === 'end') yield end({ stopReason: 'stop' });
    },
  });
}

function hash(text: string): number {
  let value = 2_166_136_261;
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 16_777_619);
  return value >>> 0;
}
