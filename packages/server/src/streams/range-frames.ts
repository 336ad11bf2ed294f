import {
  type EventFrame,
  maxStreamFrameBytes,
  mergeableDelta,
  mergeDeltas,
  type Payload,
  type StreamState,
} from '@openclaw/protocol';
import { EncodedFrame } from '../transport/encoded-frame.ts';
import type { LogRecord } from './stream-log.ts';

/** UTF-16 units of a merged text at most. */
const mergedUnits = 16_384;

/** Adjacent deltas of one part joined into range frames (S26); everything else as it is. */
export function mergePage(stream: string, page: readonly LogRecord[]): LogRecord[] {
  const merged: LogRecord[] = [];
  let open: EventFrame | undefined;
  let openFrom = 0;
  const close = (last: LogRecord | undefined) => {
    if (open && last)
      merged.push(
        openFrom === last.offset ? last : { offset: last.offset, frame: EncodedFrame.fromText(JSON.stringify(open)) },
      );
    open = undefined;
  };
  let last: LogRecord | undefined;
  for (const record of page) {
    const frame = mergeableFrame(stream, record);
    const joined = open && frame ? mergeDeltas(open, frame, mergedUnits) : undefined;
    if (joined) {
      open = joined;
    } else {
      close(last);
      if (frame) {
        open = frame;
        openFrom = record.offset;
      } else merged.push(record);
    }
    last = frame ? record : undefined;
  }
  close(last);
  return merged;
}

function mergeableFrame(stream: string, { offset, from, frame, event, payload }: LogRecord): EventFrame | undefined {
  if (event !== undefined && event !== 'agent') return undefined;
  const whole: EventFrame =
    event === undefined
      ? JSON.parse(frame.text)
      : { type: 'event', event, payload, stream, offset, ...(from === undefined ? {} : { from }) };
  return mergeableDelta(whole) ? whole : undefined;
}

/** The payload of a reset, within one frame: when the state is too large, its oldest messages go, never its runs. */
export function fitReset(head: Omit<Payload<'stream.reset'>, 'state'>, state: StreamState): string {
  let fitted = state;
  for (;;) {
    const json = JSON.stringify({ ...head, state: fitted });
    if (Buffer.byteLength(json) <= maxStreamFrameBytes - 1_024) return json;
    if (fitted.kind === 'session' && fitted.messages.length > 0) {
      fitted = { ...fitted, messages: fitted.messages.slice(Math.ceil(fitted.messages.length / 4)) };
    } else if (fitted.kind === 'approvals' && fitted.open.length > 1) {
      fitted = { ...fitted, open: fitted.open.slice(Math.ceil(fitted.open.length / 4)) };
    } else return json;
  }
}
