/**
 * `npm run figures`: what the gateway costs and how quick it is, measured on the built program, as a table. Takes two to three
 * minutes. Everything runs on this machine, over loopback, in directories and processes that are gone afterwards.
 * `npm run figures -- start disk` prints only those.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleFigures } from './bundle.ts';
import { busyAgentFigures } from './busy-agent.ts';
import { connectFigures } from './connecting.ts';
import { diskFigures } from './disk.ts';
import { type Figure, table } from './figure.ts';
import { agentDeltaFigures, modelDeltaFigures } from './first-delta.ts';
import { startProgram } from './gateway-program.ts';
import { load, machineLines } from './machine.ts';
import { memoryFigures } from './memory.ts';
import { requestFigures } from './requests.ts';
import { resumeFigures } from './resuming.ts';
import { startFigures } from './start.ts';
import { Workplace } from './workplace.ts';

const workplace = new Workplace();
const token = 'figures';

/** What can be measured, in the order of the table. */
const measures: Record<string, () => Promise<Figure[]>> = {
  start: () => startFigures(workplace),
  memory: async () => memoryFigures(await freshProgram()),
  connect: async () => connectFigures(await freshProgram(), await peerUrl()),
  health: async () => requestFigures(await hurriedProgram(), await peerUrl()),
  delta: async () => [
    ...(await modelDeltaFigures(workplace)),
    ...(await agentDeltaFigures(await agentGateway(), token)),
  ],
  busy: async () => busyAgentFigures(await agentGateway(), token),
  bundle: () => bundleFigures(),
  disk: () => diskFigures(workplace),
  resume: async () => resumeFigures(await freshProgram()),
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(measures, name));
if (unknown.length > 0) {
  console.error(`There is no figure ${unknown.join(', ')}. There are: ${Object.keys(measures).join(', ')}.`);
  process.exit(1);
}

const loadBefore = load();
const figures: Figure[] = [];
try {
  for (const [name, measure] of Object.entries(measures)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    console.error(`measuring ${name} …`);
    figures.push(...(await measure()));
  }
} finally {
  await workplace.dispose();
}
console.log(`\n${machineLines()}\nLoad average before ${loadBefore}, after ${load()}.\n\n${table(figures)}`);

/** One that takes as many requests as a connection can send: what is measured is what they cost, not what is allowed. */
function hurriedProgram() {
  const stateDirectory = workplace.directory();
  mkdirSync(stateDirectory, { mode: 0o700 });
  const limits = { requestsPerSecond: 1e9, requestBurst: 1e9 };
  writeFileSync(join(stateDirectory, 'config.json5'), JSON.stringify({ limits }));
  return startProgram(workplace, { stateDirectory });
}

function freshProgram() {
  return startProgram(workplace, { stateDirectory: workplace.directory() });
}

async function peerUrl(): Promise<string> {
  const { port } = await workplace.serve(join(import.meta.dirname, 'programs/json-peer.ts'));
  return `ws://127.0.0.1:${port}`;
}

async function agentGateway(): Promise<string> {
  const script = join(import.meta.dirname, 'programs/agent-gateway.ts');
  const { port } = await workplace.serve(script, [workplace.directory(), token]);
  return `ws://127.0.0.1:${port}`;
}
