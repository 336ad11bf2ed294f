import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { findChromium } from '../demo/auto.ts';
import { mayRun } from '../deploy/left-out.ts';
import { startFaultProxy } from '../fault-proxy.ts';
import { startGateway, type TestGateway, testToken } from '../gateway.ts';
import { LocalPeer } from './local-peer.ts';

/** What a page got from a gateway by every way that a page has. */
interface Loot {
  /** Frames of a socket that said `connect`, and whether hello-ok was among them. */
  frames: string[];
  isConnected: boolean;
  /** Bodies that it could read. */
  bodies: Record<string, string>;
}

const canary = 'canary-for-foreign-pages';
const long = { timeout: 60_000 };
const executablePath = findChromium();
const canRun = () =>
  mayRun(executablePath, 'pages of foreign origins in a browser', 'Debian: apt-get install chromium');

let browser: Browser;
let site: Server;
let sitePort: number;
let running: TestGateway;

beforeAll(async () => {
  // A page that anyone may serve: what it does is put in by the test.
  site = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('<!doctype html><title>Somebody else</title>');
  });
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
  sitePort = (site.address() as AddressInfo).port;
  if (!executablePath) return;
  // The name of an attacker that points at this machine: rebinding, as a name server would do it.
  const args = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-background-networking',
    '--host-resolver-rules=MAP evil.test 127.0.0.1',
  ];
  browser = await chromium.launch({ executablePath, args });
}, 60_000);

afterEach(() => running?.close());

afterAll(async () => {
  await browser?.close();
  await new Promise((resolve) => site.close(resolve));
});

/** A gateway that would let in every program of this machine, and words in it that no page may read. */
async function openGateway(options: Parameters<typeof startGateway>[0] = { auth: { mode: 'none' } }): Promise<void> {
  running = await startGateway({ openAi: { chatCompletions: true, responses: true }, ...options });
  const owner = await LocalPeer.join(running.gateway, { role: 'operator', scopes: ['operator.admin'] });
  await owner.request('chat.send', { sessionKey: 'main', message: canary, idempotencyKey: 'canary-run' });
  const ended = await owner.request('agent.wait', { runId: 'canary-run', timeoutMs: 10_000 });
  expect(ended.payload).toMatchObject({ status: 'ok' });
}

async function pageAt(url: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(url);
  return page;
}

/** Runs in the page, or in a frame of it: a socket that says `connect` and asks for the conversation, and requests of every kind. */
async function attack({ address, token }: { address: string; token?: string | undefined }): Promise<Loot> {
  const loot: Loot = { frames: [], isConnected: false, bodies: {} };
  await new Promise<void>((resolve) => {
    const socket = new WebSocket(`ws://${address}/`);
    const ask = (id: string, method: string, params: object) =>
      socket.send(JSON.stringify({ type: 'req', id, method, params }));
    socket.onclose = () => resolve();
    socket.onmessage = ({ data }) => {
      loot.frames.push(String(data));
      const frame = JSON.parse(String(data));
      const client = { id: 'gateway-client', version: '1', platform: 'web', mode: 'ui' };
      if (frame.event === 'connect.challenge')
        ask('1', 'connect', {
          minProtocol: 4,
          maxProtocol: 4,
          client,
          scopes: ['operator.read', 'operator.write'],
          ...(token ? { auth: { token } } : {}),
        });
      else if (frame.id === '1' && frame.ok) {
        loot.isConnected = true;
        ask('2', 'chat.history', { sessionKey: 'main' });
      } else if (frame.type === 'res') socket.close();
    };
  });
  const headers = { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) };
  const body = JSON.stringify({
    model: 'main',
    input: 'from a foreign page',
    messages: [{ role: 'user', content: 'from a foreign page' }],
  });
  const requests: [string, RequestInit][] = [
    ['/health', {}],
    ['/ready', {}],
    ['/protocol.schema.json', {}],
    ['/v1/models', { headers }],
    ['/v1/models', {}],
    ['/v1/chat/completions', { method: 'POST', headers, body }],
    ['/v1/responses', { method: 'POST', body, headers: { 'content-type': 'text/plain' } }],
    ['/v1/responses', { method: 'POST', body, mode: 'no-cors' }],
    ['/media', { method: 'POST', body, mode: 'no-cors' }],
  ];
  for (const [path, init] of requests) {
    try {
      const response = await fetch(`http://${address}${path}`, init);
      if (response.type !== 'opaque' && response.ok)
        loot.bodies[`${init.method ?? 'GET'} ${path}`] = await response.text();
    } catch {
      // The browser kept it from the page.
    }
  }
  return loot;
}

/** What the gateway did for pages: messages that they left in it. */
async function messagesOfOthers(): Promise<string[]> {
  const owner = await LocalPeer.join(running.gateway, { role: 'operator', scopes: ['operator.admin'] });
  const { payload } = await owner.request('sessions.list', {});
  const { sessions } = payload as { sessions: { key: string }[] };
  return sessions.map(({ key }) => key).filter((key) => key !== 'agent:main:main');
}

async function expectNothing(loot: Loot, readable: string[] = []): Promise<void> {
  expect(loot.isConnected).toBe(false);
  expect(JSON.stringify(loot)).not.toContain(canary);
  expect(Object.keys(loot.bodies)).toEqual(readable);
  expect(await messagesOfOthers()).toEqual([]);
}

test("the gateway's own page is let in: what follows can fail", long, async () => {
  if (!canRun()) return;
  await openGateway();
  const page = await pageAt(`http://127.0.0.1:${running.port}/health`);
  const loot = await page.evaluate(attack, { address: `127.0.0.1:${running.port}` });
  expect(loot.isConnected).toBe(true);
  expect(JSON.stringify(loot.frames)).toContain(canary);
  expect(Object.keys(loot.bodies)).toContain('GET /v1/models');
});

test(
  'a page of a foreign origin gets nothing from a gateway without auth: no socket, no answer, no effect',
  long,
  async () => {
    if (!canRun()) return;
    await openGateway();
    const page = await pageAt(`http://evil.test:${sitePort}/`);
    for (const address of [`127.0.0.1:${running.port}`, `localhost:${running.port}`]) {
      const loot = await page.evaluate(attack, { address });
      await expectNothing(loot);
      // It was the gateway that said no, and not the browser.
      expect(loot.frames).toHaveLength(2);
      expect(loot.frames[1]).toContain('CONTROL_UI_ORIGIN_NOT_ALLOWED');
    }
  },
);

test('a page of another port of this machine is foreign, too', long, async () => {
  if (!canRun()) return;
  await openGateway();
  const page = await pageAt(`http://127.0.0.1:${sitePort}/`);
  await expectNothing(await page.evaluate(attack, { address: `127.0.0.1:${running.port}` }));
});

test('not even the right token opens the gateway to a page whose origin is not allowed', long, async () => {
  if (!canRun()) return;
  await openGateway({ auth: { mode: 'token', token: testToken } });
  const page = await pageAt(`http://evil.test:${sitePort}/`);
  await expectNothing(await page.evaluate(attack, { address: `127.0.0.1:${running.port}`, token: testToken }));
});

test('a sandboxed frame, whose origin is null, gets nothing, even inside a page that is allowed', long, async () => {
  if (!canRun()) return;
  await openGateway({ auth: { mode: 'none' }, allowedOrigins: [`http://127.0.0.1:${sitePort}`, 'null'] });
  const page = await pageAt(`http://127.0.0.1:${sitePort}/`);
  await page.evaluate(() => {
    const frame = document.createElement('iframe');
    frame.sandbox.add('allow-scripts');
    frame.srcdoc = '<!doctype html><title>Null</title>';
    document.body.append(frame);
    return new Promise((resolve) => {
      frame.onload = resolve;
    });
  });
  const frame = page.frames()[1];
  expect(await frame?.evaluate(() => window.origin)).toBe('null');
  const loot = await frame?.evaluate(attack, { address: `127.0.0.1:${running.port}` });
  await expectNothing(loot as Loot);
});

test(
  "a name of an attacker that points at this machine is not the gateway's: rebinding gets nothing but that it lives",
  long,
  async () => {
    if (!canRun()) return;
    await openGateway();
    // The page comes from the attacker's server; then the same name and port lead to the gateway.
    const rebound = await startFaultProxy({ targetPort: sitePort });
    const address = `evil.test:${rebound.port}`;
    const page = await pageAt(`http://${address}/`);
    rebound.retarget(running.port);
    rebound.cut();
    const loot = await page.evaluate(attack, { address });
    expect(loot.frames).toEqual([]);
    await expectNothing(loot, ['GET /health']);
    await rebound.close();
  },
);
