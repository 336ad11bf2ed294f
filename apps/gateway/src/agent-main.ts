// The script of the agent's worker thread: serves the chosen agent over the port that it was given.
import { type MessagePort, workerData } from 'node:worker_threads';
import { servePort } from '@openclaw/plugin-sdk';
import { type AgentChoice, loadAgent } from './agent-choice.ts';

const { choice, port } = workerData as { choice: AgentChoice; port: MessagePort };
const serving = servePort(await loadAgent(choice, process.env), port);
const error = await serving.closed;
// A worker without its gateway is of no use; whoever started it decides what follows.
if (error) throw error;
