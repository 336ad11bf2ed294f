import type { EncodedFrame } from './encoded-frame.ts';

/** The watermarks of a peer's queue in bytes (S26). */
export const watermarks = {
  /** Below it, more may be pushed. */
  lowBytes: 256 * 1024,
  /** Above it, pushing and reading stop. */
  highBytes: 1024 * 1024,
  /** Above it, the next frame closes the connection. */
  hardBytes: 4 * 1024 * 1024,
} as const;

/** How a server-side transport tells its owner what happened. None follows `closed`. */
export interface ServerTransportEvents {
  /** One whole message, in order, and its bytes; 0 from a local peer, where nobody counts them. May still be called a few times after `pauseReading(true)`. */
  message(text: string, bytes: number): void;
  /** The peer showed a sign of life that is no message. */
  alive(): void;
  /** The queue fell below the low watermark after it had been above the high one. */
  drained(): void;
  /** The end; exactly once. */
  closed(code: number, reason: string): void;
}

/** The gateway's end of a connection: a WebSocket, or a local {@link Transport} behind the same interface. */
export interface ServerTransport {
  /** False from the first sign of closing on; sending is then a no-op. */
  readonly isOpen: boolean;
  /** True where the peer lives in this process or a worker of it: no pings, no limit to a frame. */
  readonly isLocal: boolean;
  /** Bytes accepted by `send` that have not been handed on. */
  readonly queuedBytes: number;
  /** Whether some of the queued bytes went to the peer's side since the last call (S27). */
  hasDrained(): boolean;
  /** Starts delivery; called once. */
  open(events: ServerTransportEvents): void;
  /** Sends a message that was encoded once for everyone. */
  send(frame: EncodedFrame): void;
  /** Sends a message that is for this peer only. Returns its bytes; 0 where they are not counted. */
  sendText(text: string): number;
  /** Asks for a sign of life below the protocol; leaves together with what is sent in this turn. */
  ping(): void;
  /** Stops or resumes reading from the peer. */
  pauseReading(isPaused: boolean): void;
  /** A longer message from the peer closes the connection with 1009. */
  setMaxFrameBytes(maxFrameBytes: number): void;
  /** Sends what is queued, then closes with this code (unmapped) and reason. */
  close(code: number, reason: string): void;
  /** Ends it at once, without a word. */
  terminate(): void;
}
