import { Chaos } from './chaos.ts';
import { checkLaws } from './laws.ts';
import { judge } from './verdict.ts';
import { type Plan, World } from './world.ts';

/** What one seed came to. */
export interface ScheduleOutcome {
  seed: number;
  plan: Plan;
  problems: { invariant: string; problem: string }[];
  figures: {
    events: number;
    virtualMs: number;
    appended: number;
    applied: number;
    ranges: number;
    resets: number;
    /** Resets for another reason than that nobody gave a position. */
    refusedPlaces: number;
    expired: number;
    waits: number;
    requests: number;
    runs: number;
    attempts: number;
    gatewayStarts: number;
    failedCommits: number;
    lawPlaces: number;
    mergedRanges: number;
  };
}

const pollMs = 2_000;
const patienceMs = 20 * 60_000;

/** Runs one world to its end and judges it. The same seed gives the same world. */
export async function runSchedule(seed: number, trace?: (line: string) => void): Promise<ScheduleOutcome> {
  const restoreIds = seedIds(seed);
  const world = new World(seed);
  world.simulation.trace = trace;
  try {
    return await run(world);
  } finally {
    world.end();
    restoreIds();
  }
}

async function run(world: World): Promise<ScheduleOutcome> {
  const { simulation, plan, findings, truth, host, operators } = world;
  const chaos = new Chaos(world);
  await simulation.advance(plan.lengthMs, chaos.strike);
  world.heal();
  await settle(world, chaos);
  // Long enough for the log to be merged where that is due soon.
  if (simulation.chance(0.4)) await simulation.advance(62_000);
  await audit(world, chaos);
  if (simulation.chance(0.4)) {
    // What a restart rebuilds from the store is what was there.
    host.crash();
    host.start();
    await simulation.advance(pollMs);
    await audit(world, chaos);
  }
  judge(world, chaos.deeds);
  const outcomes = truth.lives
    .filter(({ stream }) => stream.startsWith('session:'))
    .map((life) => checkLaws(life, simulation));
  for (const { invariant, problem } of outcomes.flatMap(({ problems }) => problems))
    findings.report(invariant, problem);
  const replicas = operators.flatMap(({ readings }) => readings.map(({ replica }) => replica));
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
  return {
    seed: world.seed,
    plan,
    problems: findings.problems,
    figures: {
      events: simulation.eventCount,
      virtualMs: simulation.elapsed(),
      appended: sum(truth.lives.map(({ head }) => head)),
      applied: sum(replicas.map(({ eventCount }) => eventCount)),
      ranges: sum(replicas.map(({ rangeCount }) => rangeCount)),
      resets: sum(replicas.map(({ resets }) => sum([...resets.values()]))),
      refusedPlaces: sum(
        replicas.map(({ resets }) => sum([...resets].map(([reason, count]) => (reason === 'no_position' ? 0 : count)))),
      ),
      waits: sum(operators.map(({ waitCount }) => waitCount)),
      expired: sum(replicas.map(({ resets }) => resets.get('offset_expired') ?? 0)),
      requests: truth.ledger.size,
      runs: world.book.attempts.size,
      attempts: sum([...world.book.attempts.values()]),
      gatewayStarts: host.startCount,
      failedCommits: world.store.failureCount,
      lawPlaces: sum(outcomes.map(({ places }) => places)),
      mergedRanges: sum(outcomes.map(({ ranges }) => ranges)),
    },
  };
}

/** Lets time pass until nothing is under way; what then still is, is a finding. */
async function settle({ simulation, operators, findings }: World, chaos: Chaos): Promise<void> {
  // Now and then nobody answers an approval, and it has to run out.
  const unansweredUntilMs = simulation.elapsed() + (simulation.chance(0.95) ? 0 : 11 * 60_000);
  const untilMs = simulation.elapsed() + patienceMs;
  let quietPolls = 0;
  while (simulation.elapsed() < untilMs) {
    if (simulation.elapsed() >= unansweredUntilMs && operators[0]) chaos.answerApprovals(operators[0]);
    await simulation.advance(pollMs);
    quietPolls = chaos.unquiet().length === 0 ? quietPolls + 1 : 0;
    if (quietPolls === 2) return;
  }
  for (const { invariant, problem } of chaos.unquiet()) findings.report(invariant, problem);
}

/** A newcomer reads every stream from its first event, slowly, and must come to the same state as everyone. */
async function audit(world: World, chaos: Chaos): Promise<void> {
  const { simulation, truth } = world;
  const auditor = world.operator('auditor');
  world.operators.push(auditor);
  for (const stream of truth.streams) {
    if (stream.startsWith('agent:')) continue;
    const life = truth.current(stream);
    const [epoch = ''] = [...(life?.epochs ?? [])].slice(-1);
    const dice = auditor.readings.length === 0 ? 0.7 : simulation.random();
    if (dice < 0.6) auditor.follow(stream, { stream, epoch, offset: 0, open: {} });
    else if (dice < 0.75)
      auditor.follow(stream, { stream, epoch: 'beef', offset: simulation.integer(0, 99), open: {} });
    else if (dice < 0.8) {
      chaos.deeds.hasForgedAhead = true;
      auditor.follow(stream, { stream, epoch, offset: (life?.head ?? 0) + simulation.integer(1, 9), open: {} });
    } else auditor.follow(stream);
  }
  simulation.schedule(() => {
    const link = [...world.links].at(-1);
    if (link) Object.assign(link, { weight: simulation.pick([1, 1_500]), perMessageMs: 1 });
  }, 1);
  await settle(world, chaos);
}

/** Makes the ids of a world its seed's. */
function seedIds(seed: number): () => void {
  const { crypto } = globalThis;
  const original = crypto.getRandomValues;
  let state = seed >>> 0;
  crypto.getRandomValues = (<T extends Uint8Array>(bytes: T): T => {
    for (let index = 0; index < bytes.length; index++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      bytes[index] = state >>> 24;
    }
    return bytes;
  }) as typeof original;
  return () => {
    crypto.getRandomValues = original;
  };
}
