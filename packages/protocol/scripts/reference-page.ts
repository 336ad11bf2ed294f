import { contractSchema } from '../src/schema.ts';

interface Schema {
  type?: string | string[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  description?: string;
}

/** The reference page, `docs/gateway/reference.md`, from the contract. */
export function referencePage(): string {
  const { methods, events } = contractSchema() as {
    methods: Record<
      string,
      { summary: string; scope: string; replay: string; since: string; roles: string[]; params: Schema; result: Schema }
    >;
    events: Record<string, { summary: string; since: string; streams?: string[]; ephemeral?: string; payload: Schema }>;
  };
  const lines = [
    '# Reference',
    '',
    'Made from the contract in `packages/protocol`; edit the declarations, not this page.',
    '',
    '## Methods',
    '',
  ];
  for (const [name, method] of Object.entries(methods)) {
    lines.push(`### ${name}`, '', method.summary, '');
    lines.push(
      `Scope \`${method.scope}\` · replay \`${method.replay}\` · roles ${method.roles.join(', ')} · since ${method.since}`,
      '',
    );
    lines.push(...table('Params', method.params), ...table('Result', method.result));
  }
  lines.push('## Events', '');
  for (const [name, event] of Object.entries(events)) {
    const where = event.streams ? `a record of ${event.streams.join(', ')}` : `outside streams, for ${event.ephemeral}`;
    lines.push(
      `### event ${name}`,
      '',
      `${event.summary}`,
      '',
      `Since ${event.since}; ${where}.`,
      '',
      ...table('Payload', event.payload),
    );
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

function table(title: string, schema: Schema): string[] {
  const rows = fields(schema, '');
  if (rows.length === 0) return [];
  return [`| ${title} | Type | |`, '| --- | --- | --- |', ...rows, ''];
}

function fields(schema: Schema, prefix: string): string[] {
  const required = new Set(schema.required);
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    const row = `| \`${path}${required.has(name) ? '' : '?'}\` | ${typeOf(field)} | ${(field.description ?? '').replaceAll('|', '\\|')} |`;
    const inner = field.items ? fields(field.items, `${path}[].`) : fields(field, `${path}.`);
    return [row, ...inner];
  });
}

function typeOf(schema: Schema): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(' \\| ');
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return options.map(typeOf).join(' \\| ');
  if (schema.items) return `${typeOf(schema.items)}[]`;
  return Array.isArray(schema.type) ? schema.type.join(' \\| ') : (schema.type ?? 'any');
}
