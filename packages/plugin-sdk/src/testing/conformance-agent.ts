import { type Clock, systemClock } from '@openclaw/protocol/wire';
import { type Agent, defineAgent } from '../agent.ts';
import { step, thinking } from '../part.ts';

/** What {@link conformanceAgent} can be asked. */
export const conformancePrompts = {
  short: 'say hello',
  shortText: 'hello',
  long: 'count 60',
  longText: Array.from({ length: 60 }, (_, index) => `${index + 1} `).join(''),
  steps: 'steps 4',
  failing: 'fail',
  approval: 'ask',
  steering: 'listen',
} as const;

/**
 * An agent that does what it is told, for the conformance cases: `say …`, `count N`, `steps N`, `ask`, `listen`, `fail`. It
 * pauses `paceMs` (default 5) between numbers.
 */
export function conformanceAgent({
  paceMs = 5,
  clock = systemClock(),
}: {
  paceMs?: number;
  clock?: Clock;
} = {}): Agent {
  const pause = () => new Promise<void>((resolve) => clock.schedule(resolve, paceMs));
  return defineAgent({
    name: 'Conformance agent',
    resumable: true,
    async *run({ text, journal, call, approve, steering }) {
      const [command, argument = ''] = text.split(/ (.*)/s);
      switch (command) {
        case 'say':
          yield thinking('What was I told to say?');
          yield argument;
          return;
        case 'count':
          for (let number = 1; number <= Number(argument); number++) {
            yield `${number} `;
            await pause();
          }
          return;
        case 'steps':
          for (let count = journal.steps.length + 1; count <= Number(argument); count++) {
            yield `step ${count}: `;
            await pause();
            yield yield* call({ name: 'square', args: { count }, safe: true }, () => `${count * count}; `);
            await pause();
            yield step();
          }
          return;
        case 'ask':
          yield `It was: ${await approve({ title: 'May I?', toolCallId: 'ask' })}`;
          return;
        case 'listen':
          yield 'Listening.';
          for await (const { text: words } of steering) {
            yield ` Heard ${words}.`;
            return;
          }
          return;
        case 'fail':
          throw new Error('as told');
        default:
          yield `I do not know ${command}.`;
      }
    },
  });
}
