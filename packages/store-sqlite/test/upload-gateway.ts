// A gateway on this store in a process of its own, which tells how much memory it has needed: see uploads.test.ts.
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createGateway } from '@openclaw/server';
import { sqliteStore } from '../src/index.ts';

const [directory, token] = process.argv.slice(2) as [string, string];
const gateway = await createGateway({
  auth: { mode: 'token', token },
  store: sqliteStore({ directory }),
  uploads: { maxBytes: 300 * 1_048_576 },
});
const { port } = await gateway.listen({ port: 0 });
let peak = 0;
const look = () => {
  peak = Math.max(peak, process.memoryUsage.rss());
};
setInterval(look, 20).unref();
const say = (line: unknown) => writeSync(1, `${JSON.stringify(line)}\n`);
say({ port });
createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'begin') peak = 0;
  look();
  say({ peak });
});
