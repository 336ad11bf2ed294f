// The gateway inside a server that you already have, with an agent in the same process. Asserts what it shows; exits 0 or 1.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from '@openclaw/client';
import { defineAgent, serve, thinking } from '@openclaw/plugin-sdk';
import { memoryTransportPair } from '@openclaw/protocol';
import { createGateway } from '@openclaw/server';

const echo = defineAgent({
  async *run({ text }) {
    yield thinking('What was said?');
    yield 'You said: ';
    yield text;
  },
});

// Your own server, with its own routes.
const server = createServer((_request, response) => response.end('my own page'));
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address() as AddressInfo;

// The gateway takes WebSocket upgrades at /gateway, and its few routes such as /health; everything else stays yours.
const token = randomBytes(32).toString('base64url');
const gateway = await createGateway({ auth: { mode: 'token', token } });
gateway.attach(server, { path: '/gateway' });

// The agent speaks the same protocol over a pair of transports in memory; in production give it a worker thread.
const [agentSide, gatewaySide] = memoryTransportPair();
gateway.accept(gatewaySide, { role: 'agent', id: 'main' });
const agent = serve(echo, agentSide);
await agent.ready;

const client = connect({ url: `ws://127.0.0.1:${port}/gateway`, token });
const run = client.session('main').send('hello from the same process');
let answer = '';
for await (const part of run) if (part.type === 'text') answer += part.delta;
console.log(answer);

assert.equal(answer, 'You said: hello from the same process');
assert.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'my own page');
assert.deepEqual(await (await fetch(`http://127.0.0.1:${port}/health`)).json(), { ok: true, status: 'live' });

client.close();
await agent.close();
await gateway.close();
server.close();
