import { describe, expect, test } from 'vitest';
import { fillTemplate } from '../src/http/hooks/hook-template.ts';
import { type HooksOptions, memoryStore } from '../src/index.ts';
import { type Caller, type Door, messagesOf, openDoor } from './door-fixture.ts';

const token = 'a-token-for-hooks';

async function post(door: Door, path: string, body: unknown, headers: Record<string, string> = {}) {
  const answer = await door.fetch(`/hooks/${path}`, {
    method: 'POST',
    token,
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: answer.status, json: (await answer.json()) as Record<string, unknown> };
}

const open = (hooks: HooksOptions = {}, store = memoryStore()) => openDoor({ hooks: { token, ...hooks } }, { store });
const texts = async (caller: Caller, sessionKey: string) =>
  (await messagesOf(caller, sessionKey)).map(({ content }) =>
    content.map((block: { text: string }) => block.text).join(),
  );
const sessionsOf = async (caller: Caller) =>
  ((await caller.ask('sessions.list', {})).payload.sessions as { key: string }[]).map(({ key }) => key).sort();

describe('/hooks/agent', () => {
  test('starts a run whose message says where it came from', async () => {
    const door = await open();
    const caller = await door.dial();
    const { status, json } = await post(door, 'agent', { message: 'build failed', deliver: true });
    expect({ status, json }).toEqual({ status: 200, json: { ok: true, runId: expect.stringMatching(/^hook-/) } });
    const [row] = await messagesOf(caller, 'hook:agent');
    expect(row).toMatchObject({ role: 'user', runId: json.runId, source: { kind: 'hook', id: 'agent' } });
    expect(row?.content).toEqual([{ type: 'text', text: 'build failed' }]);
  });

  test('the same key is the same run, also after a restart, and with something else a conflict', async () => {
    const store = memoryStore();
    const door = await open({}, store);
    const key = { 'idempotency-key': 'delivery-1' };
    const first = await post(door, 'agent', { message: 'once' }, key);
    expect((await post(door, 'agent', { message: 'once' }, key)).json).toEqual(first.json);
    await door.gateway.close();
    const next = await open({}, store);
    expect((await post(next, 'agent', { message: 'once' }, key)).json).toEqual(first.json);
    expect((await post(next, 'agent', { message: 'other' }, key)).status).toBe(409);
    expect(await texts(await next.dial(), 'hook:agent')).toEqual(['once']);
    expect((await post(next, 'agent', { message: 'once' })).json.runId).not.toBe(first.json.runId);
  });

  test('chooses the session only where that is allowed; a name stays below the sessions of hooks', async () => {
    const door = await open();
    const caller = await door.dial();
    expect((await post(door, 'agent', { message: 'x', sessionKey: 'main' })).status).toBe(400);
    await post(door, 'agent', { message: 'x', name: 'agent:main:main\u0000\n' });
    expect(await sessionsOf(caller)).toEqual(['agent:main:hook:agent:agent:main:main']);
    const auth = { mode: 'token', token: 'the-token-of-the-owner' } as const;
    door.gateway.reconfigure({ auth, hooks: { token, allowRequestSessionKey: true, defaultSessionKey: 'inbox' } });
    expect((await post(door, 'agent', { message: 'x', sessionKey: 'main' })).status).toBe(200);
    expect((await post(door, 'agent', { message: 'y', name: 'any' })).status).toBe(200);
    expect(await sessionsOf(caller)).toEqual([
      'agent:main:hook:agent:agent:main:main',
      'agent:main:inbox',
      'agent:main:main',
    ]);
  });

  test('says what is wrong with a request', async () => {
    const door = await open({ maxBodyBytes: 1_000 });
    const refusals: [body: unknown, status: number, error: string | RegExp][] = [
      ['{', 400, 'invalid json'],
      ['"text"', 400, /JSON object/],
      ['[]', 400, /JSON object/],
      [{}, 400, 'message required'],
      [{ message: ' ' }, 400, 'message required'],
      [{ message: 1 }, 400, 'message required'],
      [{ message: 'x', agentId: 'nobody' }, 400, /unknown agent id: nobody/],
      [{ message: 'x', agentId: 'main:main' }, 400, /unknown agent id: main:main/],
      [{ message: 'x', agentId: 1 }, 400, /agentId/],
      [{ message: 'x'.repeat(1_000) }, 413, /1000 bytes/],
      ['['.repeat(900), 400, 'invalid json'],
    ];
    for (const [body, status, error] of refusals) {
      const answer = await post(door, 'agent', body);
      expect(answer).toEqual({ status, json: { ok: false, error: expect.stringMatching(error) } });
    }
    expect((await post(door, 'agent', { message: 'x' }, { 'content-type': 'text/plain' })).status).toBe(415);
    expect(
      (await post(door, 'agent', { message: 'x' }, { 'content-type': 'application/cloudevents+json; charset=utf-8' }))
        .status,
    ).toBe(200);
  });

  test('answers only what is committed', async () => {
    const store = memoryStore();
    const door = await open({}, store);
    const commit = store.commit.bind(store);
    store.commit = () => Promise.reject(new Error('the disk is full'));
    const key = { 'idempotency-key': 'k' };
    expect((await post(door, 'agent', { message: 'x' }, key)).status).toBe(503);
    store.commit = commit;
    expect((await post(door, 'agent', { message: 'x' }, key)).status).toBe(200);
    expect(await texts(await door.dial(), 'hook:agent')).toEqual(['x']);
  });
});

describe('/hooks/wake', () => {
  test('now is a run of the main session; the same text that waits already is not queued twice', async () => {
    const door = await open();
    const caller = await door.dial();
    const wake = { text: 'mail has come' };
    expect((await post(door, 'wake', wake)).json).toEqual({ ok: true, mode: 'now', eventOutcome: 'queued' });
    expect((await post(door, 'wake', wake)).json).toEqual({ ok: true, mode: 'now', eventOutcome: 'queued' });
    expect((await post(door, 'wake', wake)).json).toEqual({ ok: true, mode: 'now', eventOutcome: 'coalesced' });
    const { messages, pendingInputs } = (await caller.ask('chat.history', { sessionKey: 'main' })).payload;
    expect([messages.length, pendingInputs.total]).toEqual([1, 1]);
    expect(messages[0].source).toEqual({ kind: 'hook', id: 'wake' });
    expect(await post(door, 'wake', {})).toEqual({ status: 400, json: { ok: false, error: 'text required' } });
    expect((await post(door, 'wake', { text: 'x', mode: 'later' })).status).toBe(400);
  });

  test('next-heartbeat goes in front of the next message, once, over a restart, and starts nothing itself', async () => {
    const store = memoryStore();
    const door = await open({}, store);
    const note = (text: string) => post(door, 'wake', { text, mode: 'next-heartbeat' });
    expect((await note('one')).json).toEqual({ ok: true, mode: 'next-heartbeat', eventOutcome: 'queued' });
    expect((await note('one')).json).toMatchObject({ eventOutcome: 'coalesced' });
    expect((await note('two')).json).toMatchObject({ eventOutcome: 'queued' });
    await door.gateway.close();
    const next = await open({}, store);
    const caller = await next.dial();
    expect(await sessionsOf(caller)).toEqual([]);
    await caller.ask('chat.send', { sessionKey: 'main', message: 'hello', idempotencyKey: 'r1' });
    expect(await texts(caller, 'main')).toEqual(['one', 'two', 'hello']);
    const rows = await messagesOf(caller, 'main');
    expect(rows.map(({ runId, source }) => [runId, source?.kind])).toEqual([
      [undefined, 'hook'],
      [undefined, 'hook'],
      ['r1', undefined],
    ]);
    await caller.ask('chat.abort', { sessionKey: 'main' });
    await caller.ask('chat.send', { sessionKey: 'main', message: 'again', idempotencyKey: 'r2' });
    expect((await texts(caller, 'main')).filter((text) => text === 'one')).toHaveLength(1);
  });

  test('notes are bounded, keyed ones come once, and a reset drops them', async () => {
    const door = await open();
    const caller = await door.dial();
    const note = (text: string, headers = {}) => post(door, 'wake', { text, mode: 'next-heartbeat' }, headers);
    const key = { 'idempotency-key': 'k' };
    expect((await note('n0', key)).json).toMatchObject({ eventOutcome: 'queued' });
    expect((await note('n0', key)).json).toMatchObject({ eventOutcome: 'queued' });
    expect((await note('else', key)).status).toBe(409);
    for (let count = 1; count < 32; count++) expect((await note(`n${count}`)).status).toBe(200);
    expect((await note('one too many', { 'idempotency-key': 'k2' })).status).toBe(503);
    await caller.ask('chat.send', { sessionKey: 'main', message: 'x', idempotencyKey: 'r1' });
    // The refusal left no row: the same key works when there is room.
    expect((await note('one too many', { 'idempotency-key': 'k2' })).status).toBe(200);
    expect(await caller.ask('sessions.reset', { key: 'main', idempotencyKey: 'x1' })).toMatchObject({ ok: true });
    await caller.ask('chat.send', { sessionKey: 'main', message: 'fresh', idempotencyKey: 'r2' });
    expect(await texts(caller, 'main')).toEqual(['fresh']);
  });
});

test('notes of all sessions together are bounded, too', async () => {
  const mapping = { action: 'wake', mode: 'next-heartbeat', sessionKey: '{{to}}', message: '{{text}}' } as const;
  const door = await open({ mappings: { note: mapping } });
  const text = 'x'.repeat(100_000);
  const note = (to: number) => post(door, 'note', { to, text });
  for (let to = 0; to < 20; to++) expect((await note(to)).status).toBe(200);
  expect((await note(20)).status).toBe(503);
  expect((await note(0)).json).toMatchObject({ eventOutcome: 'coalesced' });
  const caller = await door.dial();
  await caller.ask('chat.send', { sessionKey: 'hook:note:0', message: 'x', idempotencyKey: 'r1' });
  expect((await note(20)).status).toBe(200);
});

describe('/hooks/<name>', () => {
  test('fills its templates from the event, and the session stays below the hook', async () => {
    const mappings = {
      issues: {
        message: '{{headers.x-event}}: {{issue.title}} by {{issue.labels.0.name}} {{query.from}}',
        sessionKey: '{{repository.name}}',
        idempotencyHeader: 'X-Event-Id',
      },
      fixed: { message: '{{body}}', sessionKey: 'agent:main:ops' },
      note: { action: 'wake', mode: 'next-heartbeat', message: 'disk {{percent}} %' },
      keyed: { message: 'x', idempotencyKey: '{{id}}' },
    } as const;
    const door = await open({ mappings });
    const caller = await door.dial();
    const event = {
      issue: { title: 'It {{broke}}', labels: [{ name: 'ada' }] },
      repository: { name: 'agent:main:main\n\u202e' },
    };
    const headers = { 'x-event': 'opened', 'x-event-id': 'e1' };
    const first = await post(door, 'issues?from=here', event, headers);
    expect((await post(door, 'issues?from=here', event, headers)).json).toEqual(first.json);
    expect(await texts(caller, 'hook:issues:agent:main:main')).toEqual(['opened: It {{broke}} by ada here']);
    const [row] = await messagesOf(caller, 'hook:issues:agent:main:main');
    expect(row?.source).toEqual({ kind: 'hook', id: 'issues' });
    await post(door, 'fixed', { a: 1 });
    expect(await texts(caller, 'ops')).toEqual(['{"a":1}']);
    expect((await post(door, 'note', { percent: 91 })).json).toMatchObject({
      mode: 'next-heartbeat',
      eventOutcome: 'queued',
    });
    const keyed = [
      await post(door, 'keyed', { id: 7 }),
      await post(door, 'keyed', { id: 7 }),
      await post(door, 'keyed', { id: 8 }),
    ];
    expect(keyed[0]?.json).toEqual(keyed[1]?.json);
    expect(keyed[2]?.json.runId).not.toBe(keyed[0]?.json.runId);
    expect((await post(door, 'issues', '{}')).status).toBe(200);
    expect(await sessionsOf(caller)).toContain('agent:main:hook:issues');
  });

  test('an event of which nothing fits is refused in words', async () => {
    const door = await open({ mappings: { empty: { message: '{{nothing}}' } } });
    expect(await post(door, 'empty', {})).toMatchObject({
      status: 400,
      json: { error: expect.stringContaining('empty') },
    });
  });
});

describe('a template', () => {
  const fill = (template: string, body: unknown, headers = {}) =>
    fillTemplate(template, { body, headers, query: new URLSearchParams('a=1&__proto__=2') });

  test('reaches what the event itself has, and nothing that all objects inherit', () => {
    const body = JSON.parse('{"a":{"b":[10,{"c":null}]},"headers":{"x":"body"},"__proto__":{"own":1},"t":true}');
    const table: [template: string, text: string][] = [
      ['{{a.b.0}} {{ a.b.1 }} {{t}}', '10 {"c":null} true'],
      ['{{a.b.1.c}}|{{a.b.9}}|{{a.b.length}}|{{missing.deep}}', '|||'],
      ['{{headers.X-Name}}|{{body.headers.x}}|{{query.a}}', 'value|body|1'],
      ['{{constructor}}{{toString}}{{a.constructor.name}}{{a.__proto__}}{{headers.constructor}}', ''],
      ['{{__proto__.own}}', '1'],
      ['{{headers.authorization}}{{headers.x-openclaw-token}}{{headers.cookie}}', ''],
      ['{{a b}} {{}} {a} {{a.b.0', '{{a b}} {{}} {a} {{a.b.0'],
      [`{{${'a.'.repeat(100)}a}}`, ''],
    ];
    const headers = { 'x-name': 'value', authorization: 'secret', 'x-openclaw-token': 'secret', cookie: 'secret' };
    for (const [template, text] of table) expect(fill(template, body, headers)).toBe(text);
  });

  test('does not grow without bounds, and is well-formed text', () => {
    expect(fill('{{a}}'.repeat(10), { a: 'x'.repeat(150_000) }).length).toBeLessThanOrEqual(200_001);
    expect(fill('{{a}}', { a: '\ud800' }).isWellFormed()).toBe(true);
    const deep = JSON.parse(`${'[1,'.repeat(20_000)}1${']'.repeat(20_000)}`);
    expect(typeof fill('{{a}}', { a: deep })).toBe('string');
  });
});
