import type { EncodedFrame } from '../transport/encoded-frame.ts';

/** An event of a stream after its commit, as it goes to subscribers and projections. */
export interface CommittedEvent {
  stream: string;
  event: string;
  payload: unknown;
  offset: number;
  frame: EncodedFrame;
}
