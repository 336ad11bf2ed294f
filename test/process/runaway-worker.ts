// The script of an agent's worker that goes wrong as it is told, at the first attempt only.
import { type MessagePort, workerData } from 'node:worker_threads';
import { defineAgent, servePort } from '@openclaw/plugin-sdk';

const { port } = workerData as { port: MessagePort };

/** Emits for ever, over the heads of the SDK and of every limit. */
function flood(runId: string): never {
  for (let n = 2; ; n++) {
    const delta = { stream: 'thinking', data: { itemId: 'flood', at: 0, delta: 'x', replace: true } };
    port.postMessage(
      JSON.stringify({ type: 'req', id: `flood-${n}`, method: 'run.emit', params: { runId, n, parts: [delta] } }),
    );
    // A pause, so that memory is not what ends it.
    if (n % 100 === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  }
}

const agent = defineAgent({
  resumable: true,
  async *run({ text, attempt, runId }) {
    yield 'before ';
    // Until what was said is with the gateway.
    await new Promise((resolve) => setTimeout(resolve, 200));
    if (attempt === 1 && text !== 'be well') {
      if (text === 'loop') for (;;);
      if (text === 'flood') flood(runId);
      if (text === 'exit') process.exit(3);
      setImmediate(() => Promise.reject(new Error('nobody catches this')));
      await new Promise(() => undefined);
    }
    yield 'and after';
  },
});
await servePort(agent, port).closed;
