// A gateway without an agent of its own, on the real store: for agents that are processes of their own.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createGateway } from '@openclaw/server';
import { sqliteStore } from '@openclaw/store-sqlite';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'state-dir': { type: 'string', default: '' },
    'agent-grace-ms': { type: 'string', default: '30000' },
  },
});
const directory = values['state-dir'];
const token = 'operator-token';
mkdirSync(directory, { recursive: true, mode: 0o700 });
writeFileSync(join(directory, 'token'), token, { mode: 0o600 });

const gateway = await createGateway({
  store: sqliteStore({ directory }),
  auth: { mode: 'token', token },
  agentGraceMs: Number(values['agent-grace-ms']),
  onWarning: (warning, cause) => console.error(`WARNING ${warning}`, cause),
});
const { port } = await gateway.listen({ port: Number(values.port) });
console.log(`Serving at http://127.0.0.1:${port}`);
