// The script of a worker thread that serves the chosen agent over the port that it was given.
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { servePort } from '@openclaw/plugin-sdk';
import { type AgentChoice, chosenAgent } from './chosen-agent.ts';

const { choice, port } = workerData as { choice: AgentChoice; port: MessagePort };
await servePort(await chosenAgent(choice), port).ready;
parentPort?.postMessage('ready');
