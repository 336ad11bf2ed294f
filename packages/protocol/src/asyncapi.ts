import type { EventDeclaration, MethodDeclaration } from './contract.ts';
import { protocolVersion } from './frames.ts';
import { events, methods } from './methods.ts';
import { contractSchema } from './schema.ts';

/** What the document says of the gateway that serves it. */
export interface AsyncApiOptions {
  /** Host and port. Default `127.0.0.1:18789`. */
  host?: string;
  /** `wss` behind TLS. Default `ws`. */
  protocol?: 'ws' | 'wss';
}

type Json = Record<string, unknown>;

interface DescribedContract {
  methods: Record<string, { params: Json; result: Json; roles: string[] }>;
  events: Record<string, { payload: Json }>;
}

const channelRef = { $ref: '#/channels/gateway' };

/**
 * The contract as an AsyncAPI 3.0 document, from the gateway's side: it receives a request and replies for every method, and
 * sends every event. All of it goes over one WebSocket, so there is one channel.
 */
export function asyncApiDocument({ host = '127.0.0.1:18789', protocol = 'ws' }: AsyncApiOptions = {}): Json {
  const contract = contractSchema() as unknown as DescribedContract;
  const messages: Json = { error: errorMessage() };
  const schemas: Json = { error: errorSchema() };
  const operations: Json = {};
  for (const declaration of Object.values(methods as Record<string, MethodDeclaration>)) {
    const { name } = declaration;
    const { params, result, roles } = contract.methods[name] ?? { params: {}, result: {}, roles: [] };
    schemas[`${name}.params`] = params;
    schemas[`${name}.result`] = result;
    messages[`${name}.request`] = requestMessage(declaration);
    messages[`${name}.result`] = resultMessage(declaration);
    operations[name] = methodOperation(declaration, roles);
  }
  for (const declaration of Object.values(events as Record<string, EventDeclaration>)) {
    const { name } = declaration;
    schemas[`${name}.payload`] = contract.events[name]?.payload ?? {};
    messages[`${name}.event`] = eventMessage(declaration);
    operations[`${name}.event`] = eventOperation(declaration);
  }
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Gateway protocol',
      version: `${protocolVersion}.0.0`,
      description:
        'JSON frames over one WebSocket, one frame per message. The gateway begins with the event connect.challenge; the ' +
        'first request is connect, which proves who asks; everything else follows its answer.',
    },
    defaultContentType: 'application/json',
    servers: { gateway: { host, protocol, description: 'The gateway. Any path upgrades.' } },
    channels: {
      gateway: {
        address: '/',
        description: 'The one connection.',
        servers: [{ $ref: '#/servers/gateway' }],
        messages: Object.fromEntries(Object.keys(messages).map((name) => [name, { $ref: pointer('messages', name) }])),
        bindings: { ws: { method: 'GET', bindingVersion: '0.1.0' } },
      },
    },
    operations,
    components: { messages, schemas },
  };
}

function methodOperation({ name, summary, scope, replay, since }: MethodDeclaration, roles: string[]): Json {
  return {
    action: 'receive',
    channel: channelRef,
    summary,
    messages: [{ $ref: channelPointer(`${name}.request`) }],
    reply: {
      channel: channelRef,
      messages: [{ $ref: channelPointer(`${name}.result`) }, { $ref: channelPointer('error') }],
    },
    'x-scope': scope,
    'x-roles': roles,
    'x-replay': replay,
    'x-since': since,
  };
}

function eventOperation({ name, summary, since, streams, ephemeral }: EventDeclaration): Json {
  return {
    action: 'send',
    channel: channelRef,
    summary,
    messages: [{ $ref: channelPointer(`${name}.event`) }],
    'x-since': since,
    ...(streams ? { 'x-streams': streams } : {}),
    ...(ephemeral ? { 'x-ephemeral': ephemeral } : {}),
  };
}

function requestMessage({ name, summary, params }: MethodDeclaration): Json {
  const isOptional = params.safeParse({}).success;
  return {
    name: `${name}.request`,
    title: `Request ${name}`,
    summary,
    correlationId: { location: '$message.payload#/id' },
    payload: frame(
      {
        type: { const: 'req' },
        id: { type: 'string', minLength: 1, description: 'Chosen by the client; the answer carries it.' },
        method: { const: name },
        params: { $ref: pointer('schemas', `${name}.params`) },
        traceparent: { type: 'string', maxLength: 128, description: 'The trace that it belongs to (W3C).' },
      },
      ['type', 'id', 'method', ...(isOptional ? [] : ['params'])],
    ),
  };
}

function resultMessage({ name }: MethodDeclaration): Json {
  return {
    name: `${name}.result`,
    title: `Result of ${name}`,
    correlationId: { location: '$message.payload#/id' },
    payload: frame(
      {
        type: { const: 'res' },
        id: { type: 'string', description: 'Of the request.' },
        ok: { const: true },
        payload: { $ref: pointer('schemas', `${name}.result`) },
      },
      ['type', 'id', 'ok', 'payload'],
    ),
  };
}

function eventMessage({ name, summary, streams }: EventDeclaration): Json {
  const inStream = {
    stream: { type: 'string', description: 'The stream that it is a record of.' },
    offset: { type: 'integer', minimum: 1, description: 'Its place there.' },
    from: { type: 'integer', minimum: 1, description: 'Present when it stands for all of from..offset.' },
  };
  return {
    name: `${name}.event`,
    title: `Event ${name}`,
    summary,
    payload: frame(
      {
        type: { const: 'event' },
        event: { const: name },
        payload: { $ref: pointer('schemas', `${name}.payload`) },
        seq: { type: 'integer', minimum: 1, description: 'Without the capability streams: counts per connection.' },
        stateVersion: {
          type: 'object',
          properties: { presence: { type: 'integer' }, health: { type: 'integer' } },
          description: 'Which presence and health it belongs to.',
        },
        ...(streams ? inStream : {}),
      },
      ['type', 'event', 'payload'],
    ),
  };
}

function errorMessage(): Json {
  return {
    name: 'error',
    title: 'Refusal of a request',
    correlationId: { location: '$message.payload#/id' },
    payload: frame(
      {
        type: { const: 'res' },
        id: { type: 'string', description: 'Of the request; invalid when it had none that could be read.' },
        ok: { const: false },
        error: { $ref: pointer('schemas', 'error') },
      },
      ['type', 'id', 'ok', 'error'],
    ),
  };
}

function errorSchema(): Json {
  return {
    type: 'object',
    required: ['code', 'message'],
    properties: {
      code: { type: 'string', description: 'Stable, for programs.' },
      message: { type: 'string', description: 'What happened and what to do, for people.' },
      details: { type: 'object', description: 'Facts; details.code tells the cause where there is a finer one.' },
      retryable: { type: 'boolean', description: 'True when the same request may succeed later.' },
      retryAfterMs: { type: 'integer', minimum: 0, description: 'How long to wait before that, in ms.' },
    },
  };
}

function frame(properties: Json, required: string[]): Json {
  return { type: 'object', properties, required };
}

function pointer(part: 'messages' | 'schemas', name: string): string {
  return `#/components/${part}/${name}`;
}

function channelPointer(message: string): string {
  return `#/channels/gateway/messages/${message}`;
}
