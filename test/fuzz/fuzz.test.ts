import { expect, test } from 'vitest';
import { fuzz } from './run.ts';

/** A share of `npm run fuzz`, with a seed that stays, so that a failure here is the same failure tomorrow. */
const options = { inputs: 10_000, seed: 20_260_701 };

test('no frame, handshake or HTTP request of 10,000 made-up ones breaks the gateway or shows what is of another', {
  timeout: 120_000,
}, async () => {
  const { findings, ...counts } = await fuzz(options);
  console.log(`fuzz: seed ${options.seed}, ${JSON.stringify(counts)}`);
  expect(findings).toEqual([]);
  expect(counts.frames + counts.connects + counts.requests).toBe(options.inputs);
  // It would find nothing if it never got in, never got an answer, or nobody could see the words that are hidden.
  expect(counts.sightings).toBeGreaterThan(0);
  expect(counts.admitted).toBeGreaterThan(0);
  expect(counts.statuses['200']).toBeGreaterThan(0);
});
