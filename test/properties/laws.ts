import { type EventFrame, mergeDeltas, reduce, type StreamState } from '@openclaw/protocol';
import { isSame } from './replica.ts';
import type { Simulation } from './simulation.ts';
import type { Life } from './truth.ts';

/** What the laws of state found in one log. */
export interface LawsOutcome {
  /** Places from which the state was rebuilt. */
  places: number;
  /** Frames that stood for more than one event. */
  ranges: number;
  problems: { invariant: 'I6' | 'I7'; problem: string }[];
}

/**
 * The snapshot law (I6) and the law of merging (I7) on one log: the state at any place S, as it crosses the wire, and what
 * follows, one by one or merged at random, give the state of the full replay.
 */
export function checkLaws(life: Life, simulation: Simulation): LawsOutcome {
  const outcome: LawsOutcome = { places: 0, ranges: 0, problems: [] };
  const whole = life.stateAt(life.head);
  const frames = life.events.map(
    ({ event, payload }, index): EventFrame => ({
      type: 'event',
      event,
      payload,
      stream: life.stream,
      offset: index + 1,
    }),
  );
  const merged = mergeAtRandom(frames, simulation);
  outcome.ranges = merged.filter(({ from }) => from !== undefined).length;
  for (let count = 0; count < 3; count++) {
    const place = count === 0 ? 0 : simulation.integer(0, life.head);
    outcome.places++;
    const snapshot = JSON.parse(JSON.stringify(life.stateAt(place))) as StreamState;
    for (const [invariant, log] of [
      ['I6', frames],
      ['I7', merged],
    ] as const) {
      const problem = replay(snapshot, log, place, whole);
      if (problem)
        outcome.problems.push({ invariant, problem: `${life.stream} from ${place} of ${life.head}: ${problem}` });
    }
  }
  return outcome;
}

function replay(
  snapshot: StreamState,
  log: readonly EventFrame[],
  place: number,
  whole: StreamState,
): string | undefined {
  let state = snapshot;
  try {
    for (const frame of log) if ((frame.offset as number) > place) state = reduce(state, frame);
  } catch (error) {
    return String(error);
  }
  return isSame(state, whole)
    ? undefined
    : `the state differs: ${JSON.stringify(state)} is not ${JSON.stringify(whole)}`.slice(0, 2_000);
}

function mergeAtRandom(frames: readonly EventFrame[], simulation: Simulation): EventFrame[] {
  const maxUnits = simulation.pick([60, 200, 16_384, 1_000_000]);
  const merged: EventFrame[] = [];
  for (const frame of frames) {
    const last = merged.at(-1);
    const joined = last && simulation.chance(0.8) ? mergeDeltas(last, frame, maxUnits) : undefined;
    if (joined) merged[merged.length - 1] = joined;
    else merged.push(frame);
  }
  return merged;
}
