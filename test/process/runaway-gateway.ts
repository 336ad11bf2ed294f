// A gateway with its agent in a worker as the program has it; the agent goes wrong as it is told.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '@openclaw/protocol';
import { createGateway } from '@openclaw/server';
import { AgentWorker } from 'openclaw-ws-gateway/agents';

const { values } = parseArgs({
  options: { port: { type: 'string', default: '0' }, 'state-dir': { type: 'string', default: '' } },
});
const token = 'operator-token';
mkdirSync(values['state-dir'], { recursive: true });
writeFileSync(join(values['state-dir'], 'token'), token);

const gateway = await createGateway({ auth: { mode: 'token', token } });
const worker = new AgentWorker({
  choice: { kind: 'demo' },
  accept: (transport) => gateway.accept(transport, { role: 'agent', id: 'main' }),
  log: (line) => console.log(line),
  clock: systemClock(),
  script: new URL('./runaway-worker.ts', import.meta.url),
  stuckAfterMs: 2_000,
});
worker.start();
const { port } = await gateway.listen({ port: Number(values.port) });
console.log(`Serving at http://127.0.0.1:${port}`);
