// The script of a worker thread: an agent that says what time it is, or computes for as long as it is asked to.
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { defineAgent, servePort } from '@openclaw/plugin-sdk';
import { machineTimeMs } from '../stamp.ts';

const clockAgent = defineAgent({
  async *run({ text }) {
    const seconds = Number(/^burn (\d+)$/.exec(text)?.[1] ?? 0);
    yield `${machineTimeMs()} `;
    // The first words are on their way before the rest is said, or the computing begins.
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (const endAt = machineTimeMs() + seconds * 1_000; machineTimeMs() < endAt; );
    yield 'it is.';
  },
});

await servePort(clockAgent, workerData as MessagePort).ready;
parentPort?.postMessage('ready');
