import { connect } from '@openclaw/client';
import type { Figure } from './figure.ts';
import type { GatewayProgram } from './gateway-program.ts';

const runCount = 100;
const sessionCount = 25;

/** Memory of the whole process, store and agent worker included, at rest and after runs of the demo agent. */
export async function memoryFigures(program: GatewayProgram): Promise<Figure[]> {
  if (process.platform !== 'linux') return [{ what: 'memory', value: 'measured on Linux only' }];
  const client = connect({ url: program.url, token: program.token });
  await client.request('health');
  const atStart = program.pssBytes();
  const sessions = Array.from({ length: sessionCount }, async (_, index) => {
    const session = client.session(`memory-${index}`);
    for (let run = 0; run < runCount / sessionCount; run++) await session.send('hello').final;
  });
  await Promise.all(sessions);
  const afterRuns = program.pssBytes();
  client.close();
  return [
    {
      what: 'memory after start',
      value: megabytes(atStart),
      note: 'PSS of the process with its two worker threads; the pages of Node itself are shared with what else runs on it',
    },
    {
      what: `memory after ${runCount} runs`,
      value: megabytes(afterRuns),
      goal: '160 / 125 MB',
      note: `demo agent, ${sessionCount} sessions at once, read by one client`,
    },
  ];
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
