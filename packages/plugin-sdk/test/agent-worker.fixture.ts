import { parentPort, workerData } from 'node:worker_threads';
import type { PortLike } from '@openclaw/protocol';
import { servePort } from '../src/index.ts';
import { conformanceAgent } from '../src/testing.ts';

await servePort(conformanceAgent(), workerData as PortLike).ready;
parentPort?.postMessage('ready');
