import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { Identities, sharedToken } from './identity-fixture.ts';

const hashOf = (token: string) => createHash('sha256').update(token).digest('hex');

describe('a token that is named in the options', () => {
  const tokens = [
    { name: 'ci', token: 'a-token-of-its-own', scopes: ['operator.write', 'operator.unheard'] },
    { name: 'hashed', token: `sha256:${hashOf('a-token-kept-as-hash')}`, scopes: ['operator.read'] },
  ];

  test('can’t be the shared secret, which would let its bearer do everything, nor the same as another', async () => {
    const named = (token: string, name = 'ci') => ({ name, token, scopes: ['operator.read'] });
    for (const token of [sharedToken, `sha256:${hashOf(sharedToken)}`])
      await expect(Identities.open({ tokens: [named(token)] })).rejects.toThrow(/is the shared secret/);
    const twice = [named('a-token-of-its-own'), named(`sha256:${hashOf('a-token-of-its-own')}`, 'other')];
    await expect(Identities.open({ tokens: twice })).rejects.toThrow(/the same as another/);
  });

  test('lets in for what it allows of what is asked for, as a principal of its own', async () => {
    const gateway = await Identities.open({ tokens });
    for (const [token, scopes] of [
      ['a-token-of-its-own', ['operator.read', 'operator.write']],
      ['a-token-kept-as-hash', ['operator.read']],
    ] as const) {
      for (const auth of [{ token }, { deviceToken: token }]) {
        const { hello } = await gateway.join({ changes: { auth } });
        expect(hello.auth).toEqual({ role: 'operator', scopes });
      }
    }
    const { hello } = await gateway.join({ changes: { auth: { token: 'a-token-of-its-own' }, scopes: undefined } });
    expect(hello.auth.scopes).toEqual([]);
  });

  test('is listed without its text and its hash, and taken out where it stands', async () => {
    const gateway = await Identities.open({ tokens });
    const owner = await gateway.join();
    const { payload } = await owner.ask('tokens.list');
    expect(payload.tokens).toMatchObject([
      { id: 'ci', role: 'operator', source: 'config' },
      { id: 'hashed', role: 'operator', source: 'config', scopes: ['operator.read'] },
    ]);
    const { tokenId } = payload.tokens[0];
    expect(tokenId).toBe(hashOf('a-token-of-its-own').slice(0, 16));
    expect((await owner.ask('tokens.revoke', { tokenId })).error.message).toContain('configuration');
    const told = JSON.stringify(payload);
    for (const secret of ['a-token', hashOf('a-token-of-its-own'), hashOf('a-token-kept-as-hash')]) {
      expect(told).not.toContain(secret);
    }
  });

  test('keeps its name to itself', async () => {
    const gateway = await Identities.open({ tokens });
    const owner = await gateway.join();
    expect((await owner.ask('tokens.create', { role: 'operator', id: 'ci' })).error.message).toContain(
      "can't be the id",
    );
  });
});

describe('tokens.create', () => {
  test('makes one for an operator, told once and never again', async () => {
    const gateway = await Identities.open();
    const owner = await gateway.join();
    const scopes = ['operator.read', 'operator.approvals'];
    const made = (await owner.ask('tokens.create', { role: 'operator', id: 'ci', scopes })).payload;
    expect(made).toEqual({
      token: expect.stringMatching(/^[\w-]{43}$/),
      tokenId: hashOf(made.token).slice(0, 16),
      role: 'operator',
      id: 'ci',
      scopes,
      issuedAtMs: gateway.clock.now(),
    });
    const listed = (await owner.ask('tokens.list')).payload;
    expect(listed.tokens).toEqual([
      { tokenId: made.tokenId, role: 'operator', id: 'ci', scopes, issuedAtMs: made.issuedAtMs, source: 'made' },
    ]);
    const trail = (await owner.ask('audit.entries')).payload;
    expect(trail.entries).toMatchObject([{ action: 'token.created', actor: 'token:shared', target: made.tokenId }]);
    for (const secret of [made.token, hashOf(made.token)])
      expect(JSON.stringify([listed, trail])).not.toContain(secret);
  });

  test.each([
    ['an agent that is not there', { role: 'agent', id: 'nobody' }, 'unknown agent id: nobody'],
    ['a channel without account', { role: 'channel', id: 'telegram' }, 'such as "telegram/main"'],
    ['a name that is another principal’s', { role: 'operator', id: 'agent/main' }, "can't be the id"],
    ['a scope that is none', { role: 'operator', id: 'x', scopes: ['operator.raed'] }, 'operator.raed'],
  ])('refuses %s', async (_, params, told) => {
    const owner = await (await Identities.open()).join();
    expect((await owner.ask('tokens.create', params)).error).toMatchObject({
      code: 'INVALID_REQUEST',
      message: expect.stringContaining(told),
    });
  });

  test('takes an admin', async () => {
    const gateway = await Identities.open();
    const member = await gateway.join({ changes: { scopes: ['operator.write', 'operator.pairing'] } });
    for (const [method, params] of [
      ['tokens.create', { role: 'operator', id: 'x' }],
      ['tokens.list', {}],
      ['tokens.revoke', { tokenId: '0123456789abcdef' }],
    ] as const) {
      expect((await member.ask(method, params)).error.details.missingScope).toBe('operator.admin');
    }
  });
});

describe('a channel', () => {
  test('comes with its own token, reads its own stream, and nothing else', async () => {
    const gateway = await Identities.open();
    const owner = await gateway.join();
    const made = (
      await owner.ask('tokens.create', { role: 'channel', id: 'telegram/main', scopes: ['operator.admin'] })
    ).payload;
    expect(made.scopes).toEqual([]);
    const changes = { role: 'channel', caps: ['streams'], auth: { token: made.token } };
    const channel = await gateway.join({ changes });
    expect(channel.hello.auth).toEqual({ role: 'channel', scopes: [] });
    const names = ['channel:telegram/main', 'channel:telegram/other', 'agent:main', 'session:main', 'audit', 'pairing'];
    const { payload } = await channel.ask('streams.subscribe', { streams: names.map((stream) => ({ stream })) });
    expect(payload.streams.map(({ result }: { result: string }) => result)).toEqual([
      'snapshot',
      ...names.slice(1).map(() => 'forbidden'),
    ]);
    expect((await channel.ask('health')).ok).toBe(true);
    for (const method of ['chat.send', 'sessions.list', 'tokens.create', 'run.start']) {
      expect((await channel.ask(method)).error.message).toContain('is for the role');
    }
  });

  test.each(['agent', 'channel'])('or agent needs a token of that role: no other makes a %s', async (role) => {
    const gateway = await Identities.open();
    const owner = await gateway.join();
    const make = async (params: object) => (await owner.ask('tokens.create', params)).payload.token as string;
    const tokens = [
      sharedToken,
      await make({ role: 'operator', id: 'ci', scopes: ['operator.admin'] }),
      await make(role === 'agent' ? { role: 'channel', id: 'telegram/main' } : { role: 'agent', id: 'main' }),
    ];
    for (const token of tokens) {
      const { error, close } = await gateway.refused({ changes: { role, auth: { token } } });
      expect(error.details.code).toBe('AUTH_TOKEN_MISMATCH');
      expect(close.code).toBe(1008);
    }
    expect((await gateway.refused({ changes: { auth: { token: tokens[2]! } } })).error.message).toContain(
      'this token is for',
    );
    const { error } = await gateway.refused({ changes: { role: 'node', auth: { token: sharedToken } } });
    expect(error.details).toEqual({ code: 'ROLE_UNSUPPORTED', role: 'node' });
  });
});
