import { allowsScope, type OperatorScope, operatorScopes } from '../src/scopes.ts';

/** A JSON Schema as the contract uses them. */
export interface Schema {
  type?: string | string[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
  items?: Schema;
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
}

interface MethodSchema {
  scope: string;
  replay: string;
  roles: string[];
  params: Schema;
  result: Schema;
}

interface EventSchema {
  streams?: string[];
  ephemeral?: string;
  payload: Schema;
}

/** The contract as `contractSchema()` gives it. */
export interface Contract {
  methods: Record<string, MethodSchema>;
  events: Record<string, EventSchema>;
}

/** Who would notice: `given` is what peers send us (it must not get stricter), `made` what they read from us. */
type Direction = 'given' | 'made';

/**
 * Everything that `after` removes or narrows against `before`, one sentence each; additions give none. A peer that was
 * written against `before` works with `after` if the list is empty.
 */
export function contractChanges(before: Contract, after: Contract): string[] {
  return [
    ...Object.entries(before.methods).flatMap(([name, method]) => methodChanges(name, method, after.methods[name])),
    ...Object.entries(before.events).flatMap(([name, event]) => eventChanges(name, event, after.events[name])),
  ];
}

function methodChanges(name: string, before: MethodSchema, after: MethodSchema | undefined): string[] {
  if (!after) return [`method ${name} is gone`];
  const changes: string[] = [];
  if (!stillMayCall(before.scope, after.scope)) changes.push(`${name} needs ${after.scope} instead of ${before.scope}`);
  for (const role of before.roles) {
    if (!after.roles.includes(role)) changes.push(`${name} is no longer for role ${role}`);
  }
  const promises = ['never', 'keyed', 'safe'];
  if (promises.indexOf(after.replay) < promises.indexOf(before.replay)) {
    changes.push(`${name} is ${after.replay} to send again, was ${before.replay}`);
  }
  changes.push(...schemaChanges(before.params, after.params, 'given', `${name} params`));
  changes.push(...schemaChanges(before.result, after.result, 'made', `${name} result`));
  return changes;
}

function eventChanges(name: string, before: EventSchema, after: EventSchema | undefined): string[] {
  if (!after) return [`event ${name} is gone`];
  const changes: string[] = [];
  for (const stream of before.streams ?? []) {
    if (!after.streams?.includes(stream)) changes.push(`event ${name} is no longer in ${stream} streams`);
  }
  if (before.ephemeral !== undefined && before.ephemeral !== after.ephemeral) {
    changes.push(`event ${name} is for ${after.ephemeral ?? 'streams only'}, was for ${before.ephemeral}`);
  }
  return [...changes, ...schemaChanges(before.payload, after.payload, 'made', `event ${name}`)];
}

/** True when whoever held just the old scope may call with the new one too. */
function stillMayCall(before: string, after: string): boolean {
  if (before === after || (after === 'any' && before !== 'connect')) return true;
  if (!isOperatorScope(before) || !isOperatorScope(after)) return false;
  return allowsScope(new Set([before]), after);
}

function isOperatorScope(scope: string): scope is OperatorScope {
  return (operatorScopes as readonly string[]).includes(scope);
}

function schemaChanges(before: Schema, after: Schema, direction: Direction, at: string): string[] {
  if (before.anyOf || before.oneOf || after.anyOf || after.oneOf) return unionChanges(before, after, direction, at);
  const changes = [...valueChanges(before, after, direction, at), ...propertyChanges(before, after, direction, at)];
  if (direction === 'given') changes.push(...limitChanges(before, after, at));
  if (before.items && after.items) changes.push(...schemaChanges(before.items, after.items, direction, `${at}[]`));
  else if (after.items && direction === 'given') changes.push(`${at}[] is restricted, was anything`);
  else if (before.items && direction === 'made') changes.push(`${at}[] may be anything, was described`);
  return changes;
}

function unionChanges(before: Schema, after: Schema, direction: Direction, at: string): string[] {
  const options = optionsOf(after);
  return optionsOf(before).flatMap((option) => {
    if (options.some((candidate) => schemaChanges(option, candidate, direction, at).length === 0)) return [];
    const twin = options.find((candidate) => discriminator(candidate) === discriminator(option));
    const name = discriminator(option) || JSON.stringify(option.const ?? option.enum ?? option.type ?? 'object');
    return twin && discriminator(option) !== ''
      ? schemaChanges(option, twin, direction, `${at} (${name})`)
      : [`${at} no longer has the option ${name}`];
  });
}

function optionsOf(schema: Schema): Schema[] {
  return schema.anyOf ?? schema.oneOf ?? [schema];
}

/** The fields that tell an option of a union from the others, as text: `kind="text"`. Empty if there are none. */
function discriminator(schema: Schema): string {
  return Object.entries(schema.properties ?? {})
    .filter(([, field]) => field.const !== undefined)
    .map(([name, field]) => `${name}=${JSON.stringify(field.const)}`)
    .join(' ');
}

function valueChanges(before: Schema, after: Schema, direction: Direction, at: string): string[] {
  const had = valuesOf(before);
  const has = valuesOf(after);
  if (had && has) {
    return had.filter((value) => !has.includes(value)).map((value) => `${at} no longer has the value ${value}`);
  }
  if (has && direction === 'given')
    return [`${at} must be one of ${has.join(', ')}, was ${typesOf(before).join(' or ')}`];
  if (had && direction === 'made')
    return [`${at} may be any ${typesOf(after).join(' or ')}, was one of ${had.join(', ')}`];
  const narrower = direction === 'given' ? missing(before, after) : missing(after, before);
  if (narrower.length === 0) return [];
  return [`${at} is ${typesOf(after).join(' or ')}, was ${typesOf(before).join(' or ')}`];
}

/** Types that `from` allows and `to` does not; an integer is a number. */
function missing(from: Schema, to: Schema): string[] {
  const allowed = typesOf(to);
  if (allowed.includes('anything')) return [];
  return typesOf(from).filter((type) => !allowed.includes(type) && !(type === 'integer' && allowed.includes('number')));
}

function valuesOf(schema: Schema): string[] | undefined {
  if (schema.const !== undefined) return [JSON.stringify(schema.const)];
  return schema.enum?.map((value) => JSON.stringify(value));
}

function typesOf(schema: Schema): string[] {
  if (schema.type === undefined) return ['anything'];
  return Array.isArray(schema.type) ? schema.type : [schema.type];
}

function propertyChanges(before: Schema, after: Schema, direction: Direction, at: string): string[] {
  const changes: string[] = [];
  for (const [name, field] of Object.entries(before.properties ?? {})) {
    const now = after.properties?.[name];
    if (now) changes.push(...schemaChanges(field, now, direction, `${at}/${name}`));
    else changes.push(`${at}/${name} is gone`);
  }
  const [must, had] = direction === 'given' ? [after, before] : [before, after];
  for (const name of must.required ?? []) {
    if (had.required?.includes(name) || (direction === 'made' && !after.properties?.[name])) continue;
    changes.push(direction === 'given' ? `${at}/${name} is now required` : `${at}/${name} may now be absent`);
  }
  const [open, closed] = [before.additionalProperties, after.additionalProperties];
  if (direction === 'given' && closed === false && open !== false && before.properties) {
    changes.push(`${at} now refuses unknown fields`);
  } else if (typeof open === 'object' && typeof closed === 'object') {
    changes.push(...schemaChanges(open, closed, direction, `${at}/*`));
  }
  return changes;
}

const lowerLimits = ['minimum', 'minLength', 'minItems'] as const;
const upperLimits = ['maximum', 'maxLength', 'maxItems'] as const;

function limitChanges(before: Schema, after: Schema, at: string): string[] {
  const changes: string[] = [];
  for (const limit of lowerLimits) {
    const now = after[limit];
    if (now !== undefined && now > (before[limit] ?? Number.NEGATIVE_INFINITY) && !isImplied(limit, now)) {
      changes.push(`${at}: ${limit} is ${now}, was ${before[limit] ?? 'none'}`);
    }
  }
  for (const limit of upperLimits) {
    const now = after[limit];
    if (now !== undefined && now < (before[limit] ?? Number.POSITIVE_INFINITY)) {
      changes.push(`${at}: ${limit} is ${now}, was ${before[limit] ?? 'none'}`);
    }
  }
  return changes;
}

/** A length is never below 0, so a lower limit of 0 says nothing. */
function isImplied(limit: (typeof lowerLimits)[number], value: number): boolean {
  return limit !== 'minimum' && value <= 0;
}
