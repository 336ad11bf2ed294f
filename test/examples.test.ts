import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineAgent, serve } from '@openclaw/plugin-sdk';
import { memoryTransportPair } from '@openclaw/protocol';
import { createGateway } from '@openclaw/server';
import type { Page } from 'playwright-core';
import { build } from 'vite';
import { afterEach, expect, test } from 'vitest';
import { findChromium, launchChromium } from './demo/auto.ts';
import { startFaultProxy } from './fault-proxy.ts';

const undo: (() => unknown)[] = [];
const longTest = { timeout: 60_000 };

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

for (const name of ['embed-server', 'custom-method', 'agent-process']) {
  test(`examples/${name} runs and finds its own assertions true`, longTest, async () => {
    const { code, stdout, stderr } = await runExample(`${name}/main.ts`);
    expect(stderr).toBe('');
    expect(stdout).not.toBe('');
    expect(code).toBe(0);
  });
}

test('examples/chat-node streams the answer of a running gateway to stdout', longTest, async () => {
  const { url, token } = await gatewayWith(counter);
  const env = { OPENCLAW_GATEWAY_URL: url, OPENCLAW_GATEWAY_TOKEN: token };
  const { code, stdout, stderr } = await runExample('chat-node/main.ts', ['count', 'to', '40'], env);
  expect(stderr).toBe('');
  expect(stdout).toBe(`${numbers(40)}\n`);
  expect(code).toBe(0);
});

test('examples/chat-node says in a sentence that nothing runs there, and that a token is wrong', longTest, async () => {
  const home = mkdtempSync(join(tmpdir(), 'openclaw-home-'));
  undo.push(() => rmSync(home, { recursive: true }));
  const proxy = await startFaultProxy({ targetPort: 1 });
  undo.push(() => proxy.close());
  const { url } = await gatewayWith(counter);
  const [nobody, stranger] = await Promise.all([
    runExample('chat-node/main.ts', ['hello'], { OPENCLAW_GATEWAY_URL: proxy.url, HOME: home }),
    runExample('chat-node/main.ts', ['hello'], {
      OPENCLAW_GATEWAY_URL: url,
      OPENCLAW_GATEWAY_TOKEN: 'wrong',
      HOME: home,
    }),
  ]);
  expect(nobody.stderr).toMatch(/^No gateway answers at ws:.*npm start.*\n$/);
  expect(nobody.code).toBe(1);
  expect(stranger.stderr).toMatch(/token.*Set OPENCLAW_GATEWAY_TOKEN.*\n$/);
  expect(stranger.code).toBe(1);
});

test('examples/chat-web signs in by a link, asks, heals, waits and stops in a real browser', longTest, async () => {
  const executablePath = findChromium();
  if (!executablePath) {
    if (process.env.CI === 'true')
      throw new Error('No Chromium here, and CI=true: install it (Debian: apt-get install chromium).');
    console.error(
      '\n*** LEFT OUT: examples/chat-web in a browser. No Chromium here (Debian: apt-get install chromium; elsewhere OPENCLAW_CHROMIUM). ***\n',
    );
    return;
  }
  const site = await builtPage();
  const { gateway, port } = await gatewayWith(counter, site);
  const proxy = await startFaultProxy({ targetPort: port });
  undo.push(() => proxy.close());
  const origin = proxy.url.replace('ws', 'http');
  const browser = await launchChromium(executablePath);
  undo.push(() => browser.close());
  const page = await browser.newPage();
  let isDown = false;
  await page.routeWebSocket(/\/gateway$/, (socket) => {
    if (isDown) void socket.close();
    else socket.connectToServer();
  });
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    // A server that is away is part of this test; everything else is not.
    if (message.type() === 'error' && !/WebSocket connection|ERR_/.test(message.text())) problems.push(message.text());
  });

  // The code is good once, gone from the address at once, and not needed again.
  await page.goto(`${origin}/#code=${await gateway.createBootstrapCode()}`);
  await connected(page);
  expect(page.url()).toBe(`${origin}/`);
  await page.reload();
  await connected(page);

  // An approval is answered by a button; the answer streams on through a cut.
  await say(page, 'ask, then count to 150');
  await page.getByRole('button', { name: 'Allow' }).click();
  await page
    .locator('.answer')
    .getByText(/^1 2 3 4 5 6 7/)
    .waitFor();
  proxy.cut();
  await answered(page, numbers(150));
  expect(await page.getByText('Allowed').count()).toBe(1);

  // What is said without a connection waits, over a reload too, and is sent once.
  isDown = true;
  proxy.reset();
  await page.locator('#connection-words', { hasText: 'Connection lost' }).waitFor();
  await say(page, 'count to 5');
  await page.getByText(/^Waiting/).waitFor();
  await page.reload();
  await page.getByText(/^Waiting/).waitFor();
  isDown = false;
  await answered(page, numbers(5));
  await page.reload();
  await connected(page);
  await answered(page, numbers(150));
  expect(await page.locator('.bubble').allTextContents()).toEqual(['ask, then count to 150', 'count to 5']);
  expect(await page.getByText(/^Waiting/).count()).toBe(0);

  // Stop stops.
  await say(page, 'count to 9000');
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.locator('.answer').getByText('Stopped.').waitFor();
  expect(await page.getByRole('button', { name: 'Stop' }).isHidden()).toBe(true);
  expect(problems).toEqual([]);
});

/** Counts to the number that it is told; "ask" makes it ask first. */
const counter = defineAgent({
  async *run({ text, approve, signal }) {
    if (text.startsWith('ask') && (await approve({ title: 'Count?' })) === 'deny') return;
    const count = Number(/\d+/.exec(text)?.[0] ?? 3);
    for (let number = 1; number <= count && !signal.aborted; number++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      yield number === 1 ? '1' : ` ${number}`;
    }
  },
});

async function gatewayWith(agent: Parameters<typeof serve>[0], siteDirectory?: string) {
  const token = randomBytes(32).toString('base64url');
  const gateway = await createGateway({ auth: { mode: 'token', token }, ...(siteDirectory ? { siteDirectory } : {}) });
  undo.push(() => gateway.close());
  const { port } = await gateway.listen({ port: 0 });
  const [agentSide, gatewaySide] = memoryTransportPair();
  gateway.accept(gatewaySide, { role: 'agent', id: 'main' });
  const serving = serve(agent, agentSide);
  undo.push(() => serving.close());
  await serving.ready;
  return { gateway, token, port, url: `ws://127.0.0.1:${port}` };
}

async function builtPage(): Promise<string> {
  const root = fileURLToPath(new URL('../examples/chat-web', import.meta.url));
  const outDir = mkdtempSync(join(tmpdir(), 'openclaw-chat-web-'));
  undo.push(() => rmSync(outDir, { recursive: true }));
  await build({
    root,
    logLevel: 'error',
    configFile: join(root, 'vite.config.ts'),
    build: { outDir, emptyOutDir: true },
  });
  return outDir;
}

async function connected(page: Page): Promise<void> {
  await page.locator('#connection-words', { hasText: /^Connected$/ }).waitFor();
}

async function answered(page: Page, text: string): Promise<void> {
  await page.locator('.answer').getByText(text, { exact: true }).waitFor();
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel('Message').fill(text);
  await page.keyboard.press('Enter');
}

function numbers(count: number): string {
  return Array.from({ length: count }, (_, index) => index + 1).join(' ');
}

function runExample(
  path: string,
  args: string[] = [],
  env: Record<string, string> = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const main = fileURLToPath(new URL(`../examples/${path}`, import.meta.url));
  const child: ChildProcess = spawn(process.execPath, ['--conditions=@openclaw/source', main, ...args], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  undo.push(() => {
    if (child.exitCode === null) child.kill('SIGKILL');
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}
