// Fills a state directory through a gateway until it holds `events` events of `sessions` sessions, then kills itself with
// `kill -9`, with runs in progress. Arguments: directory, events, sessions.
import { defineAgent, serve, thinking } from '@openclaw/plugin-sdk';
import { memoryTransportPair } from '@openclaw/protocol';
import { createGateway } from '@openclaw/server';
import { sqliteStore } from '@openclaw/store-sqlite';
import { WireClient } from '../wire-client.ts';

const [directory = '', wantedEvents = '', sessionCount = ''] = process.argv.slice(2);
const wanted = Number(wantedEvents);
const sessions = Number(sessionCount);
const token = 'fill';

const store = sqliteStore({ directory });
const commit = store.commit.bind(store);
let committed = 0;
store.commit = async (batch) => {
  await commit(batch);
  for (const { records } of batch.appends) committed += records.length;
  if (committed >= wanted) process.kill(process.pid, 'SIGKILL');
};

let ended = 0;
const talker = defineAgent({
  resumable: true,
  async *run() {
    yield thinking('Many words, then.');
    // Words of one tick share a commit and words that wait share an event: a pause makes each an event of its own.
    for (let word = 0; committed < (wanted * (ended + 1)) / sessions || ended === sessions - 1; word++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      yield `word${word} `;
    }
    ended++;
  },
});

// One connection asks as often as it can.
const limits = { requestsPerSecond: 1e9, requestBurst: 1e9 };
const gateway = await createGateway({ store, auth: { mode: 'token', token }, limits });
const [agentSide, gatewaySide] = memoryTransportPair();
gateway.accept(gatewaySide, { role: 'agent', id: 'main' });
await serve(talker, agentSide).ready;
const { port } = await gateway.listen({ port: 0 });
const client = await WireClient.hello(`ws://127.0.0.1:${port}`, token);

let started = 0;
const lanes = Array.from({ length: 16 }, async () => {
  while (started < sessions) {
    const index = started++;
    const sessionKey = `session-${index}`;
    await client.request('chat.send', { sessionKey, message: 'Talk.', idempotencyKey: `run-${index}` });
    await client.request('agent.wait', { runId: `run-${index}`, timeoutMs: 60_000 });
  }
});
await Promise.all(lanes);
