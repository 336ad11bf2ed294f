import type { AgentPayload } from './events/run.ts';
import type { EventFrame } from './frames.ts';

/** A delta begins beyond what its receiver has of the part: something is missing (S12). Subscribe again. */
export class DeltaMismatchError extends Error {
  readonly itemId: string;
  readonly haveUnits: number;
  readonly atUnits: number;

  constructor(itemId: string, haveUnits: number, atUnits: number) {
    super(
      `The part ${itemId} is ${haveUnits} UTF-16 units long here, but a delta begins at ${atUnits}; subscribe again.`,
    );
    this.name = 'DeltaMismatchError';
    this.itemId = itemId;
    this.haveUnits = haveUnits;
    this.atUnits = atUnits;
  }
}

/** The payload of a text delta that may be merged, else undefined. */
export function mergeableDelta(frame: EventFrame): (AgentPayload & { stream: 'assistant' | 'thinking' }) | undefined {
  if (frame.event !== 'agent') return undefined;
  const payload = frame.payload as AgentPayload;
  if (payload.stream !== 'assistant' && payload.stream !== 'thinking') return undefined;
  return payload.data.replace ? undefined : payload;
}

/**
 * One frame that stands for both, when they are adjacent deltas of the same part of the same run (S5, S26); undefined
 * when they are not, or when the joined text would exceed `maxUnits` UTF-16 units. Pure.
 */
export function mergeDeltas(earlier: EventFrame, later: EventFrame, maxUnits = 16_384): EventFrame | undefined {
  const a = mergeableDelta(earlier);
  const b = mergeableDelta(later);
  if (!a || !b || a.runId !== b.runId || a.stream !== b.stream || a.data.itemId !== b.data.itemId) return undefined;
  if (earlier.stream !== later.stream || earlier.offset === undefined || later.offset === undefined) return undefined;
  if ((later.from ?? later.offset) !== earlier.offset + 1) return undefined;
  if (b.data.at !== a.data.at + a.data.delta.length) return undefined;
  if (a.data.delta.length + b.data.delta.length > maxUnits) return undefined;
  return {
    ...later,
    from: earlier.from ?? earlier.offset,
    payload: { ...b, data: { ...b.data, at: a.data.at, delta: a.data.delta + b.data.delta } },
  };
}
