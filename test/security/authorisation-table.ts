/**
 * Who may do what, written by hand: the matrix is judged by this table and not by the declarations that it tests. A method,
 * a kind of stream or a route without a row fails the test, so that whoever adds one says here who may use it.
 */

/** What a caller needs: a scope of an operator, or only to be one of `roles`. */
export interface MethodRule {
  roles: readonly ('operator' | 'agent' | 'channel' | 'node')[];
  /** What an operator needs beside its role; absent where being let in is enough. */
  scope?: Scope;
}

export const scopes = [
  'operator.read',
  'operator.write',
  'operator.admin',
  'operator.approvals',
  'operator.pairing',
] as const;
export type Scope = (typeof scopes)[number];

export const roles = ['operator', 'agent', 'channel', 'node'] as const;
export type RoleName = (typeof roles)[number];

const everyone: MethodRule = { roles: ['operator', 'agent', 'channel'] };
const read: MethodRule = { roles: ['operator'], scope: 'operator.read' };
const write: MethodRule = { roles: ['operator'], scope: 'operator.write' };
const admin: MethodRule = { roles: ['operator'], scope: 'operator.admin' };
const approvals: MethodRule = { roles: ['operator'], scope: 'operator.approvals' };
const pairing: MethodRule = { roles: ['operator'], scope: 'operator.pairing' };
const agent: MethodRule = { roles: ['agent'] };

/** Every method of the contract but `connect`, which is the handshake and not known after it. */
export const methodRules: Readonly<Record<string, MethodRule>> = {
  health: everyone,
  ping: everyone,
  'streams.subscribe': everyone,
  'streams.unsubscribe': everyone,

  status: read,
  'system-presence': read,
  'config.get': read,
  'config.schema': read,
  'agents.list': read,
  'models.list': read,
  'chat.history': read,
  'chat.startup': read,
  'sessions.describe': read,
  'sessions.list': read,
  'sessions.messages.subscribe': read,
  'sessions.messages.unsubscribe': read,
  'sessions.subscribe': read,
  'sessions.unsubscribe': read,
  'media.read': { roles: ['operator', 'agent'], scope: 'operator.read' },

  agent: write,
  'agent.wait': write,
  'chat.abort': write,
  'chat.send': write,
  'sessions.create': write,
  'sessions.patch': write,

  'audit.entries': admin,
  'config.patch': admin,
  'config.set': admin,
  'sessions.delete': admin,
  'sessions.reset': admin,
  'tokens.create': admin,
  'tokens.list': admin,
  'tokens.revoke': admin,

  'approvals.list': approvals,
  'approvals.resolve': approvals,

  'device.pair.approve': pairing,
  'device.pair.list': pairing,
  'device.pair.reject': pairing,
  'device.pair.remove': pairing,
  'device.pair.rename': pairing,
  'device.pair.setupCode': pairing,
  'device.token.revoke': pairing,
  'device.token.rotate': pairing,

  'agent.attach': agent,
  'run.emit': agent,
  'run.journal': agent,
  'run.messages': agent,
  'run.start': agent,
};

/** Who may read a stream: operators with a scope, and the one agent or channel whose work it is. */
export interface StreamRule {
  scope?: Scope;
  owner?: { role: RoleName; id: string };
}

/** One stream of every kind at least, and names that are none. */
export const streamRules: Readonly<Record<string, StreamRule>> = {
  'session:agent:main:main': { scope: 'operator.read' },
  'session:main': { scope: 'operator.read' },
  'session:agent:main:not-there': { scope: 'operator.read' },
  system: { scope: 'operator.read' },
  approvals: { scope: 'operator.approvals' },
  pairing: { scope: 'operator.pairing' },
  audit: { scope: 'operator.admin' },
  'agent:main': { owner: { role: 'agent', id: 'main' } },
  'agent:other': {},
  'agent:': {},
  'channel:telegram/main': { owner: { role: 'channel', id: 'telegram/main' } },
  'channel:telegram': {},
  'channel:telegram/main/x': {},
  'channel:telegram/other': {},
  'node:phone': {},
  'session:': {},
  'session:agent:': {},
  'system:x': {},
  'audit:': {},
  Audit: {},
  ' audit': {},
  nothing: {},
  __proto__x: {},
  constructor: {},
};

/** What a set of scopes allows: admin everything of an operator, write includes read. */
export function covers(held: readonly Scope[], needed: Scope): boolean {
  if (held.includes('operator.admin') || held.includes(needed)) return true;
  return needed === 'operator.read' && held.includes('operator.write');
}

/** All 32 sets of scopes. */
export const scopeSets: readonly (readonly Scope[])[] = Array.from({ length: 2 ** scopes.length }, (_, bits) =>
  scopes.filter((_scope, index) => (bits & (1 << index)) !== 0),
);
