import { z } from 'zod';
import type { EventDeclaration, MethodDeclaration } from './contract.ts';
import { events, methods } from './methods.ts';

/** The contract as one JSON document: draft-07 schemas of every method's params and result and every event's payload. */
export function contractSchema(): Record<string, unknown> {
  const describe = (schema: z.ZodType): unknown => {
    const { $schema, ...rest } = z.toJSONSchema(schema, { target: 'draft-7', io: 'input', unrepresentable: 'any' });
    return rest;
  };
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Gateway protocol 4',
    methods: Object.fromEntries(
      Object.values(methods as Record<string, MethodDeclaration>).map(
        ({ name, summary, scope, replay, since, roles, params, result }) => [
          name,
          {
            summary,
            scope,
            replay,
            since,
            roles: roles ?? ['operator'],
            params: describe(params),
            result: describe(result),
          },
        ],
      ),
    ),
    events: Object.fromEntries(
      Object.values(events as Record<string, EventDeclaration>).map(
        ({ name, summary, since, streams, ephemeral, payload }) => [
          name,
          {
            summary,
            since,
            ...(streams ? { streams } : {}),
            ...(ephemeral ? { ephemeral } : {}),
            payload: describe(payload),
          },
        ],
      ),
    ),
  };
}

/**
 * Checks a value that came from outside, and says what is wrong with it in {@link validationProblem}'s words. Never throws:
 * zod compares the `length` of whatever stands where a text or a list should be, and an object with a `length` of its own can
 * make that throw.
 */
export function checkValue<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): { success: true; data: z.output<Schema> } | { success: false; problem: string } {
  try {
    const parsed = schema.safeParse(value, { reportInput: true });
    return parsed.success ? parsed : { success: false, problem: validationProblem(parsed.error) };
  } catch {
    return { success: false, problem: 'at root: an object stands where a text or a list should be' };
  }
}

/** The first problem of a failed check in v4's wording: `at /message: must be string`. */
export function validationProblem(error: z.core.$ZodError): string {
  const issue = error.issues[0];
  if (!issue) return 'at root: is not valid';
  const path = issue.path.length === 0 ? 'root' : `/${issue.path.join('/')}`;
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined && issue.path.length > 0) {
        const parent = issue.path.slice(0, -1);
        const where = parent.length === 0 ? '' : `at /${parent.join('/')}: `;
        return `${where}must have required property '${String(issue.path.at(-1))}'`;
      }
      return `at ${path}: must be ${issue.expected === 'int' ? 'integer' : issue.expected}`;
    case 'unrecognized_keys':
      return `at ${path}: unexpected property '${issue.keys[0]?.slice(0, 64)}'`;
    case 'too_small':
      return issue.origin === 'string'
        ? `at ${path}: must NOT have fewer than ${issue.minimum} characters`
        : `at ${path}: must be >= ${issue.minimum}`;
    case 'too_big':
      return issue.origin === 'string'
        ? `at ${path}: must NOT have more than ${issue.maximum} characters`
        : `at ${path}: must be <= ${issue.maximum}`;
    case 'invalid_value':
      return `at ${path}: must be one of ${issue.values.map((value) => JSON.stringify(value)).join(', ')}`;
    default:
      return `at ${path}: ${issue.message.toLowerCase()}`;
  }
}
