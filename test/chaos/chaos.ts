import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { connect } from '@openclaw/client';
import { isGatewayError } from '@openclaw/protocol';
import { seededRandom } from '@openclaw/protocol/testing';
import { startFaultProxy } from '../fault-proxy.ts';
import { GatewayProcess } from './gateway-process.ts';
import { startModel } from './model.ts';
import { Witness } from './witness.ts';

/**
 * `npm run chaos`: the real program, killed with `kill -9` at random moments of streamed runs while the cables of its clients
 * are cut, and what became of every event, request and run. Exit code 0 only when nothing was lost, doubled, reordered, left
 * unanswered or interrupted.
 */
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    sessions: { type: 'string', default: '3' },
    source: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});
const wantedKills = Number(values.kills);
const seed = Number(values.seed);
const random = seededRandom(seed);
const between = (low: number, high: number) => low + random() * (high - low);
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

interface Tally {
  kills: number;
  cuts: number;
  runs: number;
  events: number;
  lost: number;
  doubled: number;
  reordered: number;
  unanswered: number;
  interrupted: number;
  wrongText: number;
  resets: number;
}

/** One agent under fire until it was killed `kills` times. */
async function storm(
  name: string,
  kills: number,
  flags: readonly string[],
  question: (index: number) => { ask: string; answer: RegExp },
): Promise<Tally> {
  const stateDirectory = mkdtempSync(join(tmpdir(), 'gateway-chaos-'));
  const proxyPort = await startFaultProxy({ targetPort: 1 });
  const gateway = new GatewayProcess({ port: await freePort(), stateDirectory, flags, fromSource: values.source });
  proxyPort.retarget(gateway.port);
  await gateway.start();
  const client = connect({ url: `ws://127.0.0.1:${proxyPort.port}`, token: gateway.token });
  const sessionKeys = Array.from({ length: Number(values.sessions) }, (_, index) => `${name}-${index}`);
  if (values.verbose)
    client.on('state', ({ previous, state, code, reason }) =>
      console.log(`  ${previous} → ${state} (${code}: ${reason})`),
    );
  const witnesses = sessionKeys.map((key) => new Witness(client, key));
  const tally: Tally = {
    kills: 0,
    cuts: 0,
    runs: 0,
    events: 0,
    lost: 0,
    doubled: 0,
    reordered: 0,
    unanswered: 0,
    interrupted: 0,
    wrongText: 0,
    resets: 0,
  };
  let isOver = false;

  const talk = async (key: string) => {
    for (let index = 0; !isOver; index++) {
      const { ask, answer } = question(index);
      const run = client.session(key).send(ask);
      tally.runs++;
      let streamed = '';
      const parts = (async () => {
        for await (const part of run) if (part.type === 'text') streamed = part.text;
      })();
      try {
        const message = await within(run.final, 120_000);
        const text = message.content.map((block) => (block.type === 'text' ? block.text : '')).join('');
        await parts;
        if (!answer.test(text) || !text.endsWith(streamed)) {
          tally.wrongText++;
          console.error(
            `${name}: run ${run.id} said ${JSON.stringify(text.slice(-200))}, streamed …${JSON.stringify(streamed.slice(-80))}`,
          );
        }
      } catch (error) {
        if (isGatewayError(error)) console.error(`${name}: run ${run.id}: ${error.code} ${error.message}`);
        else tally.unanswered++;
        await parts.catch(() => undefined);
      }
    }
  };
  const cut = async () => {
    while (!isOver) {
      await sleep(between(300, 2_500));
      if (isOver) return;
      tally.cuts++;
      if (random() < 0.5) proxyPort.cut();
      else proxyPort.reset();
    }
  };
  const kill = async () => {
    while (tally.kills < kills) {
      await sleep(between(200, 3_000));
      await gateway.kill();
      tally.kills++;
      if (values.verbose) console.log(`  ${name}: kill ${tally.kills}`);
      await sleep(between(0, 200));
      await gateway.start();
      if (tally.kills % 10 === 0) console.log(`  ${name}: ${tally.kills} kills, ${tally.runs} runs`);
    }
    isOver = true;
  };
  await Promise.all([...sessionKeys.map(talk), cut(), kill()]);
  await client.request('ping');
  await sleep(500);
  for (const witness of witnesses) {
    witness.stop();
    await witness.done;
    const { events, lost, doubled, reordered, interrupted, resets } = witness.sightings;
    tally.events += events;
    tally.lost += lost;
    tally.doubled += doubled;
    tally.reordered += reordered;
    tally.interrupted += interrupted;
    tally.resets += resets;
  }
  const ends = witnesses.reduce((sum, { sightings }) => sum + sightings.ends, 0);
  tally.unanswered += Math.max(0, tally.runs - ends - tally.interrupted);
  await client.close();
  await gateway.stop();
  await proxyPort.close();
  rmSync(stateDirectory, { recursive: true, force: true });
  return tally;
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not settled within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

console.log(
  `seed ${seed}: ${wantedKills} kills, ${values.sessions} sessions each for the demo agent and the AI-SDK agent`,
);
const startedAt = Date.now();
const model = await startModel();
const half = Math.ceil(wantedKills / 2);
const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index + 1)).join(' ');
const tallies = [
  await storm('demo', half, [], (index) => ({
    ask: `count to ${60 + (index % 40)}`,
    answer: new RegExp(`^${numbers(60 + (index % 40))}$`),
  })),
  await storm('ai-sdk', wantedKills - half, ['--agent-url', model.url, '--agent-model', 'chaos'], () => ({
    ask: 'tell me',
    answer: model.answer,
  })),
];
await model.stop();
const sum = (field: keyof Tally) => tallies.reduce((total, tally) => total + tally[field], 0);
const zeros = ['lost', 'doubled', 'reordered', 'unanswered', 'interrupted', 'wrongText', 'resets'] as const;
console.log(
  `${sum('kills')} kills, ${sum('cuts')} cuts, ${sum('runs')} runs, ${sum('events')} events in ${Math.round((Date.now() - startedAt) / 1000)} s: ` +
    zeros.map((field) => `${field === 'wrongText' ? 'wrong text' : field} ${sum(field)}`).join(' · '),
);
process.exit(zeros.every((field) => sum(field) === 0) ? 0 : 1);
