// A gateway on the default store whose agent works in a thread of its own, as the program's does, but is one of the bench's.
// Arguments: state directory, token.
import { MessageChannel, Worker } from 'node:worker_threads';
import { portTransport } from '@openclaw/protocol';
import { createGateway } from '@openclaw/server';
import { sqliteStore } from '@openclaw/store-sqlite';

const [directory = '', token = ''] = process.argv.slice(2);
const gateway = await createGateway({
  store: sqliteStore({ directory }),
  auth: { mode: 'token', token },
  // One connection asks as often as it can.
  limits: { requestsPerSecond: 1e9, requestBurst: 1e9 },
});
const { port1, port2 } = new MessageChannel();
const worker = new Worker(new URL('./clock-agent.ts', import.meta.url), { workerData: port2, transferList: [port2] });
worker.once('message', async () => {
  const { port } = await gateway.listen({ port: 0 });
  console.log(`listening ${port}`);
});
gateway.accept(portTransport(port1), { role: 'agent', id: 'main' });
