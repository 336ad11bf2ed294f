import { connect } from '@openclaw/client';
import { type Figure, spread } from './figure.ts';
import { WireClient } from './wire-client.ts';

const burnSeconds = 5;

/** `health` while the agent computes without a pause. `url` is an agent-gateway's. */
export async function busyAgentFigures(url: string, token: string): Promise<Figure[]> {
  const client = connect({ url, token });
  const health = await WireClient.hello(url, token);
  const run = client.session('burn').send(`burn ${burnSeconds}`);
  const samples: number[] = [];
  for await (const part of run) {
    if (part.type === 'text') break;
  }
  let isBurning = true;
  const over = run.final.finally(() => {
    isBurning = false;
  });
  while (isBurning) {
    const sentAt = performance.now();
    await health.request('health');
    samples.push(performance.now() - sentAt);
    // One at a time and some time apart, as a monitor asks: it is the gateway that is looked at, not how much it can take.
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await over;
  health.close();
  client.close();
  return [
    {
      what: `health while the agent burns its CPU for ${burnSeconds} s`,
      value: spread(samples),
      goal: 'p99 20 / 5 ms',
      note: `agent in a worker; ${samples.length.toLocaleString('en')} requests`,
    },
  ];
}
