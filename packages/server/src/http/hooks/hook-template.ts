import type { IncomingHttpHeaders } from 'node:http';

/** What a template may speak of. */
export interface TemplateValues {
  /** The body, parsed. */
  body: unknown;
  headers: IncomingHttpHeaders;
  query: URLSearchParams;
}

const fieldPattern = /\{\{\s*([^{}\s]{1,256})\s*\}\}/g;
const maxDepth = 32;
/** UTF-16 units of what one template makes, and of one value in it. */
const maxUnits = 200_000;
const maxValueUnits = 100_000;
/** What lets the request in is no news for an agent. */
const secretHeaders: ReadonlySet<string> = new Set([
  'authorization',
  'cookie',
  'proxy-authorization',
  'x-hub-signature',
  'x-hub-signature-256',
  'x-openclaw-signature',
  'x-openclaw-token',
]);

/** Whether a text has places for values. */
export function isTemplate(text: string): boolean {
  return text.includes('{{');
}

/**
 * Puts values into a template: `{{user.name}}` and `{{items.0.id}}` of the body (`{{body}}` is all of it, `{{body.headers}}`
 * what is hidden by a name of ours), `{{headers.x-name}}`, `{{query.name}}`. What is missing is empty; objects are JSON. Values
 * are never read as templates, and no code runs.
 */
export function fillTemplate(template: string, values: TemplateValues): string {
  const text = template.replace(fieldPattern, (_place, path: string) =>
    cut(textOf(valueAt(path, values)), maxValueUnits),
  );
  return cut(text, maxUnits).toWellFormed();
}

function valueAt(path: string, { body, headers, query }: TemplateValues): unknown {
  const [first = '', ...rest] = path.split('.').slice(0, maxDepth + 1);
  const name = rest.join('.');
  switch (first) {
    case 'headers':
      return secretHeaders.has(name.toLowerCase()) ? undefined : ownField(headers, name.toLowerCase());
    case 'query':
      return query.get(name) ?? undefined;
    case 'body':
      return fieldAt(body, rest);
    default:
      return fieldAt(body, [first, ...rest]);
  }
}

function fieldAt(value: unknown, path: readonly string[]): unknown {
  if (path.length > maxDepth) return undefined;
  let at = value;
  for (const name of path) at = ownField(at, name);
  return at;
}

/** A field that the value itself has: nothing of what all objects inherit. */
function ownField(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  if (Array.isArray(value) && !/^\d{1,6}$/.test(name)) return undefined;
  return (value as Record<string, unknown>)[name];
}

function textOf(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
    case 'boolean':
      return String(value);
    case 'object':
      return value === null ? '' : jsonOf(value);
    default:
      return '';
  }
}

function jsonOf(value: object): string {
  try {
    return JSON.stringify(value);
  } catch {
    // Nested deeper than the stack is high.
    return '';
  }
}

function cut(text: string, units: number): string {
  return text.length <= units ? text : `${text.slice(0, units)}…`;
}
