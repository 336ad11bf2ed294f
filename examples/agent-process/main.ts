// An agent as its own process, over WebSocket with its role's token. Asserts what it shows; exits 0 or 1.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { connect } from '@openclaw/client';
import { createGateway } from '@openclaw/server';

const token = randomBytes(32).toString('base64url');
const gateway = await createGateway({ auth: { mode: 'token', token } });
const { port } = await gateway.listen({ port: 0 });
const url = `ws://127.0.0.1:${port}`;

// The shared token never grants the role `agent`: this one is good for the agent `main` only, and shown once.
const agentToken = await gateway.createToken({ role: 'agent', id: 'main' });
const agent = spawn(process.execPath, [...process.execArgv, fileURLToPath(new URL('agent.ts', import.meta.url))], {
  env: { ...process.env, OPENCLAW_GATEWAY_URL: url, AGENT_TOKEN: agentToken },
  stdio: ['ignore', 'inherit', 'inherit'],
});
const exited = once(agent, 'exit');

// Sent before the agent is there: the run waits for it.
const client = connect({ url, token });
const run = client.session('main').send('20');
let answer = '';
for await (const part of run) {
  if (part.type !== 'text') continue;
  answer += part.delta;
  process.stdout.write(part.delta);
}
process.stdout.write('\n');
assert.equal(answer, `Process ${agent.pid} counts: ${Array.from({ length: 20 }, (_, index) => index + 1).join(' ')}`);

agent.kill('SIGTERM');
assert.deepEqual(await exited, [0, null], 'the agent ends cleanly');
client.close();
await gateway.close();
