import { connect as connectTcp } from 'node:net';
import { settle } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { commonHeaders } from '../src/http/responses.ts';
import { type HttpExchange, HttpProblem, type HttpRoute, readBody } from '../src/http/route.ts';
import { ask } from './ask.ts';
import { listening } from './edge-fixture.ts';

const trace = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;

/** A route that tells what it got. */
function echo(changes: Partial<HttpRoute> = {}): HttpRoute {
  return {
    path: '/echo/',
    methods: ['GET', 'POST'],
    async handle({ path, query, remote, traceparent, request, response }: HttpExchange) {
      const body = (await readBody(request, 1_000)).toString();
      response.end(JSON.stringify({ path, query: [...query], remote: remote.address, traceparent, body }));
    },
    ...changes,
  };
}

describe('a route', () => {
  test('gets what begins with its path, with query, sender and trace, and answers with the headers of every answer', async () => {
    const { origin } = await listening({ routes: [echo()] });
    const answer = await ask(origin, '/echo/a%20b?x=1&x=2', {
      method: 'POST',
      body: 'hi',
      headers: { traceparent: trace },
    });
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({ ...commonHeaders, 'cache-control': 'no-store' });
    expect(JSON.parse(answer.text)).toEqual({
      path: '/echo/a%20b',
      query: [
        ['x', '1'],
        ['x', '2'],
      ],
      remote: '127.0.0.1',
      traceparent: trace,
      body: 'hi',
    });
    const untraced = await ask(origin, '/echo/', { headers: { traceparent: '00-0-0-00' } });
    expect(JSON.parse(untraced.text)).not.toHaveProperty('traceparent');
    expect(await ask(origin, '/echo')).toMatchObject({ status: 404 });
    expect(await ask(origin, '/echo/', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
  });

  test('is taken by the first whose path fits, after those of the edge itself', async () => {
    const named = (name: string, path: string): HttpRoute =>
      echo({ path, handle: ({ response }) => void response.end(name) });
    const { origin } = await listening({
      routes: [named('exact', '/a/b'), named('prefix', '/a/'), named('late', '/a/c'), named('never', '/health')],
    });
    expect((await ask(origin, '/a/b')).text).toBe('exact');
    expect((await ask(origin, '/a/c')).text).toBe('prefix');
    expect((await ask(origin, '/health')).text).toContain('live');
  });

  test('refuses other methods, credentials in the address, and new work while the gateway stops', async () => {
    const { origin, host } = await listening({ routes: [echo()] });
    const refused = await ask(origin, '/echo/', { method: 'PUT', body: 'x' });
    expect(refused).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD, POST' } });
    for (const field of ['token', 'access_token', 'password']) {
      const answer = await ask(origin, `/echo/?${field}=right`);
      expect(answer.status).toBe(400);
      expect(answer.text).toContain('Authorization: Bearer');
      expect(answer.text).not.toContain('right');
    }
    host.currentPhase = 'draining';
    expect(await ask(origin, '/echo/', { method: 'POST' })).toMatchObject({
      status: 503,
      headers: { 'retry-after': '1' },
    });
    expect(await ask(origin, '/echo/')).toMatchObject({ status: 200 });
  });

  test('tells of a problem in its own shape, and of a fault without its text', async () => {
    const errors: unknown[] = [];
    const { origin } = await listening({
      onError: (error) => errors.push(error),
      routes: [
        echo({
          path: '/own',
          problemBody: ({ message, type }) => ({ ok: false, type, error: message }),
          handle: () => {
            throw new HttpProblem(429, 'rate_limited', 'Wait.', { 'retry-after': '7' });
          },
        }),
        echo({ path: '/fault', handle: () => Promise.reject(new Error('the password is swordfish')) }),
        echo({
          path: '/late',
          handle: ({ response }) => {
            response.write('begun');
            throw new Error('late');
          },
        }),
      ],
    });
    const told = await ask(origin, '/own');
    expect(told).toMatchObject({ status: 429, headers: { ...commonHeaders, 'retry-after': '7' } });
    expect(JSON.parse(told.text)).toEqual({ ok: false, type: 'rate_limited', error: 'Wait.' });
    const fault = await ask(origin, '/fault');
    expect(JSON.parse(fault.text)).toEqual({ error: { message: 'The gateway failed here.', type: 'api_error' } });
    await expect(ask(origin, '/late')).rejects.toThrow();
    expect(errors).toMatchObject([{ message: 'the password is swordfish' }, { message: 'late' }]);
  });

  test('gets the whole answer to the sender of a body that nobody wants', async () => {
    const { origin } = await listening({
      routes: [
        echo(),
        echo({ path: '/deaf', handle: () => Promise.reject(new HttpProblem(401, 'unauthorized', 'No.')) }),
      ],
    });
    const body = 'x'.repeat(700_000);
    expect(await ask(origin, '/echo/', { method: 'POST', body })).toMatchObject({ status: 413 });
    expect(
      await ask(origin, '/echo/', { method: 'POST', body, headers: { 'transfer-encoding': 'chunked' } }),
    ).toMatchObject({ status: 413 });
    expect(await ask(origin, '/deaf', { method: 'POST', body })).toMatchObject({ status: 401 });
  });

  test('lets a sender finish that is still sending when it is answered', async () => {
    const refusing = echo({ path: '/deaf', handle: () => Promise.reject(new HttpProblem(401, 'unauthorized', 'No.')) });
    const { origin } = await listening({ routes: [refusing] });
    const socket = connectTcp(Number(new URL(origin).port), '127.0.0.1');
    const errors: Error[] = [];
    socket.on('error', (error) => errors.push(error));
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.write('POST /deaf HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 40000\r\n\r\n');
    const answer = await new Promise<string>((resolve) => socket.once('data', (chunk) => resolve(String(chunk))));
    expect(answer).toContain('401 Unauthorized');
    let sentPieces = 0;
    while (sentPieces < 40 && socket.writable) {
      await new Promise((resolve) => socket.write('x'.repeat(1_000), resolve));
      await settle(2);
      sentPieces++;
    }
    await closed;
    expect({ sentPieces, errors }).toEqual({ sentPieces: 40, errors: [] });
  });

  test('does not wait for a body longer than it is allowed to take', async () => {
    const { origin, host } = await listening({ routes: [echo(), echo({ path: '/patient', bodyTimeoutMs: 60_000 })] });
    const send = async (path: string) => {
      const socket = connectTcp(Number(new URL(origin).port), '127.0.0.1');
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk;
      });
      socket.on('error', () => undefined);
      const closed = new Promise<string>((resolve) => socket.once('close', () => resolve(text)));
      socket.write(`POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\nslow`);
      while (host.clock.timerCount === 0) await settle(1);
      return closed;
    };
    const impatient = send('/echo/');
    while (host.clock.timerCount === 0) await settle(1);
    await host.clock.advance(10_000);
    expect(await impatient).toContain('408 Request Timeout');
    const patient = send('/patient');
    while (host.clock.timerCount === 0) await settle(1);
    await host.clock.advance(59_999);
    expect(host.clock.timerCount).toBe(1);
    await host.clock.advance(1);
    expect(await patient).toContain('408 Request Timeout');
    expect(host.clock.timerCount).toBe(0);
  });
});

describe('pages of other origins', () => {
  const allowed = { allowedOrigins: ['https://panel.example', 'capacitor://localhost'], routes: [echo()] };

  test('can call no route', async () => {
    const { origin } = await listening(allowed);
    const foreign: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: 'http://127.0.0.1:1' },
      { origin: 'https://panel.example.evil.example' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors' },
    ];
    for (const headers of foreign) {
      for (const method of ['GET', 'POST', 'OPTIONS']) {
        const answer = await ask(origin, '/echo/', { method, headers });
        expect([headers, method, answer.status]).toEqual([headers, method, 403]);
        expect(JSON.parse(answer.text)).toMatchObject({ error: { type: 'origin_not_allowed' } });
        expect(answer.headers['access-control-allow-origin']).toBeUndefined();
      }
    }
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    expect((await ask(origin, '/echo/', { headers: link })).status).toBe(200);
    expect((await ask(origin, '/echo/', { method: 'POST', headers: link })).status).toBe(403);
  });

  test('are answered when they are allowed, and told so before they ask', async () => {
    const { origin } = await listening(allowed);
    for (const page of ['https://panel.example', 'capacitor://localhost', origin]) {
      const preflight = await ask(origin, '/echo/', {
        method: 'OPTIONS',
        headers: {
          origin: page,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization, idempotency-key',
        },
      });
      expect(preflight).toMatchObject({
        status: 204,
        headers: {
          'access-control-allow-origin': page,
          'access-control-allow-methods': 'GET, HEAD, POST',
          'access-control-allow-headers': 'authorization, idempotency-key',
          vary: 'origin',
        },
      });
      const answer = await ask(origin, '/echo/', { method: 'POST', headers: { origin: page } });
      expect(answer).toMatchObject({ status: 200, headers: { 'access-control-allow-origin': page } });
    }
  });

  test('are told what went wrong, too', async () => {
    const { origin } = await listening(allowed);
    const answer = await ask(origin, '/echo/', { method: 'DELETE', headers: { origin: 'https://panel.example' } });
    expect(answer).toMatchObject({
      status: 405,
      headers: { 'access-control-allow-origin': 'https://panel.example' },
    });
  });
});

describe('what stands before every route', () => {
  test('names and proxies that are not known', async () => {
    const { origin } = await listening({ routes: [echo()] });
    expect(await ask(origin, '/echo/', { headers: { host: 'evil.example' } })).toMatchObject({ status: 403 });
    const proxied = await ask(origin, '/echo/', { headers: { 'x-forwarded-for': '127.0.0.1' } });
    expect(proxied.status).toBe(403);
    expect(JSON.parse(proxied.text)).toMatchObject({ error: { type: 'proxy_attribution_required' } });
  });

  test('the caller’s credential, where the route asks for it', async () => {
    const { origin } = await listening({
      routes: [
        echo({
          handle: async ({ authorize, response }) => {
            const { principal } = await authorize('operator.write');
            response.end(principal);
          },
        }),
      ],
    });
    expect(await ask(origin, '/echo/')).toMatchObject({ status: 401 });
    expect(await ask(origin, '/echo/', { headers: { authorization: 'Bearer wrong' } })).toMatchObject({ status: 401 });
    expect(await ask(origin, '/echo/', { headers: { authorization: 'Bearer right' } })).toMatchObject({
      status: 200,
      text: 'token:shared',
    });
  });
});
