import { z } from 'zod';

/** What is known of a setting beside its schema. */
interface Marks {
  /** Never shown. The one place that says so: what is shown, the hints for forms and the docs follow it. */
  isSecret?: true;
  /** In use at once when it changes; inherited by what is in it. Without it, after a restart. */
  isLive?: boolean;
  /** The default in words, where it stands elsewhere. */
  standard?: string;
}

const marks = z.registry<Marks>();

/** A text that is never shown. In the file it may also be `{ env: 'NAME' }` or `{ file: './path' }`. */
export function secret(about: string): z.ZodString {
  return z.string().min(1).describe(about).register(marks, { isSecret: true });
}

/** Marks what is in use at once when it changes. */
export function live<Schema extends z.ZodType>(schema: Schema): Schema {
  marks.add(schema, { ...marks.get(schema), isLive: true });
  return schema;
}

/** Marks what, inside of something live, is in use only after a restart. */
export function atRestart<Schema extends z.ZodType>(schema: Schema): Schema {
  marks.add(schema, { ...marks.get(schema), isLive: false });
  return schema;
}

/** Says in words what holds when the setting is left out. */
export function standard<Schema extends z.ZodType>(schema: Schema, words: string): Schema {
  marks.add(schema, { ...marks.get(schema), standard: words });
  return schema;
}

/** A size, a time or a number of things from 1 on, that may be left out. */
export function bound(about: string, words: string): z.ZodOptional<z.ZodInt> {
  return standard(z.int().min(1).optional(), words).describe(about);
}

/** Whether a schema is that of a secret itself. */
export function isSecret(schema: z.core.$ZodType): boolean {
  return marks.get(schema)?.isSecret ?? false;
}

/** One setting, or a section of them. */
export interface Setting {
  /** Where it is in the file: `tokens.*.scopes`; `*` stands for any name or index. */
  path: string;
  /** What it may be, in words. */
  type: string;
  /** What it does, in a sentence. */
  about: string;
  /** What holds when it is left out, as JSON or in words; absent when it must be given. */
  standard?: string;
  isSecret: boolean;
  /** In use at once when it changes, and not only after a restart. */
  isLive: boolean;
  isSection: boolean;
}

interface Opened {
  schema: z.core.$ZodType;
  about: string;
  marks: Marks;
  isOptional: boolean;
  standard: string | undefined;
}

/** Every setting of a schema, sections before what is in them. */
export function settingsOf(schema: z.ZodType): Setting[] {
  const found = new Map<string, Setting>();
  visit(schema, '', { isLive: false }, found);
  found.delete('');
  return [...found.values()];
}

function visit(schema: z.core.$ZodType, path: string, outer: { isLive: boolean }, found: Map<string, Setting>): void {
  const opened = open(schema);
  const inner = { isLive: opened.marks.isLive ?? outer.isLive };
  const parts = partsOf(opened.schema);
  const said = opened.marks.standard ?? opened.standard ?? (opened.isOptional ? 'none' : undefined);
  const known = found.get(path);
  if (known) {
    // Another kind of the same section, such as another `auth.mode`.
    if (!known.type.includes(typeOf(opened.schema))) known.type += ` or ${typeOf(opened.schema)}`;
  } else {
    found.set(path, {
      path,
      type: typeOf(opened.schema),
      about: opened.about,
      ...(said === undefined ? {} : { standard: said }),
      isSecret: opened.marks.isSecret ?? false,
      isLive: inner.isLive,
      isSection: parts.length > 0,
    });
  }
  for (const [name, part] of parts) visit(part, path === '' ? name : `${path}.${name}`, inner, found);
}

/** The schema under what makes it optional, with all that these layers say. */
function open(outer: z.core.$ZodType): Opened {
  const opened: Opened = { schema: outer, about: '', marks: {}, isOptional: false, standard: undefined };
  for (;;) {
    const { schema } = opened;
    opened.about ||= z.globalRegistry.get(schema)?.description ?? '';
    opened.marks = { ...marks.get(schema), ...opened.marks };
    const { def } = (schema as z.ZodType)._zod as { def: z.core.$ZodTypeDef & { innerType?: z.core.$ZodType } };
    if (!def.innerType) return opened;
    if (def.type === 'optional') opened.isOptional = true;
    if (def.type === 'default') opened.standard ??= JSON.stringify((def as z.core.$ZodDefaultDef).defaultValue);
    if (def.type === 'prefault') opened.isOptional = true;
    opened.schema = def.innerType;
  }
}

/** The named parts of a schema; `*` for any name or index. A list of plain values has none: it is one setting. */
function partsOf(schema: z.core.$ZodType): [string, z.core.$ZodType][] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case 'object':
      return Object.entries(def.shape);
    case 'union':
      return def.options.flatMap((option) => partsOf(open(option).schema));
    case 'array':
      return partsOf(open(def.element).schema).length > 0 ? [['*', def.element]] : [];
    case 'record':
      return typeOf(def.valueType) === 'anything' ? [] : [['*', def.valueType]];
    default:
      return [];
  }
}

function typeOf(schema: z.core.$ZodType): string {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case 'string':
      return 'text';
    case 'number':
      return 'number';
    case 'boolean':
      return 'true or false';
    case 'enum':
      return Object.values(def.entries)
        .map((value) => `'${value}'`)
        .join(', ');
    case 'literal':
      return def.values.map((value) => `'${String(value)}'`).join(', ');
    case 'array':
      return `list of ${typeOf(open(def.element).schema)}`;
    case 'tuple':
      return 'list of text';
    case 'record':
      return 'section';
    case 'union': {
      const types = new Set(def.options.map((option) => typeOf(open(option).schema)));
      return [...types].join(' or ');
    }
    case 'object':
      return 'section';
    default:
      return 'anything';
  }
}
