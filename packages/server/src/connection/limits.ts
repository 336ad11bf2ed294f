import { type DecodeLimits, GatewayError, type Role } from '@openclaw/protocol';

/** A limit as it is printed: its default, what that is counted in, and what happens beyond it. */
interface Limit {
  default: number;
  unit: 'bytes' | 'ms' | 'count' | 'per second' | 'per minute' | 'UTF-16 units';
  what: string;
}

const mebibyte = 1024 * 1024;

/**
 * Every limit that a connection or a request is held to, with its default: the one place where they stand. An address is an IPv4
 * address or the /64 of an IPv6 one; behind a trusted proxy the client's own.
 */
const limits = {
  // Before anybody is known.
  maxSockets: {
    default: 20_000,
    unit: 'count',
    what: 'TCP sockets in all, of every kind; more are closed as they are accepted.',
  },
  maxSocketsPerAddress: {
    default: 250,
    unit: 'count',
    what: 'TCP sockets of one address; more are closed before a byte of them is read. Loopback and trusted proxies are exempt.',
  },
  headersTimeoutMs: {
    default: 5_000,
    unit: 'ms',
    what: 'How long the headers of a request may take; then 408, and the socket is closed.',
  },
  requestTimeoutMs: {
    default: 10_000,
    unit: 'ms',
    what: 'How long the body of a request may take, where its route allows no more (uploads do); then 408, and the socket is closed.',
  },
  responseStallMs: {
    default: 60_000,
    unit: 'ms',
    what: 'How long the reader of a page or a file may take nothing of it; then the socket is closed.',
  },
  maxHeaderBytes: {
    default: 16 * 1024,
    unit: 'bytes',
    what: 'The headers of a request; more are answered with 431. A change needs a restart.',
  },
  maxHeaders: {
    default: 64,
    unit: 'count',
    what: 'The headers of a request; more are answered with 431. They are never dropped: the last may be what a proxy adds.',
  },
  handshakesPerSecond: {
    default: 5,
    unit: 'per second',
    what: 'WebSocket upgrades of one address, in the long run; more are answered with 429 and Retry-After. Loopback is exempt.',
  },
  handshakeBurst: {
    default: 20,
    unit: 'count',
    what: 'WebSocket upgrades of one address at once.',
  },
  maxHandshaking: {
    default: 1_000,
    unit: 'count',
    what: 'WebSockets that have not shown who they are; more upgrades are answered with 503 and Retry-After.',
  },
  handshakeMs: {
    default: 15_000,
    unit: 'ms',
    what: 'How long a connection may take until its hello-ok; then it is closed with 1000.',
  },
  handshakeFrameBytes: {
    default: 64 * 1024,
    unit: 'bytes',
    what: 'A message before hello-ok; more closes the connection with 1009.',
  },
  failedAuthPerMinute: {
    default: 10,
    unit: 'per minute',
    what: 'Wrong credentials of one address or device; then it has to wait (AUTH_RATE_LIMITED, or 429). Loopback is exempt.',
  },
  failedAuthBlockMs: {
    default: 60_000,
    unit: 'ms',
    what: 'How long that wait is the first time; each further time doubles it.',
  },
  failedAuthMaxBlockMs: {
    default: 60 * 60_000,
    unit: 'ms',
    what: 'The longest such wait.',
  },
  pairingPerMinute: {
    default: 10,
    unit: 'per minute',
    what: 'Requests to be paired of one address; then it has to wait as above. Asking again for the same is free.',
  },
  // Of those who were let in.
  maxConnections: {
    default: 10_000,
    unit: 'count',
    what: 'Connections after hello, local peers not counted; more are refused with 4202 (1013 to v4).',
  },
  maxConnectionsPerAddress: {
    default: 100,
    unit: 'count',
    what: 'Connections of one address; more are refused with 4202 (1013 to v4). Loopback is exempt.',
  },
  maxConnectionsPerPrincipal: {
    default: 100,
    unit: 'count',
    what: 'Connections of one principal (a token, a user); more are refused with 4202 (1013 to v4).',
  },
  maxConnectionsPerDevice: {
    default: 10,
    unit: 'count',
    what: 'Connections of one device; more are refused with 4202 (1013 to v4).',
  },
  operatorFrameBytes: {
    default: 25 * mebibyte,
    unit: 'bytes',
    what: 'A message of an operator, as hello-ok tells; more closes the connection with 1009.',
  },
  agentFrameBytes: {
    default: 25 * mebibyte,
    unit: 'bytes',
    what: 'A message of an agent; more closes the connection with 1009.',
  },
  channelFrameBytes: {
    default: 8 * mebibyte,
    unit: 'bytes',
    what: 'A message of a channel; more closes the connection with 1009.',
  },
  maxJsonDepth: {
    default: 64,
    unit: 'count',
    what: 'How deep objects and arrays of a message may be nested; deeper is answered with INVALID_REQUEST.',
  },
  maxJsonKeys: {
    default: 10_000,
    unit: 'count',
    what: 'Keys of all objects of a message; more are answered with INVALID_REQUEST.',
  },
  maxRequestsInFlight: {
    default: 256,
    unit: 'count',
    what: 'Requests of one connection that are worked on at a time; more are answered with UNAVAILABLE.',
  },
  requestsPerSecond: {
    default: 100,
    unit: 'per second',
    what: 'Requests of one operator, in the long run; more are answered with UNAVAILABLE, details.code RATE_LIMITED. Agents, channels, local peers and `ping` are exempt.',
  },
  requestBurst: {
    default: 1_000,
    unit: 'count',
    what: 'Requests of one operator at once.',
  },
  maxRefusedRequests: {
    default: 1_000,
    unit: 'count',
    what: 'Requests refused for their rate without a second of rest between them; then the connection is closed with 4201 (1013 to v4).',
  },
  maxHeldFrames: {
    default: 1_024,
    unit: 'count',
    what: 'Messages held back for a connection whose requests are not read now; more close it with 4201 (1013 to v4).',
  },
  maxHeldLength: {
    default: 32 * mebibyte,
    unit: 'UTF-16 units',
    what: 'The same, by their length.',
  },
} as const satisfies Record<string, Limit>;

/** What connections and requests are held to; {@link limitsTable} says what each one means, in which unit, with its default. */
export type ConnectionLimits = { [Name in keyof typeof limits]: number };

/** One row of the table of limits. */
export interface LimitFacts extends Limit {
  /** Its name in `GatewayOptions.limits`. */
  name: keyof ConnectionLimits;
}

const rows = Object.entries<Limit>(limits).map(([name, facts]) => ({ name, ...facts }) as LimitFacts);

export const defaultLimits: ConnectionLimits = Object.fromEntries(
  rows.map((row) => [row.name, row.default]),
) as ConnectionLimits;

/** All limits with their defaults, in the order in which a connection meets them. */
export function limitsTable(): readonly LimitFacts[] {
  return rows;
}

/** Refuses what is no limit: throws `INVALID_REQUEST` for an unknown name, or a value that is no number from 0 on. */
export function assertLimits(given: Partial<ConnectionLimits>): void {
  for (const [name, value] of Object.entries(given)) {
    const isKnown = Object.hasOwn(limits, name);
    if (isKnown && typeof value === 'number' && value >= 0) continue;
    throw new GatewayError(
      'INVALID_REQUEST',
      isKnown
        ? `The limit ${name} is ${value}; give a number from 0 on.`
        : `There is no limit "${name}"; see limitsTable() for those that there are.`,
    );
  }
}

/** The limits of a received document, always as they are now. */
export function decodeLimitsOf(current: ConnectionLimits): DecodeLimits {
  return {
    get maxDepth() {
      return current.maxJsonDepth;
    },
    get maxKeys() {
      return current.maxJsonKeys;
    },
  };
}

/** What the largest message of any role may have, in bytes. */
export function maxFrameBytes({ operatorFrameBytes, agentFrameBytes, channelFrameBytes }: ConnectionLimits): number {
  return Math.max(operatorFrameBytes, agentFrameBytes, channelFrameBytes);
}

/** How large a message of a peer with this role may be, in bytes. */
export function frameBytesOf(
  role: Role,
  { operatorFrameBytes, agentFrameBytes, channelFrameBytes }: ConnectionLimits,
): number {
  if (role === 'agent') return agentFrameBytes;
  return role === 'channel' ? channelFrameBytes : operatorFrameBytes;
}

/** Bytes that an attachment may have, as hello-ok tells and `chat.send` holds to. */
export const attachmentLimits = { maxBytes: 19_464_192, maxImageBytes: 6_291_456 };
