import { runSchedule } from './schedule.ts';
const from = Number(process.argv[2] ?? 1), count = Number(process.argv[3] ?? 20);
const t0 = performance.now();
const totals: Record<string, number> = {};
let bad = 0; const kinds: Record<string, string> = {}; const kindCount: Record<string, number> = {};
for (let seed = from; seed < from + count; seed++) {
  const s0 = performance.now();
  const outcome = await runSchedule(seed, process.env.TRACE ? (l) => console.log(l) : undefined);
  if (performance.now() - s0 > 400) console.log('slow', seed, Math.round(performance.now() - s0), outcome.figures.events, outcome.figures.virtualMs);
  for (const [k, v] of Object.entries(outcome.figures)) totals[k] = (totals[k] ?? 0) + v;
  if (outcome.problems.length) {
    bad++;
    for (const p of outcome.problems) {
      const kind = (p.invariant + ' ' + p.problem).replace(/[a-z]+-\d+-\d+/g, 'K').replace(/\d+/g, 'N').slice(0, 110);
      kinds[kind] ??= `seed ${seed}: ${p.problem}`.slice(0, 600); kindCount[kind] = (kindCount[kind] ?? 0) + 1;
    }
    if (count === 1) for (const p of outcome.problems) console.log(p.invariant, p.problem);
  }
  if (count === 1) console.log(outcome.plan);
}
for (const [k, v] of Object.entries(kinds)) console.log(`x${kindCount[k]} [${k.slice(0, 4)}] ${v}\n`);
console.log(bad, 'bad of', count, Math.round(performance.now() - t0), 'ms', totals);
