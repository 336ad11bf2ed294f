import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { asyncApiDocument } from '../src/asyncapi.ts';
import { contractSchema } from '../src/schema.ts';
import { type Contract, contractChanges } from './contract-changes.ts';
import { contractSnapshot, snapshotText } from './contract-snapshot.ts';
import { methodTableSource } from './method-table.ts';
import { referencePage } from './reference-page.ts';

const root = new URL('../', import.meta.url);
writeFileSync(new URL('src/method-table.gen.ts', root), methodTableSource());
writeFileSync(new URL('protocol.schema.json', root), `${JSON.stringify(contractSchema(), null, 1)}\n`);
writeFileSync(new URL('asyncapi.json', root), `${JSON.stringify(asyncApiDocument(), null, 1)}\n`);
writeFileSync(new URL('../../docs/gateway/reference.md', root), referencePage());

// The snapshot takes in additions by itself; what removes or narrows something is somebody's decision.
const snapshot = new URL('test/contract.snapshot.json', root);
const changes = existsSync(snapshot)
  ? contractChanges(JSON.parse(readFileSync(snapshot, 'utf8')) as Contract, contractSnapshot())
  : [];
if (changes.length === 0 || process.argv.includes('--accept-breaking')) writeFileSync(snapshot, snapshotText());
else {
  console.error('This breaks peers that were written against the contract as it was:');
  for (const change of changes) console.error(`  - ${change}`);
  console.error('If that is meant: npm run generate -- --accept-breaking, and say so in a changeset.');
  process.exitCode = 1;
}
