import type { MethodDeclaration } from '@openclaw/protocol';
import type { z } from 'zod';
import type { Peer } from '../connection/peer.ts';

/** Who calls, and how to answer more than once where a method does. */
export interface Call {
  peer: Peer;
  requestId: string;
  traceparent?: string;
  /**
   * Throws `FORBIDDEN` when the caller may not do this any more. To be asked again before anything is changed by a handler
   * that had to wait: meanwhile its credential may have been taken away, or scopes of it.
   */
  assertAllowed(): void;
  /** Sends a further answer with the same id (`agent` alone uses it), once all that was changed so far is committed. */
  respondAgain(payload: unknown): void;
}

/** A result that is made at the moment when everything before it is committed, and what is to follow the answer at once. */
export class AtRelease<Result> {
  readonly settle: () => { result: Result; after?: () => void };

  constructor(settle: () => { result: Result; after?: () => void }) {
    this.settle = settle;
  }
}

/**
 * Implements a method. Params are checked already. May throw a `GatewayError`, which becomes the answer; other errors are
 * answered as INTERNAL without their text. The answer leaves after the commit of what the handler changed.
 */
export type MethodHandler<Params, Result> = (
  params: Params,
  call: Call,
) => Result | AtRelease<Result> | Promise<Result | AtRelease<Result>>;

/** A declaration with its implementation. */
export interface MethodImplementation {
  declaration: MethodDeclaration;
  handle: MethodHandler<unknown, unknown>;
}

/** Joins a declaration and its handler; params and result are typed by the declaration. */
export function implement<Params extends z.ZodType, Result extends z.ZodType>(
  declaration: MethodDeclaration<string, Params, Result>,
  handle: MethodHandler<z.output<Params>, z.input<Result>>,
): MethodImplementation {
  return { declaration, handle: handle as MethodHandler<unknown, unknown> };
}
