import { expect, test } from 'vitest';
import { Station } from './station.ts';
import { textOf } from './words.ts';

test.concurrent.each([
  ['loop', /event loop stood still/],
  ['flood', /cut it off/],
  ['throw', /nobody catches this/],
  ['exit', /it ended/],
])(
  'a worker that goes wrong (%s) harms nobody: the gateway answers, a new worker goes on with the run',
  {
    timeout: 60_000,
  },
  async (how, why) => {
    const station = await Station.open({ file: 'test/process/runaway-gateway.ts' });
    try {
      const client = station.client();
      const states: string[] = [];
      await client.request('ping');
      client.on('state', ({ state, code }) => states.push(`${state} ${code}`));
      const run = client.session('main').send(how);
      let pings = 0;
      let isOver = false;
      const pinging = (async () => {
        while (!isOver) {
          await client.request('ping');
          pings++;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      })();
      expect(textOf(await run.final)).toBe('before and after');
      isOver = true;
      await pinging;
      expect(pings).toBeGreaterThan(10);
      expect(states).toEqual([]);
      expect(station.gateway.output.match(/The agent stopped .*/g)).toEqual([expect.stringMatching(why)]);
      expect(textOf(await client.session('main').send('be well').final)).toBe('before and after');
    } finally {
      await station.dispose();
    }
  },
);
