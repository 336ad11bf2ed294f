/**
 * `npm run proof [-- --schedules N] [--seed S] [--jobs J] [--trace]`: the worlds of this folder, 10,000 schedules for each
 * invariant by default. Exits 1 when one fails; each failure prints the command that replays it.
 */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { runSchedule, type ScheduleOutcome } from './schedule.ts';
import { count, emptyTally, failureLines, reportLines, type Tally } from './tally.ts';

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    trace: { type: 'boolean', default: false },
    share: { type: 'string' },
  },
});
const schedules = Number(values.schedules);
const first = Number(values.seed);
const jobs = Math.max(1, Math.min(Number(values.jobs), schedules));

if (values.share !== undefined) await runShare(Number(values.share));
else if (values.trace) await runTraced();
else await runAll();

/** A child's part: every `jobs`th seed, until it is told to stop. */
async function runShare(share: number): Promise<void> {
  let isStopped = false;
  process.on('message', () => {
    isStopped = true;
  });
  process.on('disconnect', () => process.exit());
  for (let seed = first + share; !isStopped; seed += jobs) {
    process.send?.(await runSchedule(seed));
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  process.removeAllListeners('disconnect');
  process.disconnect();
}

async function runTraced(): Promise<void> {
  const tally = emptyTally(first);
  for (let seed = first; seed < first + schedules; seed++)
    count(tally, await runSchedule(seed, (line) => console.log(line)));
  for (const line of failureLines(tally)) console.log(line);
  finish(tally, 0);
}

async function runAll(): Promise<void> {
  const startedAtMs = performance.now();
  const tally = emptyTally(first);
  const children = Array.from({ length: jobs }, (_, share) =>
    fork(import.meta.filename, [
      ...['--schedules', String(schedules), '--seed', String(first), '--jobs', String(jobs), '--share', String(share)],
    ]),
  );
  let shownAtMs = startedAtMs;
  let isStopping = false;
  const isDone = () => tally.schedules.size > 0 && [...tally.schedules.values()].every((value) => value >= schedules);
  await Promise.all(
    children.map(
      (child) =>
        new Promise<void>((resolve, reject) => {
          child.on('message', (outcome) => {
            const before = tally.failures.length;
            count(tally, outcome as ScheduleOutcome);
            for (const line of failureLines(tally).slice(before)) console.log(line);
            const isEnough = schedules < 100 ? tally.last >= first + schedules - 1 : isDone();
            if (isEnough && !isStopping) {
              isStopping = true;
              for (const each of children) each.send('stop');
            }
            if (performance.now() - shownAtMs < 15_000) return;
            shownAtMs = performance.now();
            console.log(
              `${Math.min(...tally.schedules.values())} of ${schedules} schedules, ${tally.failures.length} failures`,
            );
          });
          child.on('error', reject);
          child.on('exit', (code) => (code ? reject(new Error(`a job ended with ${code}`)) : resolve()));
        }),
    ),
  );
  finish(tally, performance.now() - startedAtMs);
}

function finish(tally: Tally, elapsedMs: number): void {
  for (const line of reportLines(tally)) console.log(line);
  if (elapsedMs > 0) console.log(`${Math.round(elapsedMs / 1_000)} s with ${jobs} jobs`);
  process.exitCode = tally.failures.length > 0 ? 1 : 0;
}
