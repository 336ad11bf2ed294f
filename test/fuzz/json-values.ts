import type { Dice } from './dice.ts';

/** The part of JSON Schema that the contract uses. */
export interface JsonSchema {
  type?: string | string[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema | JsonSchema[];
  prefixItems?: JsonSchema[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  additionalProperties?: JsonSchema | boolean;
}

/** Strings that mean something to a gateway, or to what is written carelessly. */
const knownStrings = [
  'main',
  'agent:main:main',
  'agent:main:notes',
  'agent:other:main',
  'session:main',
  'session:agent:main:main',
  'agent:main',
  'channel:telegram/main',
  'system',
  'approvals',
  'pairing',
  'audit',
  'node:phone',
  'operator.read',
  'operator.admin',
  'operator',
  '',
  ' ',
  '.',
  '..',
  '../../../etc/passwd',
  '%2e%2e%2f',
  'constructor',
  'toString',
  '\u0000',
  '\ud800',
  'a\udc00b',
  '\ufeff',
  '\u202e',
  '𝕬'.repeat(40),
  '${HOME}',
  '{{x}}',
  "'; --",
  '<script>',
  '-1',
  '1e999',
  '9007199254740993',
  'data:text/html;base64,AAAA',
  'ws://127.0.0.1:1',
  'null',
  'undefined',
];

const knownNumbers = [
  0,
  -0,
  1,
  -1,
  0.5,
  2 ** 31,
  -(2 ** 31) - 1,
  2 ** 53 - 1,
  2 ** 53,
  -(2 ** 53),
  1e21,
  1e308,
  -1e308,
  5e-324,
  100,
  1_000,
];

/** Makes JSON values: after a schema, or after nothing. `words` are strings of the gateway under test, such as its session keys. */
export class JsonValues {
  readonly #dice: Dice;
  readonly #words: readonly string[];

  constructor(dice: Dice, words: readonly string[]) {
    this.#dice = dice;
    this.#words = words;
  }

  string(maxLength = 40): string {
    const dice = this.#dice;
    if (dice.chance(0.35) && this.#words.length > 0) return dice.pick(this.#words);
    if (dice.chance(0.5)) return dice.pick(knownStrings);
    const length = dice.chance(0.02) ? dice.below(5_000) : dice.below(Math.max(1, maxLength));
    return String.fromCharCode(
      ...dice.times(length, () => (dice.chance(0.9) ? 32 + dice.below(95) : dice.below(65_536))),
    );
  }

  number(): number {
    const dice = this.#dice;
    return dice.chance(0.6) ? dice.below(200) : dice.pick(knownNumbers);
  }

  /** Anything at all. */
  any(depth = 3): unknown {
    const dice = this.#dice;
    switch (dice.below(depth > 0 ? 8 : 5)) {
      case 0:
        return null;
      case 1:
        return dice.chance(0.5);
      case 2:
        return this.number();
      case 3:
      case 4:
        return this.string();
      case 5:
        return dice.times(dice.below(4), () => this.any(depth - 1));
      default:
        // What asks anything for its length, or compares it, gets no answer from these.
        if (dice.chance(0.1))
          return { [dice.pick(['length', 'size'])]: { [dice.pick(['toString', 'valueOf'])]: this.string(4) } };
        return Object.fromEntries(dice.times(dice.below(5), () => [this.string(12), this.any(depth - 1)]));
    }
  }

  /** What the schema allows, more or less: bounds are often, not always, kept. */
  of(schema: JsonSchema, depth = 6): unknown {
    const dice = this.#dice;
    if (depth === 0) return null;
    if ('const' in schema) return schema.const;
    if (schema.enum) return dice.pick(schema.enum);
    const choices = schema.anyOf ?? schema.oneOf;
    if (choices) return this.of(dice.pick(choices), depth - 1);
    if (schema.allOf) return Object.assign({}, ...schema.allOf.map((part) => this.of(part, depth - 1)));
    const type = Array.isArray(schema.type) ? dice.pick(schema.type) : schema.type;
    switch (type) {
      case 'object':
        return this.#object(schema, depth);
      case 'array':
        return this.#array(schema, depth);
      case 'string':
        return this.#text(schema);
      case 'integer':
      case 'number': {
        const { minimum = 0, maximum = 1_000 } = schema;
        const low = Math.max(minimum, -1_000);
        return low + dice.below(Math.max(1, Math.min(maximum, low + 1_000) - low + 1));
      }
      case 'boolean':
        return dice.chance(0.5);
      case 'null':
        return null;
      default:
        return this.any(2);
    }
  }

  #object(
    { properties = {}, required = [], additionalProperties }: JsonSchema,
    depth: number,
  ): Record<string, unknown> {
    const dice = this.#dice;
    const entries = Object.entries(properties)
      .filter(([name]) => required.includes(name) || dice.chance(0.4))
      .map(([name, schema]): [string, unknown] => [name, this.of(schema, depth - 1)]);
    if (typeof additionalProperties === 'object' && dice.chance(0.5))
      entries.push([this.string(12), this.of(additionalProperties, depth - 1)]);
    return Object.fromEntries(entries);
  }

  #array({ items, prefixItems, minItems = 0, maxItems = 4 }: JsonSchema, depth: number): unknown[] {
    const fixed = prefixItems ?? (Array.isArray(items) ? items : undefined);
    if (fixed) return fixed.map((item) => this.of(item, depth - 1));
    const length = minItems + this.#dice.below(Math.min(4, Math.max(1, maxItems - minItems + 1)));
    return this.#dice.times(length, () => this.of((items as JsonSchema | undefined) ?? {}, depth - 1));
  }

  #text({ minLength = 0, maxLength = 40 }: JsonSchema): string {
    const text = this.string(Math.min(maxLength, 60));
    return text.length < minLength ? text.padEnd(minLength, 'a') : text;
  }
}
