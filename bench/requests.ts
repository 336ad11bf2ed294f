import { type Figure, percentile, spread } from './figure.ts';
import type { GatewayProgram } from './gateway-program.ts';
import { WireClient } from './wire-client.ts';

const blocks = 9;
const requestsPerBlock = 4_000;

/** `health` on one connection, one at a time and 32 in flight, beside bare `ws` with JSON. */
export async function requestFigures(program: GatewayProgram, peerUrl: string): Promise<Figure[]> {
  const ours = await WireClient.hello(program.url, program.token);
  const peer = await WireClient.open(peerUrl);
  const figures: Figure[] = [];
  for (const inFlight of [1, 32]) {
    const results: Record<'ours' | 'peer', { rates: number[]; times: number[] }> = {
      ours: { rates: [], times: [] },
      peer: { rates: [], times: [] },
    };
    // In turns, so that what else the machine does falls on both alike. The first block of each warms up.
    for (let block = 0; block <= blocks; block++) {
      for (const [kind, client] of [['ours', ours] as const, ['peer', peer] as const]) {
        const { rate, times } = await load(client, inFlight);
        if (block === 0) continue;
        results[kind].rates.push(rate);
        results[kind].times.push(...times);
      }
    }
    const ratios = results.ours.rates.map((rate, block) => rate / (results.peer.rates[block] ?? Number.NaN));
    const rateOf = ({ rates, times }: (typeof results)['ours']) =>
      `${Math.round(percentile(rates, 0.5)).toLocaleString('en')} req/s, ${spread(times)}`;
    figures.push(
      {
        what: `health, one connection, ${inFlight === 1 ? 'one at a time' : `${inFlight} in flight`}`,
        value: rateOf(results.ours),
        ...(inFlight === 1 ? { goal: '5,000 / 10,000 req/s' } : {}),
        note: `${blocks} blocks of ${requestsPerBlock.toLocaleString('en')}; ${percentile(ratios, 0.5).toFixed(2)}x of the peer; without the limit on requests`,
      },
      { what: 'peer: bare ws + JSON, the same', value: rateOf(results.peer) },
    );
  }
  ours.close();
  peer.close();
  return figures;
}

async function load(client: WireClient, inFlight: number): Promise<{ rate: number; times: number[] }> {
  const times: number[] = [];
  let left = requestsPerBlock;
  const startedAt = performance.now();
  const lanes = Array.from({ length: inFlight }, async () => {
    while (left-- > 0) {
      const sentAt = performance.now();
      await client.request('health');
      times.push(performance.now() - sentAt);
    }
  });
  await Promise.all(lanes);
  return { rate: (requestsPerBlock / (performance.now() - startedAt)) * 1_000, times };
}
