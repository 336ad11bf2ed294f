import { operatorScopes } from '@openclaw/protocol';
import { describe, expect, test } from 'vitest';
import { authRefusal } from '../src/connection/connect-refusal.ts';
import { attempt } from './connect-attempt.ts';
import { listening } from './edge-fixture.ts';
import { makeDevice } from './raw-client.ts';

const named = (id: string, mode = 'ui') => ({ client: { id, version: '1', platform: 'linux', mode } });

describe('the shared token or password', () => {
  test('works in either field, and with either secret', async () => {
    const edge = await listening({ auth: { mode: 'token', token: 'right', password: 'word' } });
    for (const auth of [
      { token: 'right' },
      { password: 'right' },
      { token: 'word' },
      { token: 'x', password: 'word' },
    ]) {
      expect((await attempt(edge, { changes: { auth } })).payload.auth.scopes.length).toBe(2);
    }
  });

  test.each([
    ['AUTH_TOKEN_MISMATCH', { token: 'wrong-and-secret' }, 'unauthorized: gateway token mismatch'],
    ['AUTH_PASSWORD_MISMATCH', { password: 'wrong-and-secret' }, 'unauthorized: gateway password mismatch'],
    ['AUTH_DEVICE_TOKEN_MISMATCH', { deviceToken: 'wrong-and-secret' }, 'unauthorized: device token mismatch'],
    ['AUTH_BOOTSTRAP_TOKEN_INVALID', { bootstrapToken: 'wrong-and-secret' }, 'unauthorized: the link was used'],
  ])('gives %s for a wrong one, without telling it again', async (code, auth, begin) => {
    const { error, close } = await attempt(await listening(), { changes: { auth } });
    expect(error).toMatchObject({
      code: 'INVALID_REQUEST',
      details: {
        code,
        authReason: code.slice(5).toLowerCase(),
        canRetryWithDeviceToken: false,
        recommendedNextStep: 'update_auth_credentials',
      },
    });
    expect(error.message.startsWith(begin)).toBe(true);
    expect(close?.code).toBe(1008);
    expect(error.message.startsWith(close?.reason ?? '?')).toBe(true);
    expect(JSON.stringify([error, close])).not.toContain('secret');
  });

  test('without any credentials and device, the device is asked for', async () => {
    const { error, close } = await attempt(await listening(), { changes: { auth: {} } });
    expect(error).toEqual({
      code: 'NOT_PAIRED',
      message: 'device identity required',
      details: { code: 'DEVICE_IDENTITY_REQUIRED' },
    });
    expect(close?.code).toBe(1008);
  });

  test('a token where only a password is configured says so', async () => {
    const edge = await listening({ auth: { mode: 'password', password: 'word' } });
    expect((await attempt(edge)).error.details.code).toBe('AUTH_TOKEN_NOT_CONFIGURED');
  });

  test('an edge refuses an empty secret, compression, and no auth beyond loopback', async () => {
    await expect(listening({ auth: { mode: 'token', token: '' } })).rejects.toThrow(/empty/);
    await expect(listening({ perMessageDeflate: true as unknown as false })).rejects.toThrow(/perMessageDeflate/);
    const { edge } = await listening({ auth: { mode: 'none' } });
    await expect(edge.listen({ port: 0, host: '0.0.0.0' })).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });

  test('wrong ones from this machine lock nobody out; from elsewhere ten of them do, for a minute', async () => {
    const edge = await listening({ trustedProxies: ['127.0.0.1'] });
    const wrong = { auth: { token: 'wrong' } };
    const away = { headers: { 'x-forwarded-for': '203.0.113.9' } };
    for (let n = 0; n < 14; n++) await attempt(edge, { changes: wrong });
    expect((await attempt(edge)).payload.type).toBe('hello-ok');
    for (let n = 0; n < 10; n++) {
      expect((await attempt(edge, { changes: wrong, options: away })).error.details.code).toBe('AUTH_TOKEN_MISMATCH');
    }
    expect((await attempt(edge, { options: away })).error).toMatchObject({
      retryAfterMs: 60_000,
      details: { code: 'AUTH_RATE_LIMITED', recommendedNextStep: 'wait_then_retry' },
    });
    expect((await attempt(edge, { options: { headers: { 'x-forwarded-for': '203.0.113.10' } } })).payload.type).toBe(
      'hello-ok',
    );
    await edge.host.clock.advance(60_001);
    expect((await attempt(edge, { options: away })).payload.type).toBe('hello-ok');
  });
});

describe('scopes', () => {
  test('are none when none were asked for, never unknown ones, and never more than an operator’s', async () => {
    const edge = await listening();
    expect((await attempt(edge, { changes: { scopes: undefined } })).payload.auth.scopes).toEqual([]);
    const asked = [...operatorScopes, 'operator.everything', 'root'];
    expect((await attempt(edge, { changes: { scopes: asked } })).payload.auth.scopes).toEqual([...operatorScopes]);
  });

  test.each([
    ['test', 'test'],
    ['openclaw-probe', 'probe'],
    ['cli', 'probe'],
  ])('%s in mode %s gets none', async (id, mode) => {
    expect((await attempt(await listening(), { changes: named(id, mode) })).payload.auth.scopes).toEqual([]);
  });

  test.each(['gateway-client', 'cli', 'my-own-sdk'])('%s gets what it asked for', async (id) => {
    const { peer } = await attempt(await listening(), { changes: named(id) });
    expect([...(peer?.identity.scopes ?? [])]).toEqual(['operator.read', 'operator.write']);
  });
});

describe('pages', () => {
  test.each(['openclaw-tui', 'openclaw-control-ui'])('%s has to bring a device', async (id) => {
    const edge = await listening();
    const options = { origin: edge.origin };
    expect((await attempt(edge, { changes: named(id), options })).error).toMatchObject({
      code: 'INVALID_REQUEST',
      details: { code: 'CONTROL_UI_DEVICE_IDENTITY_REQUIRED' },
    });
    expect((await attempt(edge, { changes: named(id), options, device: makeDevice() })).payload.type).toBe('hello-ok');
  });

  test.each(['webchat-ui', 'openclaw-control-ui'])('%s has to come from an origin', async (id) => {
    const { error } = await attempt(await listening(), { changes: named(id) });
    expect(error.details).toEqual({ code: 'CONTROL_UI_ORIGIN_NOT_ALLOWED', reason: 'origin missing or invalid' });
  });

  test('of foreign origins are refused, whatever they call themselves, unless the origin is allowed', async () => {
    const edge = await listening({ allowedOrigins: ['https://panel.example', 'null'] });
    for (const origin of [
      'https://evil.example',
      'null',
      'https://panel.example.evil',
      'http://panel.example',
      'http://127.0.0.1:1',
      'x',
    ]) {
      const { error, close } = await attempt(edge, { options: { origin } });
      expect([origin, error?.details.code]).toEqual([origin, 'CONTROL_UI_ORIGIN_NOT_ALLOWED']);
      expect(close?.code).toBe(1008);
    }
    for (const origin of ['https://panel.example', edge.origin]) {
      expect((await attempt(edge, { options: { origin }, changes: named('webchat-ui') })).payload.type).toBe(
        'hello-ok',
      );
    }
  });
});

describe('tokens that were made', () => {
  test('an operator token is allowed its scopes, and is a principal of its own', async () => {
    const edge = await listening();
    const { token } = edge.edge.credentials.createToken({ role: 'operator', id: 'ci', scopes: ['operator.write'] });
    const { peer, payload } = await attempt(edge, {
      changes: { auth: { token }, scopes: ['operator.read', 'operator.write', 'operator.admin'] },
    });
    expect(payload.auth.scopes).toEqual(['operator.read', 'operator.write']);
    expect(peer?.identity).toMatchObject({ role: 'operator', principal: 'token:ci' });
  });

  test('an agent is the one that its token names; no other credential makes an agent', async () => {
    const edge = await listening();
    const agent = edge.edge.credentials.createToken({ role: 'agent', id: 'main' });
    const operator = edge.edge.credentials.createToken({ role: 'operator', id: 'ci', scopes: ['operator.admin'] });
    const { peer } = await attempt(edge, { changes: { role: 'agent', auth: { token: agent.token } } });
    expect(peer?.identity).toMatchObject({ role: 'agent', id: 'main', principal: 'token:agent/main' });
    for (const token of ['right', operator.token]) {
      const { error } = await attempt(edge, { changes: { role: 'agent', auth: { token } } });
      expect(error.details.code).toBe('AUTH_TOKEN_MISMATCH');
    }
    expect((await attempt(edge, { changes: { auth: { token: agent.token } } })).error.message).toContain('role agent');
  });

  test('are kept as hashes only, and names that look like another principal are refused', async () => {
    const { edge, host } = await listening();
    const { token } = edge.credentials.createToken({ role: 'operator', id: 'ci' });
    const code = edge.credentials.createBootstrapCode();
    await host.committer.idle();
    const kept = JSON.stringify(await host.store.close().then(() => host.store.open()));
    expect(kept).toContain('"token"');
    expect(kept).not.toContain(token);
    expect(kept).not.toContain(code);
    expect(edge.credentials.verifyToken(token)).toMatchObject({
      role: 'operator',
      id: 'ci',
      scopes: ['operator.read'],
    });
    expect(edge.credentials.verifyToken('')).toBeUndefined();
    for (const id of ['', 'shared', 'none', 'agent/main']) {
      expect(() => edge.credentials.createToken({ role: 'operator', id })).toThrow(/can't be the id/);
    }
  });

  test('a code lets a page in once and gives it a token to come back with', async () => {
    const edge = await listening();
    const bootstrapToken = edge.edge.credentials.createBootstrapCode();
    const scopes = [...operatorScopes];
    const first = await attempt(edge, { changes: { auth: { bootstrapToken }, scopes } });
    expect(first.payload.auth.scopes).toEqual(scopes);
    const { deviceToken, issuedAtMs } = first.payload.auth;
    expect(deviceToken).toMatch(/^[\w-]{43}$/);
    expect(issuedAtMs).toBe(edge.host.clock.now());
    expect((await attempt(edge, { changes: { auth: { bootstrapToken } } })).error.details.code).toBe(
      'AUTH_BOOTSTRAP_TOKEN_INVALID',
    );
    for (const auth of [{ deviceToken }, { token: deviceToken }]) {
      const again = await attempt(edge, { changes: { auth, scopes } });
      expect(again.payload.auth.scopes).toEqual(scopes);
      expect(again.peer?.identity.principal).toBe(first.peer?.identity.principal);
    }
  });

  test('a code is too old after ten minutes', async () => {
    const edge = await listening();
    const bootstrapToken = edge.edge.credentials.createBootstrapCode();
    await edge.host.clock.advance(600_000);
    expect((await attempt(edge, { changes: { auth: { bootstrapToken } } })).error.details.code).toBe(
      'AUTH_BOOTSTRAP_TOKEN_INVALID',
    );
  });
});

describe('a gateway without auth', () => {
  test('takes everyone on loopback as what they ask for', async () => {
    const edge = await listening({ auth: { mode: 'none' } });
    const { peer, payload } = await attempt(edge, { changes: { auth: {} } });
    expect(payload.auth.scopes).toEqual(['operator.read', 'operator.write']);
    expect(payload.snapshot.authMode).toBe('none');
    expect(peer?.identity.principal).toBe('token:none');
  });

  test('takes nobody who comes through a proxy, and no foreign page', async () => {
    const edge = await listening({ auth: { mode: 'none' }, trustedProxies: ['127.0.0.1'] });
    const options = { headers: { 'x-forwarded-for': '127.0.0.1' } };
    expect((await attempt(edge, { changes: { auth: {} }, options })).error.details.code).toBe('AUTH_REQUIRED');
    const page = await attempt(edge, { changes: { auth: {} }, options: { origin: 'https://evil.example' } });
    expect(page.error.details.code).toBe('CONTROL_UI_ORIGIN_NOT_ALLOWED');
  });
});

test('a refusal names its reason in v4’s words', () => {
  expect(authRefusal('AUTH_TOKEN_MISSING', 'x').details).toMatchObject({ authReason: 'token_missing' });
});
