import { connect } from '@openclaw/client';
import { type Figure, spread } from './figure.ts';
import { startProgram } from './gateway-program.ts';
import { startModelEndpoint } from './model-endpoint.ts';
import { machineTimeMs } from './stamp.ts';
import type { Workplace } from './workplace.ts';

const runCount = 200;
const warmUpRuns = 10;
const sessionCount = 20;

/** From the model's first token to the client having it, through the program with its AI-SDK agent in a worker. */
export async function modelDeltaFigures(workplace: Workplace): Promise<Figure[]> {
  const { url: modelUrl, server } = await startModelEndpoint();
  const program = await startProgram(workplace, {
    stateDirectory: workplace.directory(),
    flags: ['--agent-url', modelUrl, '--agent-model', 'clock', '--agent-key', 'none'],
  });
  const samples = await firstDeltas(program.url, program.token);
  await program.kill();
  server.closeAllConnections();
  server.close();
  return [
    {
      what: "first delta after the model's first token",
      value: spread(samples),
      goal: 'p50/p99 5/15, 2/5 ms',
      note: `the token leaves an HTTP endpoint, AI SDK, worker, commit, WebSocket, client; ${runCount} runs`,
    },
  ];
}

/** The same without a model: from the agent yielding its first part to the client having it. `url` is an agent-gateway's. */
export async function agentDeltaFigures(url: string, token: string): Promise<Figure[]> {
  const samples = await firstDeltas(url, token);
  return [
    {
      what: 'first delta after the agent yields it',
      value: spread(samples),
      note: `agent in a worker, commit to the disk's WAL, WebSocket, client; ${runCount} runs`,
    },
  ];
}

/** Runs whose first text is the machine's time at which it was said. */
async function firstDeltas(url: string, token: string): Promise<number[]> {
  const client = connect({ url, token });
  const samples: number[] = [];
  for (let count = -warmUpRuns; count < runCount; count++) {
    const run = client.session(`delta-${Math.abs(count) % sessionCount}`).send('What time is it?');
    let isFirst = true;
    for await (const part of run) {
      if (part.type !== 'text' || !isFirst) continue;
      isFirst = false;
      if (count >= 0) samples.push(machineTimeMs() - Number.parseFloat(part.delta));
    }
  }
  client.close();
  return samples;
}
