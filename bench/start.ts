import { join } from 'node:path';
import { type Figure, range } from './figure.ts';
import { type GatewayProgram, startProgram } from './gateway-program.ts';
import { WireClient } from './wire-client.ts';
import type { Workplace } from './workplace.ts';

const startCount = 7;
const goal = '800 / 350 ms';

/** From the start of the process to hello-ok, and to the answer of `chat.history`. */
export async function startFigures(workplace: Workplace): Promise<Figure[]> {
  const empty = await starts(() => workplace.directory(), workplace);
  const cold = await starts(
    () => workplace.directory(),
    workplace,
    () => ({
      NODE_COMPILE_CACHE: workplace.directory(),
    }),
  );
  const full = await filledState(workplace);
  const afterKill = await starts(
    () => workplace.directory(full),
    workplace,
    () => ({}),
    'session-7',
  );
  return [
    {
      what: 'start → hello-ok, empty state',
      value: range(empty.hello),
      goal,
      note: `process start included, ${startCount} starts, middle (least – most)`,
    },
    { what: 'start → chat.history, empty state', value: range(empty.history), goal },
    { what: 'the same, nothing in the compile cache', value: range(cold.hello), goal, note: 'the very first start' },
    {
      what: 'start → hello-ok, 100,000 events, 500 sessions, kill -9',
      value: range(afterKill.hello),
      goal,
      note: '16 runs were in progress at the kill; nothing was merged or checkpointed before it',
    },
    { what: 'start → chat.history of one of them', value: range(afterKill.history), goal },
  ];
}

/** A state directory of the program, filled and left by a `kill -9`. */
async function filledState(workplace: Workplace): Promise<string> {
  const directory = workplace.directory();
  // The program makes the directory its own; nothing else may.
  const program = await startProgram(workplace, { stateDirectory: directory });
  await program.kill();
  const fill = workplace.run(join(import.meta.dirname, 'programs/fill-state.ts'), [directory, '100000', '500']);
  const signal = await new Promise((resolve) => fill.once('exit', (_, by) => resolve(by)));
  if (signal !== 'SIGKILL') throw new Error('The state could not be filled; what failed is above.');
  return directory;
}

async function starts(
  stateDirectory: () => string,
  workplace: Workplace,
  env: () => Record<string, string> = () => ({}),
  sessionKey = 'main',
): Promise<{ hello: number[]; history: number[] }> {
  const hello: number[] = [];
  const history: number[] = [];
  for (let count = 0; count < startCount; count++) {
    const options = { stateDirectory: stateDirectory(), env: env() };
    const startedAt = performance.now();
    const program: GatewayProgram = await startProgram(workplace, options);
    const client = await WireClient.hello(program.url, program.token);
    hello.push(performance.now() - startedAt);
    await client.request('chat.history', { sessionKey });
    history.push(performance.now() - startedAt);
    client.close();
    await program.kill();
  }
  return { hello, history };
}
