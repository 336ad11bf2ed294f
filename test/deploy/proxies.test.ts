import { randomBytes, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { request } from 'node:https';
import { connect, type Gateway, type StateChange } from '@openclaw/client';
import JSON5 from 'json5';
import { describe, type TestContext, test } from 'vitest';
import WebSocket from 'ws';
import { gate, scriptedAgent, startGateway, type TestGateway, testToken } from '../gateway.ts';
import { type ChatPayload, chatText, PublishedClient } from '../interop/published-client.ts';
import { documentedFile } from './documented-file.ts';
import { mayRun } from './left-out.ts';
import { findProxy, type ProxyKind, ReverseProxy } from './reverse-proxy.ts';

/** Three times the time-out that nginx has for a silent connection. */
const idleMs = 180_000;

/** The options that docs/deploy tells to set behind a proxy. */
const { http } = JSON5.parse<{
  http: { allowedHosts: string[]; trustedProxies: string[]; publicUrl: string };
}>(documentedFile('gateway-behind-proxy.json5', {}));

interface Stage {
  server: TestGateway;
  proxy: ReverseProxy;
  /** Lets answers that began with `hold` go on. */
  release: () => void;
  /** A client of this repository through the proxy, with every change of its state. */
  client: () => { client: Gateway; changes: StateChange[] };
  published: () => Promise<PublishedClient>;
}

/** Ends with the test whose `onTestFinished` is given: several run at once. */
async function stage(kind: ProxyKind, { onTestFinished }: Pick<TestContext, 'onTestFinished'>): Promise<Stage> {
  const held = gate();
  const agent = scriptedAgent(async function* ({ text }) {
    const count = Number(/\d+/.exec(text)?.[0] ?? 1);
    for (let index = 1; index <= count; index++) {
      yield `${index} `;
      if (text.startsWith('hold') && index === Math.ceil(count / 2)) await held.opened;
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
  const server = await startGateway({ agent, ...http });
  const proxy = await ReverseProxy.start(kind, server.port);
  const closers: (() => unknown)[] = [];
  onTestFinished(async () => {
    for (const close of closers) await close();
    await server.close();
    await proxy.dispose();
  });
  return {
    server,
    proxy,
    release: () => held.open(),
    client() {
      const changes: StateChange[] = [];
      const client = connect({ url: proxy.url, token: testToken, ca: proxy.certificate });
      client.on('state', (change) => changes.push(change));
      closers.push(() => client.close());
      return { client, changes };
    },
    async published() {
      const client = new PublishedClient({
        url: proxy.url,
        token: testToken,
        tlsFingerprint: new X509Certificate(proxy.certificate).fingerprint256,
      });
      closers.push(() => client.stop());
      await client.start();
      return client;
    },
  };
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => `${index + 1} `).join('');

async function answerOf(client: Gateway, text: string): Promise<string> {
  const message = await client.session('main').send(text).final;
  return message.content.map((block) => (block.type === 'text' ? block.text : '')).join('');
}

const canRun = (kind: ProxyKind) =>
  mayRun(findProxy(kind), `the gateway behind ${kind}`, `Debian: apt-get install ${kind}`) &&
  mayRun(existsSync('/usr/bin/openssl'), 'the gateway behind a proxy with TLS', 'Debian: apt-get install openssl');

describe.concurrent.for<ProxyKind>(['nginx', 'caddy'])('behind a real %s with the documented configuration', (kind) => {
  test('an answer streams, and after three idle minutes another one, both clients on the sockets that they had', {
    timeout: idleMs + 60_000,
  }, async ({ expect, onTestFinished }) => {
    if (!canRun(kind)) return;
    const { client: open, published: openPublished, release } = await stage(kind, { onTestFinished });
    const { client, changes } = open();
    const published = await openPublished();

    // The first half is there while the agent still holds the second back: nothing buffers.
    const run = client.session('main').send('hold 400');
    let streamed = '';
    for await (const part of run) {
      if (part.type !== 'text') continue;
      streamed += part.delta;
      if (streamed.includes('200 ')) release();
    }
    expect(streamed).toBe(numbers(400));
    const connId = client.hello?.server.connId;
    expect(connId).toBeDefined();
    const before = changes.length;

    await new Promise((resolve) => setTimeout(resolve, idleMs));

    expect(await answerOf(client, 'count 300')).toBe(numbers(300));
    await published.request('chat.send', { sessionKey: 'other', message: 'count 200', idempotencyKey: 'late' });
    expect(chatText(await published.untilChat('late', 'final'))).toBe(numbers(200));
    expect(client.hello?.server.connId).toBe(connId);
    expect(changes.slice(before)).toEqual([]);
    expect({ hellos: published.hellos.length, closes: published.closes }).toEqual({ hellos: 1, closes: [] });
  });

  test('a reload and a restart of the proxy in the middle of an answer lose nothing of it', {
    timeout: 60_000,
  }, async ({ expect, onTestFinished }) => {
    if (!canRun(kind)) return;
    const { client: open, published: openPublished, proxy, release } = await stage(kind, { onTestFinished });
    const { client, changes } = open();
    const published = await openPublished();
    const run = client.session('main').send('hold 600', { idempotencyKey: 'held' });
    let streamed = '';
    for await (const part of run) {
      if (part.type !== 'text') continue;
      const hadHalf = streamed.includes('300 ');
      streamed += part.delta;
      if (hadHalf || !streamed.includes('300 ')) continue;
      proxy.reload();
      await client.request('ping', {});
      if (kind === 'nginx') expect(changes.filter(({ state }) => state === 'backoff')).toEqual([]);
      await proxy.stop();
      await proxy.start();
      release();
    }
    expect(streamed).toBe(numbers(600));
    expect(changes.filter(({ state }) => state === 'backoff').length).toBeGreaterThan(0);
    // Plain v4 has no positions: it comes back and reads what it missed.
    await published.until('a second hello', () => published.hellos[1]);
    const history = await published.request<{ messages: ChatPayload['message'][] }>('chat.history', {
      sessionKey: 'main',
    });
    expect(
      history.messages
        .at(-1)
        ?.content.map(({ text }) => text)
        .join(''),
    ).toBe(numbers(600));
  });

  test('the gateway knows whom the proxy speaks for: claims of the client do not pass, its origin and name do', {
    timeout: 60_000,
  }, async ({ expect, onTestFinished }) => {
    if (!canRun(kind)) return;
    const { proxy } = await stage(kind, { onTestFinished });
    const claims = {
      'X-Forwarded-For': '10.1.2.3',
      'X-Real-IP': '10.1.2.3',
      Forwarded: 'for=10.1.2.3',
      'Tailscale-User-Login': 'ada@example.com',
      'X-Forwarded-User': 'ada',
    };
    const dial = (options: { origin?: string; host?: string; headers?: Record<string, string>; token?: string }) =>
      hello(proxy, { ...options, headers: { Host: options.host ?? 'gateway.example', ...options.headers } });

    const named = await dial({ headers: claims, origin: 'https://gateway.example', token: testToken });
    expect(named).toEqual({ ok: true, code: undefined, addresses: ['127.0.0.2'] });
    expect((await dial({ headers: claims })).ok).toBe(false);
    expect((await dial({ origin: 'https://evil.test', token: testToken })).code).toBe('CONTROL_UI_ORIGIN_NOT_ALLOWED');
    expect((await dial({ origin: 'null', token: testToken })).code).toBe('CONTROL_UI_ORIGIN_NOT_ALLOWED');
    expect((await dial({ host: 'evil.test', token: testToken })).ok).toBe(false);
  });

  test('a file of 30 MB goes in and comes out whole', { timeout: 60_000 }, async ({ expect, onTestFinished }) => {
    if (!canRun(kind)) return;
    const { proxy } = await stage(kind, { onTestFinished });
    const file = randomBytes(30 * 1_048_576);
    const sent = await ask(proxy, 'POST', '/media', file);
    expect(sent.status).toBe(201);
    const { id } = JSON.parse(sent.body.toString()) as { id: string };
    const read = await ask(proxy, 'GET', `/media/${id}`);
    expect(read.status).toBe(200);
    expect(read.body.equals(file)).toBe(true);
  });
});

function ask(
  proxy: ReverseProxy,
  method: string,
  path: string,
  body?: Buffer,
): Promise<{ status: number; body: Buffer }> {
  const headers = {
    authorization: `Bearer ${testToken}`,
    ...(body ? { 'content-type': 'application/octet-stream' } : {}),
  };
  return new Promise((resolve, reject) => {
    const { port, certificate: ca } = proxy;
    const outgoing = request({ host: '127.0.0.1', port, method, path, headers, ca, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** What a socket through the proxy, from the address 127.0.0.2, gets for its `connect`. */
function hello(
  proxy: ReverseProxy,
  {
    headers,
    origin,
    token,
  }: { headers: Record<string, string>; origin?: string | undefined; token?: string | undefined },
): Promise<{ ok: boolean; code?: string; addresses?: (string | undefined)[] }> {
  const options = { headers, localAddress: '127.0.0.2', ca: proxy.certificate, servername: 'gateway.example' };
  const socket = new WebSocket(proxy.url, { ...options, ...(origin === undefined ? {} : { origin }) });
  return new Promise((resolve) => {
    socket.on('error', () => resolve({ ok: false }));
    socket.on('close', () => resolve({ ok: false }));
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data));
      if (frame.event === 'connect.challenge') {
        const client = { id: 'gateway-client', version: '1', platform: 'web', mode: 'ui', instanceId: 'x' };
        const params = { minProtocol: 4, maxProtocol: 4, client, scopes: ['operator.read'], auth: { token } };
        socket.send(JSON.stringify({ type: 'req', id: '1', method: 'connect', params }));
      } else if (frame.type === 'res') {
        const { id, ok, error, payload } = frame;
        if (ok && id === '1') {
          socket.send(JSON.stringify({ type: 'req', id: '2', method: 'system-presence', params: {} }));
          return;
        }
        socket.terminate();
        resolve({ ok, code: error?.details?.code, addresses: ok ? payload.map(({ ip }: { ip?: string }) => ip) : [] });
      }
    });
  });
}
