import type { GatewayError, HelloOk, Message, Params, Result } from '@openclaw/protocol';
import type { Phase, StateCode } from './connection-state.ts';
import type { DialFailure } from './dial-codes.ts';
import type { RequestFunction } from './request.ts';
import type { StreamedPart } from './run-parts.ts';
import type { EventStream, EventsOptions, SessionStreamItem, StreamReader } from './stream-events.ts';

/** One transition of the connection. */
export interface StateChange {
  state: Phase;
  previous: Phase;
  code: StateCode;
  /** What happened, in words; the code, where that says all. */
  reason: string;
  /** With `backoff` and `offline`: when the next attempt begins, in ms since 1970. */
  retryAtMs?: number;
  /** The close code, when the gateway closed the connection. */
  closeCode?: number;
  /** With `refused` and `fatal`: what the gateway said. With `dial`: the same as `DIAL_FAILED`. */
  error?: GatewayError;
  /** Why the gateway could not be reached, when an attempt ends before its first frame; a `dialer` of one's own may not tell. */
  dial?: DialFailure;
}

/** Something that works in part only; the connection goes on. */
export interface Notice {
  /**
   * `device-unsupported`: this platform can't sign, so the client connects without a device identity. `device-not-kept`: the
   * identity or its token could not be stored, so the next start will not have it.
   */
  code: 'device-unsupported' | 'device-not-kept';
  /** What happened, and what to do. */
  message: string;
}

/** An event outside streams. */
export interface EphemeralEvent {
  event: string;
  payload: unknown;
  stateVersion?: { presence: number; health: number };
}

/** What the gateway granted: keep `deviceToken` and drop the one-use code. */
export interface IssuedCredentials {
  deviceToken: string;
  role: string;
  scopes: string[];
  issuedAtMs?: number;
}

/** How a request from the queue store ended, whose caller is gone. */
export interface RestoredOutcome {
  method: string;
  idempotencyKey: string;
  result?: unknown;
  error?: GatewayError;
}

/** The events of a {@link Gateway} and what their listeners get. */
export interface GatewayEvents {
  /** Every transition, in order. */
  state: StateChange;
  /** Every event outside streams, except `tick`: presence, health, shutdown. */
  event: EphemeralEvent;
  /** A device token was issued. */
  credentials: IssuedCredentials;
  /** A request from the queue store was settled. */
  restored: RestoredOutcome;
  /** Something works in part only. */
  notice: Notice;
}

/** What `send` takes beside the text. */
export type SendOptions = Omit<Params<'chat.send'>, 'sessionKey' | 'message' | 'idempotencyKey'> & {
  /** The key, which becomes the run's id. Default: a random one. Sent again with the same text, it executes once. */
  idempotencyKey?: string;
};

/**
 * One answer being made. Iterating gives its parts from the first on, whenever one starts, as often as one likes, through
 * drops and restarts of the gateway; it ends with the run, and throws what `final` rejects with.
 */
export interface Run extends AsyncIterable<StreamedPart> {
  /** Equals the idempotencyKey of the message. */
  readonly id: string;
  /**
   * The answer. Rejects with a `GatewayError`: `ABORTED`, `RUN_FAILED`, `INTERRUPTED`, `AGENT_TIMEOUT` or `UNAVAILABLE` as the
   * run ended (`details.reason` is the gateway's), what refused the message, `UNKNOWN_OUTCOME` when nothing knows the run
   * any more, `CLOSED` after `close()`. Not awaiting it is fine.
   */
  readonly final: Promise<Message>;
  /** Ends the run, or takes the message back if it was never sent. Resolves with whether that ended it. Keyed. */
  abort(): Promise<{ aborted: boolean }>;
}

/** One conversation. */
export interface Session {
  /** The key as it was given. */
  readonly key: string;
  /**
   * Sends a message and returns its run at once. Queued while offline, in order, and executed once. Never throws; `final`
   * tells what went wrong.
   */
  send(message: string, options?: SendOptions): Run;
  /** The run of this id, started elsewhere or before a reload. Its parts begin with what the gateway still holds of it. */
  attach(runId: string): Run;
  /** Messages, oldest first. Default 200. */
  history(options?: { limit?: number; offset?: number; signal?: AbortSignal }): Promise<Result<'chat.history'>>;
  /** Ends all open runs, each by its id. Resolves with those it ended. */
  abort(): Promise<{ runIds: string[] }>;
  /** The session's events: resumable by bookmark. */
  events(options?: EventsOptions): EventStream<SessionStreamItem>;
}

/** A connection to a gateway that keeps itself up, with everything that goes over it. */
export interface Gateway {
  readonly state: Phase;
  /** What the gateway said at the last hello; undefined before the first. */
  readonly hello: HelloOk | undefined;
  readonly request: RequestFunction;
  /** The session of this key; `main` is the default one. The same object for the same key. */
  session(key: string): Session;
  /** Any stream by its name: `system`, `approvals`, `agent:<id>`, … */
  stream(name: string): StreamReader;
  /** Calls `listener` at every `event`; the returned function ends that. */
  on<E extends keyof GatewayEvents>(event: E, listener: (value: GatewayEvents[E]) => void): () => void;
  off<E extends keyof GatewayEvents>(event: E, listener: (value: GatewayEvents[E]) => void): void;
  /**
   * Closes for good: requests and runs reject with `CLOSED`, iterations of events end, one last `state` event is emitted.
   * Runs at the gateway go on. Calling it again does nothing.
   */
  close(): void;
}
