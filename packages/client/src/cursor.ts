import {
  type AgentPayload,
  type Position,
  partLength,
  type StreamEventFrame,
  type StreamState,
} from '@openclaw/protocol/wire';

/**
 * Where a reader stands in a stream, within unfinished text too: plain JSON, to be kept anywhere. `open` holds how many
 * UTF-16 units of each unfinished part were applied, by run, kind and part (S12).
 */
export interface Bookmark {
  stream: string;
  epoch: string;
  offset: number;
  open: Record<string, number>;
}

/** What applying a frame at a bookmark gave. */
export type Applied =
  | { verdict: 'applied'; frame: StreamEventFrame; cursor: Bookmark }
  /** All of it was applied before. */
  | { verdict: 'known' }
  /** Something before it is missing: subscribe again. */
  | { verdict: 'gap' };

/**
 * Applies one frame at `cursor` (S12): iff `from ≤ last+1 ≤ offset`. Of a merged delta whose beginning is known only the
 * rest is left in the frame. Pure.
 */
export function applyFrame(cursor: Bookmark, frame: StreamEventFrame): Applied {
  const { offset, from = offset } = frame;
  if (offset <= cursor.offset) return { verdict: 'known' };
  if (from > cursor.offset + 1) return { verdict: 'gap' };
  const next = (open: Record<string, number>, applied = frame): Applied => ({
    verdict: 'applied',
    frame: applied,
    cursor: { ...cursor, offset, open },
  });
  if (frame.event !== 'agent') return next(cursor.open);
  const payload = frame.payload as AgentPayload;
  if (endsRun(payload)) return next(withoutRun(cursor.open, payload.runId));
  if (payload.stream !== 'assistant' && payload.stream !== 'thinking') return next(cursor.open);
  const { itemId, at, delta, replace } = payload.data;
  const key = openKey(payload.runId, payload.stream, itemId);
  if (replace) return next({ ...cursor.open, [key]: delta.length });
  const isPartlyKnown = from <= cursor.offset;
  const length = cursor.open[key] ?? (isPartlyKnown ? undefined : at);
  if (length === undefined || at > length) return { verdict: 'gap' };
  const end = Math.max(length, at + delta.length);
  const open = { ...cursor.open, [key]: end };
  if (at === length) return next(open);
  const data = { ...payload.data, at: length, delta: delta.slice(length - at) };
  return next(open, { ...frame, from: cursor.offset + 1, payload: { ...payload, data } });
}

/** True for the last event of a run. */
export function endsRun({ stream, data }: AgentPayload): boolean {
  return stream === 'lifecycle' && (data.phase === 'end' || data.phase === 'error');
}

/** The bookmark of a reader that was just given `state`. */
export function cursorOfState(stream: string, { epoch, offset }: Position, state: StreamState | undefined): Bookmark {
  const open: Record<string, number> = {};
  if (state?.kind === 'session') {
    for (const { runId, parts } of state.runs) {
      for (const part of parts) {
        if (part.kind !== 'text' && part.kind !== 'thinking') continue;
        open[openKey(runId, part.kind === 'text' ? 'assistant' : 'thinking', part.itemId)] = partLength(part);
      }
    }
  }
  return { stream, epoch, offset, open };
}

function openKey(runId: string, stream: string, itemId: string): string {
  return `${runId} ${stream} ${itemId}`;
}

function withoutRun(open: Record<string, number>, runId: string): Record<string, number> {
  return Object.fromEntries(Object.entries(open).filter(([key]) => !key.startsWith(`${runId} `)));
}
