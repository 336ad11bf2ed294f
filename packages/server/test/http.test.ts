import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { settle } from '@openclaw/protocol/testing';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createHttpEdge } from '../src/http/edge.ts';
import { commonHeaders } from '../src/http/responses.ts';
import { ask, askUpgrade } from './ask.ts';
import { listening } from './edge-fixture.ts';
import { connectFrame, RawClient } from './raw-client.ts';
import { StubHost } from './stub-host.ts';

async function site(): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'edge-site-'));
  onTestFinished(() => rm(parent, { recursive: true }));
  const directory = join(parent, 'site');
  await mkdir(join(directory, 'assets'), { recursive: true });
  await writeFile(join(parent, 'secret.txt'), 'secret');
  await writeFile(join(directory, 'index.html'), '<h1>page</h1>');
  await writeFile(join(directory, '.hidden'), 'hidden');
  await writeFile(join(directory, 'assets', 'app-1a2b.js'), 'export {};');
  await symlink(join(parent, 'secret.txt'), join(directory, 'link.txt'));
  return directory;
}

describe('health', () => {
  test.each(['/health', '/healthz', '/healthz?x=1'])(
    '%s says that the gateway lives, to GET and HEAD, by any name',
    async (path) => {
      const { origin } = await listening();
      const answer = await ask(origin, path, { headers: { host: 'some-container:18789' } });
      expect(answer).toMatchObject({ status: 200, text: '{"ok":true,"status":"live"}' });
      expect(answer.headers).toMatchObject({ ...commonHeaders, 'cache-control': 'no-store' });
      expect(await ask(origin, path, { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
      const refused = await ask(origin, path, { method: 'POST', body: 'x' });
      expect(refused).toMatchObject({ status: 405, text: 'Method Not Allowed', headers: { allow: 'GET, HEAD' } });
      expect(refused.headers['content-type']).toContain('text/plain');
    },
  );

  test('readiness has reasons, and details for this machine only', async () => {
    const failing: string[] = [];
    const { origin, host } = await listening({ failing: () => failing, trustedProxies: ['127.0.0.1'] });
    const ready = JSON.parse((await ask(origin, '/ready')).text) as Record<string, unknown>;
    expect(ready).toEqual({
      ready: true,
      failing: [],
      uptimeMs: 0,
      eventLoop: {
        degraded: expect.any(Boolean),
        reasons: expect.any(Array),
        intervalMs: expect.any(Number),
        delayP99Ms: expect.any(Number),
        delayMaxMs: expect.any(Number),
        utilization: expect.any(Number),
      },
    });
    host.currentPhase = 'draining';
    failing.push('the store could not commit');
    const answer = await ask(origin, '/readyz');
    expect(answer.status).toBe(503);
    expect(JSON.parse(answer.text)).toMatchObject({
      ready: false,
      failing: ['draining', 'the store could not commit'],
    });
    const away = await ask(origin, '/readyz', { headers: { 'x-forwarded-for': '203.0.113.9' } });
    expect(JSON.parse(away.text)).toEqual({ ready: false, failing: [] });
  });

  test('the contract is served, and not twice to who has it', async () => {
    const { origin } = await listening();
    const answer = await ask(origin, '/protocol.schema.json');
    expect(Object.keys((JSON.parse(answer.text) as { methods: object }).methods)).toContain('connect');
    const again = await ask(origin, '/protocol.schema.json', {
      headers: { 'if-none-match': String(answer.headers.etag) },
    });
    expect(again).toMatchObject({ status: 304, text: '' });
  });
});

describe('files', () => {
  test('of the site are served with their type; what is not there is 404 in text', async () => {
    const { origin } = await listening({ siteDirectory: await site() });
    const page = await ask(origin, '/');
    expect(page).toMatchObject({ status: 200, text: '<h1>page</h1>' });
    expect(page.headers).toMatchObject({
      ...commonHeaders,
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-cache',
    });
    expect(await ask(origin, '/', { headers: { 'if-none-match': String(page.headers.etag) } })).toMatchObject({
      status: 304,
    });
    expect(await ask(origin, '/', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
    const script = await ask(origin, '/assets/app-1a2b.js');
    expect(script.headers).toMatchObject({
      'content-type': 'text/javascript; charset=utf-8',
      'cache-control': expect.stringContaining('immutable'),
    });
    expect(await ask(origin, '/api/unknown')).toMatchObject({ status: 404, text: 'Not Found' });
    expect(await ask(origin, '/', { method: 'POST', body: 'x' })).toMatchObject({ status: 405 });
  });

  test.each([
    '/../secret.txt',
    '/assets/../../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/assets/..%2f..%2fsecret.txt',
    '/..%5csecret.txt',
    '/link.txt',
    '/.hidden',
    '/assets',
    '/assets/',
    '/%00',
    '/%zz',
    '//secret.txt',
  ])('%s leads nowhere', async (path) => {
    const { origin } = await listening({ siteDirectory: await site() });
    expect(await ask(origin, path)).toMatchObject({ status: 404, text: 'Not Found' });
  });

  test('a hook answers before them, and its failure is told and costs nobody else', async () => {
    const errors: unknown[] = [];
    const { origin } = await listening({
      siteDirectory: await site(),
      onError: (error) => errors.push(error),
      fetch: (request) => {
        const { pathname, searchParams } = new URL(request.url);
        if (pathname === '/bad') throw new Error('broken');
        return pathname === '/own'
          ? new Response(`hi ${searchParams.get('x')}`, { status: 201, headers: { 'x-own': '1' } })
          : undefined;
      },
    });
    expect(await ask(origin, '/own?x=y')).toMatchObject({
      status: 201,
      text: 'hi y',
      headers: { ...commonHeaders, 'x-own': '1' },
    });
    expect(await ask(origin, '/bad')).toMatchObject({ status: 500 });
    expect(errors).toMatchObject([{ message: 'broken' }]);
    expect(await ask(origin, '/')).toMatchObject({ status: 200 });
  });
});

describe('what is refused at the door', () => {
  test('names that are not the gateway’s, for pages and upgrades', async () => {
    const { origin, dial } = await listening({ allowedHosts: ['gateway.lan'] });
    for (const host of ['evil.example', 'evil.example:80', 'localhost.evil.example', '127.0.0.1.evil.example', 'a@b']) {
      expect(await ask(origin, '/', { headers: { host } })).toMatchObject({ status: 403 });
      const answer = await askUpgrade(origin, { host });
      expect(answer.status).toBe(403);
      expect(JSON.parse(answer.text)).toMatchObject({ error: { type: 'host_not_allowed' } });
    }
    for (const host of [
      'localhost',
      'LOCALHOST:1',
      'app.localhost',
      '127.0.0.1:9',
      '[::1]:9',
      '192.168.1.5',
      'gateway.lan:443',
    ]) {
      expect([host, (await ask(origin, '/nothing', { headers: { host } })).status]).toEqual([host, 404]);
      const client = dial({ headers: { host } });
      expect((await client.next()).event).toBe('connect.challenge');
    }
  });

  test.each(['x-forwarded-for', 'forwarded', 'x-real-ip', 'x-forwarded-host'])(
    'upgrades with %s from a proxy that nobody trusts',
    async (name) => {
      const { origin } = await listening({ auth: { mode: 'none' } });
      const answer = await askUpgrade(origin, { [name]: '127.0.0.1' });
      expect(answer.status).toBe(403);
      expect(answer.headers).toMatchObject(commonHeaders);
      expect(JSON.parse(answer.text)).toEqual({
        error: { message: expect.any(String), type: 'proxy_attribution_required' },
      });
    },
  );

  test('upgrades while the gateway stops', async () => {
    const { origin, host } = await listening();
    host.currentPhase = 'draining';
    expect(await askUpgrade(origin)).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
  });

  test('strangers beyond the limit, until one of them is gone', async () => {
    const { origin, dial } = await listening({ limits: { maxHandshaking: 1 } });
    const first = dial();
    await first.next();
    expect(await askUpgrade(origin)).toMatchObject({ status: 503 });
    // Who said hello is no stranger.
    first.send(connectFrame());
    await first.next();
    const second = dial();
    await second.next();
    second.socket.close();
    await second.closed;
    await settle(20);
    expect((await dial().next()).event).toBe('connect.challenge');
  });

  test('an upgrade to something else, or a broken one', async () => {
    const { origin } = await listening();
    expect(await askUpgrade(origin, { 'sec-websocket-version': '7' })).toMatchObject({ status: 400 });
    expect((await askUpgrade(origin, { upgrade: 'h2c' })).status).toBe(400);
  });
});

describe('the life of an edge', () => {
  test('close ends idle sockets, half handshakes and connections, and lets the port go', async () => {
    const { edge, host, origin, dial } = await listening();
    const v4 = dial();
    await v4.next();
    v4.send(connectFrame());
    await v4.next();
    const streams = dial();
    await streams.next();
    streams.send(connectFrame({ caps: ['streams'] }));
    await streams.next();
    const stranger = dial();
    await stranger.next();
    const idle = connectTcp(Number(new URL(origin).port), '127.0.0.1');
    await new Promise((resolve) => idle.once('connect', resolve));
    const idleClosed = new Promise((resolve) => idle.once('close', resolve));
    expect(edge.connectionCount).toBe(2);
    await edge.close();
    expect(await v4.closed).toEqual({ code: 1012, reason: 'service restart' });
    expect(await streams.closed).toEqual({ code: 4102, reason: 'service restart' });
    expect((await stranger.closed).code).toBe(1012);
    await idleClosed;
    expect(edge.connectionCount).toBe(0);
    expect(host.departed.length).toBe(2);
    expect(host.clock.timerCount).toBe(0);
    expect(edge.address).toBeUndefined();
    await expect(ask(origin, '/health')).rejects.toThrow();
  });

  test('close does not wait for a peer that never says goodbye', async () => {
    const { edge, host, dial } = await listening();
    const client = dial();
    await client.next();
    client.send(connectFrame());
    await client.next();
    client.socket.pause();
    const closing = edge.close();
    await host.clock.advance(1_000);
    await closing;
    expect(edge.connectionCount).toBe(0);
  });

  test('a port that is taken is Node’s error', async () => {
    const { edge } = await listening();
    const other = createHttpEdge(await StubHost.create(), { auth: { mode: 'none' } });
    await expect(other.listen({ port: edge.address!.port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await other.close();
  });
});

describe('an edge at a server of someone else', () => {
  async function attached(options?: { path?: string }, withOwnListener = true) {
    const host = await StubHost.create();
    const edge = createHttpEdge(host, { auth: { mode: 'token', token: 'right' } });
    const server: Server = createServer();
    if (withOwnListener) server.on('request', (_, response) => response.end('theirs'));
    edge.attach(server, options);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(async () => {
      await edge.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    const { port } = server.address() as AddressInfo;
    return { edge, server, origin: `http://127.0.0.1:${port}`, url: `ws://127.0.0.1:${port}` };
  }

  test('answers its own routes and leaves the others, and gives all back at the end', async () => {
    const { edge, origin, url } = await attached();
    expect((await ask(origin, '/healthz')).text).toContain('live');
    expect((await ask(origin, '/', { method: 'POST', headers: { host: 'any.name' } })).text).toBe('theirs');
    const client = new RawClient(url);
    expect((await client.next()).event).toBe('connect.challenge');
    await edge.close();
    expect((await client.closed).code).toBe(1012);
    expect((await ask(origin, '/healthz')).text).toBe('theirs');
  });

  test('without listeners of the owner everything is the edge’s', async () => {
    const { origin } = await attached({}, false);
    expect(await ask(origin, '/')).toMatchObject({ status: 404, text: 'Not Found' });
  });

  test('takes only upgrades of its path', async () => {
    const { server, url, origin } = await attached({ path: '/gateway' });
    expect(await askUpgrade(origin)).toMatchObject({ status: 404 });
    server.on('upgrade', (request, socket) => {
      if (request.url !== '/gateway') socket.end('HTTP/1.1 418 I am a teapot\r\n\r\n');
    });
    const client = new RawClient(`${url}/gateway`);
    expect((await client.next()).event).toBe('connect.challenge');
    client.socket.terminate();
    const other = new RawClient(`${url}/other`);
    expect((await other.closed).code).toBe(1006);
  });
});
