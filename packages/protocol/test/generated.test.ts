import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { snapshotText } from '../scripts/contract-snapshot.ts';
import { methodTableSource } from '../scripts/method-table.ts';
import { referencePage } from '../scripts/reference-page.ts';
import { asyncApiDocument, contractSchema } from '../src/index.ts';

test.each([
  ['src/method-table.gen.ts', methodTableSource],
  ['protocol.schema.json', () => `${JSON.stringify(contractSchema(), null, 1)}\n`],
  ['asyncapi.json', () => `${JSON.stringify(asyncApiDocument(), null, 1)}\n`],
  ['../../docs/gateway/reference.md', referencePage],
  ['test/contract.snapshot.json', snapshotText],
])('%s is what the declarations say (npm run generate)', (path, make) => {
  const committed = readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
  expect(committed === make(), `${path} is stale: run \`npm run generate\` and commit what it writes`).toBe(true);
});
