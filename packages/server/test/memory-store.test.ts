import { describe, expect, test } from 'vitest';
import { memoryStore } from '../src/streams/memory-store.ts';
import { storeConformance } from '../src/streams/store-conformance.ts';

describe('the memory store keeps the promises of a store', () => {
  for (const { name, run } of storeConformance) test(name, () => run(memoryStore));
});

test('two memory stores share nothing', async () => {
  const [one, other] = [memoryStore(), memoryStore()];
  await one.open();
  await other.open();
  const bytes = Buffer.from('{}');
  await one.commit({
    appends: [{ stream: 'system', epoch: 'e', records: [{ offset: 1, bytes }] }],
    ledger: [],
    documents: [],
    media: [],
    deletes: [],
    durable: false,
  });
  expect(await other.read('system', { after: 0, maxCount: 9, maxBytes: 99 })).toEqual([]);
});
