import type { z } from 'zod';
import type { MethodDeclaration } from './contract.ts';
import * as accessEvents from './events/access.ts';
import * as runEvents from './events/run.ts';
import * as sessionEvents from './events/session.ts';
import * as access from './methods/access.ts';
import * as chat from './methods/chat.ts';
import * as config from './methods/config.ts';
import * as connection from './methods/connection.ts';
import * as runs from './methods/runs.ts';
import * as sessions from './methods/sessions.ts';
import * as streams from './methods/streams.ts';

type Exports = typeof connection &
  typeof chat &
  typeof sessions &
  typeof streams &
  typeof runs &
  typeof access &
  typeof config &
  typeof accessEvents &
  typeof runEvents &
  typeof sessionEvents;
type Declared<Kind> = Extract<Exports[keyof Exports], Kind>;
type AnyMethod = { name: string; params: z.ZodType; result: z.ZodType; replay: string };
type AnyEvent = { name: string; payload: z.ZodType; summary: string };

/** Every method by name, with its declaration's own type. */
export type Methods = { [D in Declared<AnyMethod> as D['name']]: D };
/** A method name. */
export type MethodName = keyof Methods;
/** The params of a method, as a caller gives them. */
export type Params<M extends MethodName> = z.input<Methods[M]['params']>;
/** The result of a method. */
export type Result<M extends MethodName> = z.output<Methods[M]['result']>;

/** Every event by name, with its declaration's own type. */
export type Events = { [D in Declared<AnyEvent> as D['name']]: D };
/** An event name. */
export type EventName = keyof Events;
/** The payload of an event. */
export type Payload<E extends EventName> = z.output<Events[E]['payload']>;

const modules = [connection, config, access, streams, chat, sessions, runs, sessionEvents, runEvents, accessEvents];
// Sorted, since test runners and bundlers do not list a module's exports in the order that Node does.
const declarations = modules.flatMap((module) =>
  Object.entries(module as Record<string, unknown>)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, value]) => value),
);

/** Every method of the contract, in the order of the reference page. */
export const methods: Methods = byName(declarations.filter((value) => isDeclaration(value, 'params')));

/** Every event of the contract. */
export const events: Events = byName(declarations.filter((value) => isDeclaration(value, 'payload')));

function isDeclaration(value: unknown, part: 'params' | 'payload'): boolean {
  return typeof value === 'object' && value !== null && 'name' in value && 'summary' in value && part in value;
}

function byName<T>(list: unknown[]): T {
  return Object.fromEntries(list.map((declaration) => [(declaration as MethodDeclaration).name, declaration])) as T;
}
