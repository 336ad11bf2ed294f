import { runSchedule, type ScheduleOutcome } from './schedule.ts';

type Figures = ScheduleOutcome['figures'];

/** What each invariant promises, what would be its failure, and what a world must contain to count as a test of it. */
const invariants: Record<
  string,
  { promise: string; failure: string; counts: (figures: Figures) => number; of: string }
> = {
  I1: { promise: 'nothing lost', failure: 'lost', counts: ({ applied }) => applied, of: 'events applied' },
  I2: {
    promise: 'nothing doubled or reordered',
    failure: 'doubled or reordered',
    counts: ({ applied }) => applied,
    of: 'events applied',
  },
  I3: {
    promise: 'a keyed request executes once',
    failure: 'executed twice or not',
    counts: ({ requests }) => requests,
    of: 'keyed requests',
  },
  I4: {
    promise: 'every request settles',
    failure: 'unanswered',
    counts: ({ waits }) => waits,
    of: 'requests and runs',
  },
  I5: {
    promise: 'failure is explicit',
    failure: 'silent',
    counts: ({ refusedPlaces }) => refusedPlaces,
    of: 'positions not honoured',
  },
  I6: {
    promise: 'state at S + events = full replay',
    failure: 'unequal',
    counts: ({ lawPlaces }) => lawPlaces,
    of: 'places S',
  },
  I7: {
    promise: 'merged = one by one',
    failure: 'unequal',
    counts: ({ mergedRanges, ranges }) => mergedRanges + ranges,
    of: 'merged frames',
  },
  I15: { promise: 'one execution and one end per run', failure: 'violations', counts: ({ runs }) => runs, of: 'runs' },
};

/** What many schedules came to. */
export interface Tally {
  first: number;
  last: number;
  schedules: Map<string, number>;
  subjects: Map<string, number>;
  totals: Figures;
  failures: { seed: number; invariant: string; problem: string }[];
}

export function emptyTally(first: number): Tally {
  return { first, last: first - 1, schedules: new Map(), subjects: new Map(), totals: {} as Figures, failures: [] };
}

/** Adds one outcome: a schedule counts for an invariant only if its world contained what that is about. */
export function count(tally: Tally, { seed, figures, problems }: ScheduleOutcome): void {
  tally.last = Math.max(tally.last, seed);
  for (const [name, { counts }] of Object.entries(invariants)) {
    const subjects = counts(figures);
    if (subjects > 0) tally.schedules.set(name, (tally.schedules.get(name) ?? 0) + 1);
    tally.subjects.set(name, (tally.subjects.get(name) ?? 0) + subjects);
  }
  for (const name of Object.keys(figures) as (keyof Figures)[])
    tally.totals[name] = (tally.totals[name] ?? 0) + figures[name];
  for (const problem of problems) tally.failures.push({ seed, ...problem });
}

/** Runs seeds from `first` on until each invariant was tested in `wanted` schedules. */
export async function runUntil(
  wanted: number,
  first: number,
  progress: (done: number) => void = () => {},
): Promise<Tally> {
  const tally = emptyTally(first);
  const least = () => Math.min(...Object.keys(invariants).map((name) => tally.schedules.get(name) ?? 0));
  for (let seed = first; least() < wanted && seed < first + 3 * wanted; seed++) {
    count(tally, await runSchedule(seed));
    // Whoever waits for this process gets a turn.
    await new Promise<void>((resolve) => setImmediate(resolve));
    progress(least());
  }
  return tally;
}

/** One line per invariant, and one about the worlds. */
export function reportLines({ first, last, schedules, subjects, totals, failures }: Tally): string[] {
  const seeds = `seeds ${first}..${last}`;
  const lines = Object.entries(invariants).map(([name, { promise, failure, of }]) => {
    const bad = failures.filter(({ invariant }) => invariant === name).length;
    return `${name} ${promise}: ${number(schedules.get(name))} schedules, ${number(subjects.get(name))} ${of}, ${bad} ${failure} (${seeds})`;
  });
  const others = failures.filter(({ invariant }) => !(invariant in invariants)).length;
  const { gatewayStarts, failedCommits, attempts, runs, ranges, expired, appended, virtualMs } = totals;
  lines.push(
    `S13 commit before send, faults of the program: ${others} (${seeds})`,
    `worlds: ${number(gatewayStarts)} gateway starts, ${number(attempts)} attempts at ${number(runs)} runs, ${number(failedCommits)} failed commits, ` +
      `${number(appended)} events appended, ${number(ranges)} range frames and ${number(expired)} expired positions over the wire, ${number(Math.round(virtualMs / 3_600_000))} virtual hours`,
  );
  return lines;
}

/** What a person needs to see a failure again. */
export function failureLines({ failures }: Tally): string[] {
  return failures.map(
    ({ seed, invariant, problem }) =>
      `seed ${seed}: ${invariant}: ${problem.slice(0, 500)}\n  replay: npm run proof -- --schedules 1 --seed ${seed} --trace`,
  );
}

function number(value: number | undefined): string {
  return (value ?? 0).toLocaleString('en-US');
}
