import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv, type AnySchema, type ValidateFunction } from 'ajv';

type JsonObject = Record<string, unknown>;

interface PublishedSchema {
  definitions: Record<string, JsonObject>;
}

/** Fields that v4's own gateway adds to every agent event, though its published schema is closed (I12). */
const agentEventExtras = { sessionKey: { type: 'string' }, sessionId: { type: 'string' }, agentId: { type: 'string' } };

/**
 * The schema of `@openclaw/gateway-protocol` 2026.9.1, which no one here wrote, as a judge of what this gateway sends to v4
 * clients. It has no map from events and methods to payloads; the few that it defines are named here.
 */
export class SchemaOracle {
  readonly #schema: PublishedSchema;
  readonly #ajv = new Ajv({ strict: false, allErrors: true });
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor() {
    // The package does not export the file, so it is found beside the entry.
    const path = fileURLToPath(new URL('../protocol.schema.json', import.meta.resolve('@openclaw/gateway-protocol')));
    this.#schema = withoutDiscriminators(JSON.parse(readFileSync(path, 'utf8'))) as PublishedSchema;
  }

  /** Whether the schema has a definition of this name. */
  defines(name: string): boolean {
    return name in this.#schema.definitions;
  }

  /** What is wrong with a value by the definition of that name; empty when nothing is. */
  problems(name: string, value: unknown): string[] {
    const validate = this.#validator(name);
    if (validate(value)) return [];
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) => `${name}${instancePath} ${message} ${JSON.stringify(params)}`,
    );
  }

  /** What is wrong with a frame from the gateway. `method` is that of the request that a `res` answers. */
  frameProblems(frame: JsonObject, method?: string): string[] {
    if (frame.type === 'event') return [...this.problems('EventFrame', frame), ...this.#eventProblems(frame)];
    if (frame.type !== 'res') return [`a frame of type ${JSON.stringify(frame.type)} is nothing that a gateway sends`];
    return [...this.problems('ResponseFrame', frame), ...this.#answerProblems(frame, method)];
  }

  #eventProblems({ event, payload }: JsonObject): string[] {
    switch (event) {
      case 'chat':
        return this.problems(this.#chatDefinition(payload), payload);
      case 'agent':
      case 'session.tool':
        return this.problems('AgentEvent', payload);
      case 'tick':
        return this.problems('TickEvent', payload);
      case 'shutdown':
        return this.problems('ShutdownEvent', payload);
      case 'presence':
        return ((payload as { presence: unknown[] }).presence ?? [payload]).flatMap((entry) =>
          this.problems('PresenceEntry', entry),
        );
      default:
        return [];
    }
  }

  /** The definition of this very state: `ChatEvent` is their union, whose errors would name every branch. */
  #chatDefinition(payload: unknown): string {
    const name = `Chat${capitalized(String((payload as JsonObject | undefined)?.state))}Event`;
    return this.defines(name) ? name : 'ChatEvent';
  }

  #answerProblems({ ok, payload, error }: JsonObject, method: string | undefined): string[] {
    if (ok !== true) return this.problems('ErrorShape', error);
    if (method === 'connect') return this.problems('HelloOk', payload);
    if (method === 'chat.history') {
      return typeof (payload as JsonObject).kind === 'string' ? this.problems('ChatHistoryCursorResult', payload) : [];
    }
    const definition = method && `${method.split(/[.-]/).map(capitalized).join('')}Result`;
    return definition && this.defines(definition) ? this.problems(definition, payload) : [];
  }

  #validator(name: string): ValidateFunction {
    let validate = this.#compiled.get(name);
    if (!validate) {
      const definition = this.#schema.definitions[name];
      if (!definition) throw new Error(`the published schema has no definition ${name}`);
      validate = this.#ajv.compile(
        name === 'AgentEvent' ? withProperties(definition, agentEventExtras) : (definition as AnySchema),
      );
      this.#compiled.set(name, validate);
    }
    return validate;
  }
}

function withProperties(definition: JsonObject, properties: JsonObject): JsonObject {
  return { ...definition, properties: { ...(definition.properties as JsonObject), ...properties } };
}

function capitalized(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** Ajv refuses OpenAPI's `discriminator` in the form that the schema has it; it adds nothing to what is valid. */
function withoutDiscriminators(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDiscriminators);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, child]) =>
      key === 'discriminator' ? [] : [[key, withoutDiscriminators(child)]],
    ),
  );
}
