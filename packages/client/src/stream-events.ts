import type { AgentPayload, Payload, ResetReason, SessionState, StreamState } from '@openclaw/protocol';
import type { Bookmark } from './cursor.ts';

/** One event of a stream. Keep `bookmark` once it is handled, to go on after it. */
export interface StreamEvent {
  type: 'event';
  event: string;
  payload: unknown;
  offset: number;
  /** Given when it stands for all of `from..offset`, merged. */
  from?: number;
  bookmark: Bookmark;
}

/**
 * The position could not be honoured: what came before is replaced by `state`, the events that follow start after it.
 * `deleted` and `scope_lost` carry no state and end the iteration.
 */
export interface StreamReset<S extends StreamState = StreamState> {
  type: 'reset';
  reason: ResetReason;
  state?: S;
  bookmark: Bookmark;
}

type Typed<Name extends string, P> = Omit<StreamEvent, 'event' | 'payload'> & { event: Name; payload: P };

/** One event of a session's stream. */
export type SessionEvent =
  | Typed<'agent', AgentPayload>
  | Typed<'session.message', Payload<'session.message'>>
  | Typed<'session.input', Payload<'session.input'>>
  | Typed<'session.created', Payload<'session.created'>>
  | Typed<'session.updated', Payload<'session.updated'>>
  | Typed<'session.reset', Payload<'session.reset'>>;

export interface EventsOptions {
  /** Where to go on. Default: begin with a `reset` that carries the state as it is. */
  after?: Bookmark | undefined;
  /** Ends the iteration, without an error. */
  signal?: AbortSignal | undefined;
}

/**
 * Events of a stream in order, each exactly once, through drops and restarts; a `reset` where that can't be kept. May be
 * iterated once. Ends by `break`, by the signal, by the client's `close()`, and after a `reset` that says `deleted` or
 * `scope_lost`. Throws `FORBIDDEN` where reading is not allowed, `UNSUPPORTED` for a stream that the gateway does not have,
 * and what made the connection fail for good.
 */
export interface EventStream<E> extends AsyncIterable<E> {
  /** The position after the last event whose handler has returned; undefined before the first. */
  readonly bookmark: Bookmark | undefined;
}

/** Reads one stream. */
export interface StreamReader {
  readonly name: string;
  events(options?: EventsOptions): EventStream<StreamEvent | StreamReset>;
}

/** What `session.events()` gives. */
export type SessionStreamItem = SessionEvent | StreamReset<SessionState>;
