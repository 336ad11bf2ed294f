import { type MethodDeclaration, methods } from '@openclaw/protocol';
import { type ConfigPort, createGateway, type MethodImplementation } from '@openclaw/server';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import { gate, scriptedAgent, startGateway, type TestGateway, testToken } from '../gateway.ts';
import {
  covers,
  methodRules,
  type RoleName,
  roles,
  type Scope,
  scopeSets,
  streamRules,
} from './authorisation-table.ts';
import { type Answer, LocalPeer } from './local-peer.ts';

let running: TestGateway;
const sizes: Record<string, number> = {};
const count = (what: string, by = 1) => {
  sizes[what] = (sizes[what] ?? 0) + by;
};

/** A configuration behind `config.*`, so that all of these methods are there; no call gets as far as to it. */
const untouched = () => Promise.reject(new Error('The configuration was reached.'));
const config: ConfigPort = {
  get: () => {
    throw new Error('The configuration was reached.');
  },
  schema: untouched,
  patch: untouched,
  set: untouched,
};

beforeEach(async () => {
  running = await startGateway({ config });
});

afterEach(() => running.close());

afterAll(() => {
  const total = Object.values(sizes).reduce((sum, size) => sum + size, 0);
  const parts = Object.entries(sizes).map(([what, size]) => `${size} ${what}`);
  console.log(`authorisation matrix: ${total} decisions (${parts.join(', ')})`);
});

/** No method takes a number for its params: who may call it learns so, who may not learns that first. */
const wrongParams = 7;

const idOf = (role: RoleName) => (role === 'agent' ? 'main' : role === 'channel' ? 'telegram/main' : '');

/** What the table says of a call, in the words of {@link outcomeOf}. */
function expectedOutcome(method: string, role: RoleName, held: readonly Scope[]): string {
  const rule = methodRules[method];
  if (!rule) return `a row for ${method} in authorisation-table.ts`;
  if (!rule.roles.includes(role)) return 'refused: role';
  if (role === 'operator' && rule.scope && !covers(held, rule.scope)) return `refused: ${rule.scope}`;
  return 'allowed';
}

function outcomeOf(method: string, { ok, error }: Answer): string {
  if (!ok && error?.code === 'INVALID_REQUEST' && error.message.startsWith(`invalid ${method} params`))
    return 'allowed';
  if (!ok && error?.code === 'FORBIDDEN') {
    const missing = error.details?.missingScope;
    if (typeof missing === 'string' && error.message === `missing scope: ${missing}`) return `refused: ${missing}`;
    if (error.message.includes('is for the role')) return 'refused: role';
  }
  return JSON.stringify({ ok, error });
}

async function everyPeer(
  visit: (peer: LocalPeer, role: RoleName, held: readonly Scope[], hasStreams: boolean) => Promise<void>,
): Promise<void> {
  for (const role of roles)
    for (const held of scopeSets)
      for (const hasStreams of [true, false]) {
        const peer = await LocalPeer.join(running.gateway, { role, id: idOf(role), scopes: held }, { hasStreams });
        await visit(peer, role, held, hasStreams);
        peer.close();
      }
}

describe('methods', () => {
  const names = Object.keys(methods).filter((name) => name !== 'connect');

  test('the table has a row for every method of the contract, and for nothing else', () => {
    expect(Object.keys(methodRules).sort()).toEqual([...names].sort());
  });

  test('every method × role × set of scopes is allowed or refused as the table says, with streams and as plain v4', {
    timeout: 120_000,
  }, async () => {
    const wrong: string[] = [];
    await everyPeer(async (peer, role, held, hasStreams) => {
      const answers = await Promise.all(names.map((name) => peer.request(name, wrongParams)));
      for (const [index, answer] of answers.entries()) {
        const method = names[index] as string;
        const [is, expected] = [outcomeOf(method, answer), expectedOutcome(method, role, held)];
        const who = `${role} [${held.join(' ')}] ${hasStreams ? 'streams' : 'v4'}`;
        if (is !== expected) wrong.push(`${method} by ${who}: ${is}, expected ${expected}`);
        count('of methods');
      }
    });
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  test('names that no method has, those of every object among them, are known to admins only', async () => {
    const odd = ['nope', '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'CHAT.SEND', 'chat.send '];
    const wrong: string[] = [];
    await everyPeer(async (peer, role, held) => {
      for (const method of odd) {
        const { ok, error } = await peer.request(method, {});
        const isAdmin = role === 'operator' && held.includes('operator.admin');
        const expected = isAdmin ? `unknown method: ${method}` : 'missing scope: operator.admin';
        if (ok || error?.message !== expected) wrong.push(`${method} by ${role} [${held}]: ${error?.message}`);
        count('of unknown names');
      }
    });
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  test('nobody calls any method before connect: the socket is closed with nothing but a refusal', {
    timeout: 60_000,
  }, async () => {
    for (const method of [...names, 'nope']) {
      const { texts, code } = await firstRequest(method);
      expect(code, method).toBe(1008);
      expect(
        texts.map((text) => JSON.parse(text).error?.code),
        method,
      ).toEqual(['INVALID_REQUEST']);
      count('before connect');
    }
  });
});

describe('streams', () => {
  test('every kind of stream × role × set of scopes is readable or forbidden as the table says', {
    timeout: 120_000,
  }, async () => {
    const names = Object.keys(streamRules);
    const wrong: string[] = [];
    await everyPeer(async (peer, role, held, hasStreams) => {
      const { ok, payload, error } = await peer.request('streams.subscribe', {
        streams: names.map((stream) => ({ stream })),
      });
      count('of streams', names.length);
      if (role === 'node' || !hasStreams) {
        const code = role === 'node' ? 'FORBIDDEN' : 'INVALID_REQUEST';
        if (ok || error?.code !== code) wrong.push(`${role} v4: ${JSON.stringify({ ok, error })}`);
        return;
      }
      const { streams } = payload as { streams: { result: string; epoch: string; head: number }[] };
      for (const [index, name] of names.entries()) {
        const rule = streamRules[name] ?? {};
        const mayRead =
          (role === 'operator' && rule.scope !== undefined && covers(held, rule.scope)) ||
          (rule.owner?.role === role && rule.owner.id === idOf(role));
        const { result, epoch, head } = streams[index] as (typeof streams)[number];
        // Who may not read learns neither whether it exists nor how long it is.
        const isForbidden = result === 'forbidden' && epoch === '' && head === 0;
        if (mayRead ? result !== 'snapshot' : !isForbidden) wrong.push(`${name} by ${role} [${held}]: ${result}`);
      }
    });
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  test('the words of a session reach exactly those who may read it, subscribed or as plain v4', {
    timeout: 60_000,
  }, async () => {
    await running.close();
    const canary = 'the-canary-of-the-session';
    const spoken = gate();
    running = await startGateway({
      agent: scriptedAgent(async function* ({ call }) {
        await spoken.opened;
        yield `I say ${canary}`;
        yield* call({ name: 'look', args: { canary }, safe: true }, () => ({ canary }));
      }),
    });
    const peers: { peer: LocalPeer; who: string; mayRead: boolean }[] = [];
    for (const role of roles)
      for (const held of scopeSets)
        for (const hasStreams of [true, false]) {
          // A second agent would take the work of the first one away.
          if (role === 'agent') continue;
          const identity = { role, id: idOf(role), scopes: held };
          const peer = await LocalPeer.join(running.gateway, identity, { hasStreams, caps: ['tool-events'] });
          const streams = Object.keys(streamRules).map((stream) => ({ stream }));
          await peer.request('streams.subscribe', { streams });
          await peer.request('sessions.subscribe', {});
          await peer.request('sessions.messages.subscribe', { key: 'main' });
          const mayRead = role === 'operator' && covers(held, 'operator.read');
          peers.push({ peer, who: `${role} [${held}] ${hasStreams ? 'streams' : 'v4'}`, mayRead });
        }
    const writer = await LocalPeer.join(running.gateway, { role: 'operator', scopes: ['operator.write'] });
    spoken.open();
    const message = `Say ${canary}`;
    const sent = await writer.request('chat.send', { sessionKey: 'main', message, idempotencyKey: 'canary-run' });
    expect(sent.ok).toBe(true);
    await writer.request('agent.wait', { runId: 'canary-run' });
    // What was sent to a peer before its next answer has arrived with that.
    await Promise.all(peers.map(({ peer }) => peer.request('health', {})));
    const wrong = peers.filter(({ peer, mayRead }) => peer.hasSeen(canary) !== mayRead).map(({ who }) => who);
    expect(wrong.slice(0, 20)).toEqual([]);
    expect(peers.filter(({ mayRead }) => mayRead).length).toBeGreaterThan(0);
    count('of live words', peers.length);
  });
});

describe('methods of others', () => {
  const declared = (changes: Partial<Record<keyof MethodDeclaration, unknown>>): MethodImplementation => ({
    declaration: { ...methods.ping, name: 'mine.do', ...changes } as MethodDeclaration,
    handle: () => ({ ts: 0 }),
  });

  for (const [what, changes] of Object.entries({
    'no scope': { scope: undefined },
    'an empty scope': { scope: '' },
    'a scope that does not exist': { scope: 'operator.everything' },
    'the scope of the handshake': { scope: 'connect' },
    "the agents' scope for operators": { scope: 'agent', roles: undefined },
    "the agents' scope for operators, too": { scope: 'agent', roles: ['agent', 'operator'] },
    'no role': { roles: [] },
    'roles that are no list': { roles: 'operator' },
  }))
    test(`a method that declares ${what} is not added: the gateway does not start`, async () => {
      const options = { auth: { mode: 'token' as const, token: testToken }, methods: [declared(changes)] };
      await expect(createGateway(options)).rejects.toMatchObject({
        code: 'INVALID_REQUEST',
        message: expect.stringContaining("'mine.do'"),
      });
    });

  test('a method that declares a scope is held to it', async () => {
    await running.close();
    running = await startGateway({ methods: [declared({ scope: 'operator.approvals', roles: ['operator'] })] });
    const reader = await LocalPeer.join(running.gateway, { role: 'operator', scopes: ['operator.read'] });
    const approver = await LocalPeer.join(running.gateway, { role: 'operator', scopes: ['operator.approvals'] });
    expect((await reader.request('mine.do', {})).error?.message).toBe('missing scope: operator.approvals');
    expect(await approver.request('mine.do', {})).toMatchObject({ ok: true });
  });
});

/** What a socket gets that sends a request before it has said who it is: every text after the challenge, and the close. */
function firstRequest(method: string): Promise<{ texts: string[]; code: number }> {
  const socket = new WebSocket(running.url);
  const texts: string[] = [];
  socket.on('message', (text) => {
    if (String(text).includes('connect.challenge'))
      socket.send(JSON.stringify({ type: 'req', id: '1', method, params: {} }));
    else texts.push(String(text));
  });
  return new Promise((resolve) => socket.on('close', (code) => resolve({ texts, code })));
}
