import { connect } from '@openclaw/client';
import { type Figure, spread } from './figure.ts';
import type { GatewayProgram } from './gateway-program.ts';
import { WireClient } from './wire-client.ts';

const rounds = 200;
const warmUpRounds = 20;

/** From the dial to hello-ok: our client, a thin one, and beside them what an upgrade and one answer of bare `ws` take. */
export async function connectFigures(program: GatewayProgram, peerUrl: string): Promise<Figure[]> {
  const kinds: Record<'ours' | 'thin' | 'bare', () => Promise<() => void>> = {
    async ours() {
      const client = connect({ url: program.url, token: program.token });
      await new Promise<void>((resolve) => client.on('state', ({ state }) => state === 'live' && resolve()));
      return () => client.close();
    },
    async thin() {
      const client = await WireClient.hello(program.url, program.token);
      return () => client.close();
    },
    async bare() {
      const client = await WireClient.open(peerUrl);
      await client.request('connect');
      return () => client.close();
    },
  };
  const samples: Record<keyof typeof kinds, number[]> = { ours: [], thin: [], bare: [] };
  // In turns, so that what else the machine does falls on all alike.
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (const [kind, dial] of Object.entries(kinds) as [keyof typeof kinds, () => Promise<() => void>][]) {
      const startedAt = performance.now();
      const close = await dial();
      if (round >= 0) samples[kind].push(performance.now() - startedAt);
      close();
    }
  }
  return [
    {
      what: 'connect → hello-ok, @openclaw/client',
      value: spread(samples.ours),
      goal: 'p50 3 / 1.5 ms',
      note: `loopback, ${rounds} in turns with the next two`,
    },
    { what: 'connect → hello-ok, thin client', value: spread(samples.thin) },
    { what: 'peer: bare ws upgrade and one answer', value: spread(samples.bare) },
  ];
}
