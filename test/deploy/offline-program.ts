import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '@openclaw/client';
import { Child } from '../process/child.ts';

// Runs inside an empty network: the gateway as its users start it, and a client that talks to its demo agent.
const directory = mkdtempSync(join(tmpdir(), 'gateway-offline-'));
const gateway = new Child('apps/gateway/src/main.ts', ['--port', '0', '--state-dir', join(directory, 'state')]);
try {
  const [, url = ''] = await gateway.printed(/at (http:\/\/\S+),/);
  const token = readFileSync(join(directory, 'state', 'token'), 'utf8').trim();
  const client = connect({ url: url.replace('http', 'ws'), token });
  const { content } = await client.session('main').send('hello from an empty network').final;
  client.close();
  console.log(`answer: ${JSON.stringify(content)}`);
  gateway.signal('SIGTERM');
  const { code } = await gateway.exited;
  console.log(`gateway exit: ${code}`);
} finally {
  if (!gateway.hasExited) await gateway.kill();
  rmSync(directory, { recursive: true, force: true });
}
