import type { MethodName, Params, Result } from '@openclaw/protocol';

/** Whether a request may be sent again after a drop (S17). */
export type Replay = 'safe' | 'keyed' | 'never';

/** How one request is made. */
export interface RequestOptions {
  /** Gives the request up with `ABORTED`. One that was sent already may still be executed. */
  signal?: AbortSignal | undefined;
  /** When to give it up, in ms: `DEADLINE` if it never left, else `UNKNOWN_OUTCOME`. Default 12 h, at most 24 h. */
  timeoutMs?: number | undefined;
  /** The key of a keyed request. Default: a random one. A custom method with a key counts as keyed. */
  idempotencyKey?: string | undefined;
  /** Whether a custom method may be sent again. Default: as declared in `ConnectOptions.methods`, else `never`. */
  replay?: Replay | undefined;
  /** Of a method that answers twice (`agent`): wait for the last answer. Default true. */
  expectFinal?: boolean | undefined;
}

/** The params of a method as the client takes them: the client fills in `idempotencyKey`. */
export type RequestParams<M extends MethodName> = {
  [K in keyof Params<M> as K extends 'idempotencyKey' ? never : K]: Params<M>[K];
} & { idempotencyKey?: string };

/**
 * Sends a request and resolves with its result, typed by the contract; a custom method is called as
 * `request<Result>('name', params)`. Requests are sent in the order of the calls and survive drops: `safe` and `keyed`
 * ones are sent again, executed once; a retryable refusal is tried again.
 *
 * Rejects with a `GatewayError`: the gateway's own code, or `UNKNOWN_OUTCOME` (a `never` request was cut off, or the deadline
 * passed after sending), `DEADLINE`, `ABORTED`, `QUEUE_FULL`, `CLOSED`, or what made the connection fail for good.
 */
export type RequestFunction = <R = never, M extends MethodName | (string & {}) = string & {}>(
  method: M,
  params?: M extends MethodName ? RequestParams<M> : unknown,
  options?: RequestOptions,
) => Promise<[R] extends [never] ? (M extends MethodName ? Result<M> : unknown) : R>;
