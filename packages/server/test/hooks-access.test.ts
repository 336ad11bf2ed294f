import { createHash, createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { HooksOptions } from '../src/index.ts';
import { type Door, messagesOf, openDoor, ownerToken } from './door-fixture.ts';

const token = 'a-token-for-hooks';
const secret = 'a-secret-for-hooks';
const auth = { mode: 'token', token: ownerToken } as const;
const sha256 = (key: string, ...parts: string[]) => {
  const hmac = createHmac('sha256', key);
  for (const part of parts) hmac.update(part);
  return `sha256=${hmac.digest('hex')}`;
};

interface Sent {
  body?: unknown;
  headers?: Record<string, string>;
  method?: string;
}

async function post(
  door: Door,
  path: string,
  { body = { text: 'hi', message: 'hi' }, headers = {}, method = 'POST' }: Sent = {},
) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const answer = await door.fetch(`/hooks/${path}`, {
    method,
    token: '',
    headers: { 'content-type': 'application/json', ...headers },
    ...(method === 'GET' ? {} : { body: text }),
  });
  return { status: answer.status, headers: answer.headers, json: (await answer.json()) as Record<string, unknown> };
}

const bearer = (value: string) => ({ authorization: `Bearer ${value}` });

/** Headers of a signed request; `atMs` is what it says of its time. */
function signed(door: Door, body: string, { key = secret, atMs = door.clock.now(), unit = 1 } = {}) {
  const timestamp = String(Math.floor(atMs / unit));
  return { 'x-openclaw-timestamp': timestamp, 'x-openclaw-signature': sha256(key, `${timestamp}.`, body) };
}

describe('the way in to hooks', () => {
  test('is not there without a token and a secret, and comes and goes while the gateway runs', async () => {
    const door = await openDoor();
    expect((await post(door, 'wake', { headers: bearer(token) })).status).toBe(404);
    door.gateway.reconfigure({ auth, hooks: { token } });
    expect((await post(door, 'wake', { headers: bearer(token) })).status).toBe(200);
    door.gateway.reconfigure({ auth, hooks: { mappings: { x: { message: 'x' } } } });
    expect((await post(door, 'wake', { headers: bearer(token) })).status).toBe(404);
  });

  test('opens for the token in either header, and for nothing else, least of all the own one of the gateway', async () => {
    const door = await openDoor({ hooks: { token } });
    const status = async (headers: Record<string, string>, path = 'wake') =>
      (await post(door, path, { headers })).status;
    expect(await status(bearer(token))).toBe(200);
    expect(await status({ 'x-openclaw-token': token })).toBe(200);
    for (const headers of [
      {},
      bearer(ownerToken),
      bearer('wrong'),
      { 'x-openclaw-token': ownerToken },
      { authorization: token },
    ])
      expect(await status(headers as Record<string, string>)).toBe(401);
    expect(await status(bearer(token), 'wake?token=x')).toBe(400);
    const get = await post(door, 'wake', { method: 'GET', headers: bearer(token) });
    expect([get.status, get.headers.get('allow')]).toEqual([405, 'POST']);
  });

  test('settings that would let too many in are refused, and change nothing', async () => {
    const door = await openDoor({ hooks: { token } });
    const hashed = `sha256:${createHash('sha256').update('the-hashed-token-of-ci').digest('hex')}`;
    const tokens = [
      { name: 'script', token: 'the-token-of-a-script', scopes: [] },
      { name: 'ci', token: hashed, scopes: [] },
    ];
    const wrong: HooksOptions[] = [
      { token: 'short' },
      { secret: 'short' },
      { token: ownerToken },
      { token: 'the-token-of-a-script' },
      { secret: 'the-hashed-token-of-ci' },
      { token, mappings: { agent: { message: 'x' } } },
      { token, mappings: { 'a/b': { message: 'x' } } },
      { token, mappings: { x: { message: ' ' } } },
      { token, mappings: { x: { message: 'x', signature: 'github' } } },
      { token, mappings: { x: { message: 'x', secret: 'short' } } },
    ];
    for (const hooks of wrong)
      expect(() => door.gateway.reconfigure({ auth, tokens, hooks })).toThrow(
        expect.objectContaining({ code: 'INVALID_REQUEST' }),
      );
    expect((await post(door, 'wake', { headers: bearer(token) })).status).toBe(200);
    await expect(openDoor({ hooks: { token: 'short' } })).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });

  test('a hook that there is not looks like a wrong credential to whom has none', async () => {
    const hooks = {
      token,
      mappings: { there: { message: 'x' }, own: { message: 'x', secret: 'a-secret-of-its-own' } },
    };
    const door = await openDoor({ hooks, limits: { failedAuthPerMinute: 100 } });
    const sent = { headers: { 'x-openclaw-signature': 'sha256=00', 'x-openclaw-timestamp': '1700000000' } };
    const answers = [];
    for (const name of ['there', 'own', 'missing', '__proto__', 'constructor', 'there/x'])
      for (const each of [{}, { headers: bearer('wrong') }, sent])
        answers.push(await post(door, name, each).then(({ status, json }) => JSON.stringify([status, json])));
    expect(new Set(answers)).toEqual(new Set([JSON.stringify([401, { ok: false, error: 'Unauthorized' }])]));
    expect((await post(door, 'missing', { headers: bearer(token) })).status).toBe(404);
    expect((await post(door, '__proto__', { headers: bearer(token) })).status).toBe(404);
    // Its own secret is the only way in to a hook that has one.
    expect((await post(door, 'own', { headers: bearer(token) })).status).toBe(401);
  });

  test('closes for an address after too many wrong credentials, and every refusal is in the audit trail', async () => {
    const door = await openDoor({
      hooks: { token },
      limits: { failedAuthPerMinute: 3 },
      trustedProxies: ['127.0.0.1'],
      allowedHosts: ['gateway.example'],
    });
    const from = { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-host': 'gateway.example' };
    for (let count = 0; count < 3; count++)
      expect((await post(door, 'secret-name', { headers: from })).status).toBe(401);
    const closed = await post(door, 'wake', { headers: { ...from, ...bearer(token) } });
    expect(closed.status).toBe(429);
    expect(Number(closed.headers.get('retry-after'))).toBeGreaterThan(0);
    const other = { ...from, 'x-forwarded-for': '203.0.113.10' };
    expect((await post(door, 'wake', { headers: { ...other, ...bearer(token) } })).status).toBe(200);
    await door.clock.advance(3_600_000);
    expect((await post(door, 'wake', { headers: { ...from, ...bearer(token) } })).status).toBe(200);
    const { payload } = await (await door.dial()).ask('audit.entries', {});
    const refusals = (payload.entries as Record<string, unknown>[]).filter(({ action }) => action === 'hook.refused');
    expect(refusals).toContainEqual(
      expect.objectContaining({ code: 'AUTH_UNAUTHORIZED', remoteIp: '203.0.113.9', target: 'unknown' }),
    );
    expect(refusals).toContainEqual(expect.objectContaining({ code: 'AUTH_RATE_LIMITED', target: 'wake' }));
    expect(JSON.stringify(payload)).not.toContain('secret-name');
    expect(JSON.stringify(payload)).not.toContain(token);
  });

  test('stays open for the programs of the machine, whichever of them is set up wrongly', async () => {
    const door = await openDoor({ hooks: { token }, limits: { failedAuthPerMinute: 3 } });
    for (let count = 0; count < 4; count++) expect((await post(door, 'wake', {})).status).toBe(401);
    expect((await post(door, 'wake', { headers: bearer(token) })).status).toBe(200);
  });
});

describe('a signature', () => {
  const text = JSON.stringify({ message: 'signed' });

  test('over time and bytes lets in, in seconds and in milliseconds, within the tolerance', async () => {
    const door = await openDoor({ hooks: { secret, toleranceMs: 60_000 }, limits: { failedAuthPerMinute: 100 } });
    const status = async (headers: Record<string, string>, body = text) =>
      (await post(door, 'agent', { body, headers: { ...headers, 'idempotency-key': JSON.stringify(headers) } })).status;
    const now = door.clock.now();
    expect(await status(signed(door, text))).toBe(200);
    expect(await status(signed(door, text, { unit: 1_000 }))).toBe(200);
    expect(await status(signed(door, text, { atMs: now - 59_000 }))).toBe(200);
    expect(await status(signed(door, text, { atMs: now - 61_000 }))).toBe(401);
    expect(await status(signed(door, text, { atMs: now + 61_000 }))).toBe(401);
    expect(await status(signed(door, text, { key: 'another-secret-of-16' }))).toBe(401);
    expect(await status(signed(door, text), `${text} `)).toBe(401);
    const { 'x-openclaw-signature': right, ...rest } = signed(door, text);
    expect(await status({ ...rest, 'x-openclaw-signature': right.replace('sha256=', '') })).toBe(401);
    expect(await status({ ...rest, 'x-openclaw-signature': '' })).toBe(401);
    expect(await status({ 'x-openclaw-signature': right, 'x-openclaw-timestamp': '0x18bcfe56800' })).toBe(401);
    expect(await status({ 'x-openclaw-signature': right })).toBe(401);
  });

  test('is judged before anything in the body is looked at', async () => {
    const door = await openDoor({ hooks: { secret } });
    const broken = '{"message": ';
    expect((await post(door, 'agent', { body: broken, headers: signed(door, 'else') })).status).toBe(401);
    const answer = await post(door, 'agent', { body: broken, headers: signed(door, broken) });
    expect([answer.status, answer.json]).toEqual([400, { ok: false, error: 'invalid json' }]);
  });

  test('used once starts one run, also when it is sent again with another key', async () => {
    const door = await openDoor({ hooks: { secret, mappings: { again: { message: 'again' } } } });
    const headers = signed(door, text);
    const first = await post(door, 'agent', { body: text, headers });
    const again = await post(door, 'agent', { body: text, headers });
    expect(again.json).toEqual(first.json);
    const replayed = await post(door, 'agent', { body: text, headers: { ...headers, 'idempotency-key': 'mine' } });
    expect(replayed.status).toBe(409);
    expect((await post(door, 'again', { body: text, headers })).status).toBe(409);
    const caller = await door.dial();
    expect(await messagesOf(caller, 'hook:agent')).toHaveLength(1);
  });

  test('of the kind that GitHub sends covers the body, and the delivery is the key', async () => {
    const mappings = { gh: { message: '{{action}}', secret: 'a-secret-of-github', signature: 'github' } } as const;
    const door = await openDoor({ hooks: { mappings } });
    const body = JSON.stringify({ action: 'opened' });
    const headers = { 'x-hub-signature-256': sha256('a-secret-of-github', body), 'x-github-delivery': 'd-1' };
    const first = await post(door, 'gh', { body, headers });
    expect(first).toMatchObject({ status: 200, json: { ok: true, runId: expect.any(String) } });
    expect((await post(door, 'gh', { body, headers })).json).toEqual(first.json);
    const next = await post(door, 'gh', { body, headers: { ...headers, 'x-github-delivery': 'd-2' } });
    expect(next.json.runId).not.toBe(first.json.runId);
    const { 'x-github-delivery': _delivery, ...unnamed } = headers;
    const unkeyed = [
      await post(door, 'gh', { body, headers: unnamed }),
      await post(door, 'gh', { body, headers: unnamed }),
    ];
    expect(unkeyed[0]?.json).toEqual(unkeyed[1]?.json);
    expect((await post(door, 'gh', { body: `${body} `, headers })).status).toBe(401);
    const form = await post(door, 'gh', {
      body,
      headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect(form.status).toBe(415);
    expect(form.json.error).toContain('application/json');
    expect((await post(door, 'wake', { headers: bearer(token) })).status).toBe(401);
  });
});
