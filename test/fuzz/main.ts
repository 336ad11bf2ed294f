import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { fuzz } from './run.ts';

const { values } = parseArgs({ options: { inputs: { type: 'string' }, seed: { type: 'string' } } });
const inputs = Number(values.inputs ?? 200_000);
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
if (!Number.isInteger(inputs) || inputs < 1 || !Number.isInteger(seed)) {
  console.error('Usage: npm run fuzz -- [--inputs 200000] [--seed 1]');
  process.exit(64);
}

/** What the process may grow by from the first gateway to the last, in MiB. */
const maxGrowthMiB = 64;
const maxBlockMs = 1_000;
const hangMs = 30_000;

const at = new Int32Array(new SharedArrayBuffer(4));
const watch = watchdog(at, hangMs);
console.log(`fuzz: ${inputs} inputs, seed ${seed}`);
const startedMs = performance.now();
const report = await fuzz({
  inputs,
  seed,
  progress: (input) => {
    Atomics.store(at, 0, input);
  },
});
await watch.terminate();

const growthMiB = (report.heapMiB.at(-1) ?? 0) - (report.heapMiB[0] ?? 0);
const problems = [...report.findings];
if (growthMiB > maxGrowthMiB) problems.push(`the heap grew by ${growthMiB} MiB: ${report.heapMiB.join(', ')}`);
if (report.longestBlockMs > maxBlockMs)
  problems.push(`the event loop did not turn for ${report.longestBlockMs} ms after input ${report.longestBlockAt}`);
console.log(
  [
    `fuzz: ${report.frames} frames (${report.sightings} sightings of what may be seen), ${report.connects} handshakes (${report.admitted} let in), ${report.requests} HTTP requests in ${Math.round((performance.now() - startedMs) / 1_000)} s`,
    `HTTP answers: ${Object.entries(report.statuses)
      .sort()
      .map(([status, count]) => `${status} ${count}`)
      .join(', ')}`,
    `event loop busy for ${report.longestBlockMs} ms at most; heap after each gateway, in MiB: ${report.heapMiB.join(' ') || 'not measured'}`,
    `findings: ${problems.length}`,
    ...problems.map((problem) => `  - ${problem}`),
  ].join('\n'),
);
if (problems.length > 0) console.log(`Again with: npm run fuzz -- --inputs ${inputs} --seed ${seed}`);
process.exit(problems.length === 0 ? 0 : 1);

/** Ends the process when the inputs do not go on: a loop that never ends can't be told from within. */
function watchdog(shared: Int32Array, patienceMs: number): Worker {
  const source = `
    const { workerData: { shared, patienceMs, seed } } = require('node:worker_threads');
    let last = -1, sinceMs = Date.now();
    setInterval(() => {
      const now = Atomics.load(shared, 0);
      if (now !== last) { last = now; sinceMs = Date.now(); }
      else if (Date.now() - sinceMs > patienceMs * 2) {
        require('node:fs').writeSync(2, 'fuzz: HANG at input ' + last + ', seed ' + seed + '\\n');
        process.kill(process.pid, 'SIGKILL');
      }
    }, 1000);`;
  return new Worker(source, { eval: true, workerData: { shared, patienceMs, seed } });
}
