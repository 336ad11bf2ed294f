import { writeFileSync } from 'node:fs';
import { contractSchema } from '../src/schema.ts';
import { methodTableSource } from './method-table.ts';
import { referencePage } from './reference-page.ts';

const root = new URL('../', import.meta.url);
writeFileSync(new URL('src/method-table.gen.ts', root), methodTableSource());
writeFileSync(new URL('protocol.schema.json', root), `${JSON.stringify(contractSchema(), null, 1)}\n`);
writeFileSync(new URL('../../docs/gateway/reference.md', root), referencePage());
