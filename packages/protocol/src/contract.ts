import type { z } from 'zod';
import type { MethodScope, OperatorScope, Role } from './scopes.ts';
import type { StreamKind } from './stream-names.ts';

/**
 * Whether a request may be sent again after a drop (S17): `safe` always (reads), `keyed` with the same `idempotencyKey`
 * (executed once), `never` not at all — its outcome is then unknown.
 */
export type Replay = 'safe' | 'keyed' | 'never';

/** One method of the contract: everything that dispatch, client types, JSON Schema and the reference page are made of. */
export interface MethodDeclaration<
  Name extends string = string,
  Params extends z.ZodType = z.ZodType,
  Result extends z.ZodType = z.ZodType,
> {
  name: Name;
  /** One sentence for the reference page. */
  summary: string;
  scope: MethodScope;
  replay: Replay;
  /** The release that first had it: `v4` for upstream's, else ours. */
  since: string;
  params: Params;
  result: Result;
  /** Roles that may call it beside the scope check. Default `['operator']`. */
  roles?: readonly Role[];
}

/** One event of the contract: a record of a kind of stream, or ephemeral with a scope (S6), or a v4 projection. */
export interface EventDeclaration<Name extends string = string, Payload extends z.ZodType = z.ZodType> {
  name: Name;
  summary: string;
  since: string;
  payload: Payload;
  /** The kinds of stream it may be a record of. */
  streams?: readonly StreamKind[];
  /** Set for events outside streams: the scope of who gets it, `any` for everyone after hello. */
  ephemeral?: OperatorScope | 'any' | 'v4';
}

/** Declares a method. A plugin declares its own the same way, under its own prefix. */
export function defineMethod<const Name extends string, Params extends z.ZodType, Result extends z.ZodType>(
  declaration: MethodDeclaration<Name, Params, Result>,
): MethodDeclaration<Name, Params, Result> {
  return declaration;
}

/** Declares an event. */
export function defineEvent<const Name extends string, Payload extends z.ZodType>(
  declaration: EventDeclaration<Name, Payload>,
): EventDeclaration<Name, Payload> {
  return declaration;
}
