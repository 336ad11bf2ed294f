import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { connect, StateChange } from '@openclaw/client';
import type { DeviceStatus, deviceIdentity, indexedDbDeviceStore } from '@openclaw/client/device';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findChromium } from './demo/auto.ts';
import { mayRun } from './deploy/left-out.ts';
import { startGateway, type TestGateway } from './gateway.ts';

const executablePath = findChromium();
const canRun = () => mayRun(executablePath, 'a device identity in a browser', 'Debian: apt-get install chromium');
const long = { timeout: 60_000 };
const entry = `
import { connect } from '@openclaw/client';
import { deviceIdentity, indexedDbDeviceStore } from '@openclaw/client/device';
globalThis.client = { connect, deviceIdentity, indexedDbDeviceStore };
`;

let browser: Browser | undefined;
let running: TestGateway;
let siteDirectory: string;

beforeAll(async () => {
  siteDirectory = await mkdtemp(join(tmpdir(), 'device-page-'));
  if (!executablePath) return;
  await writeFile(
    join(siteDirectory, 'index.html'),
    '<!doctype html><script type="module" src="./client.js"></script>',
  );
  const source = join(siteDirectory, 'entry.js');
  await writeFile(source, entry);
  const client = (file: string) => join(import.meta.dirname, '../packages/client/src', file);
  await build({
    configFile: false,
    logLevel: 'silent',
    root: import.meta.dirname,
    resolve: {
      conditions: ['@openclaw/source', 'browser', 'import', 'default'],
      alias: [
        { find: '@openclaw/client/device', replacement: client('device/index.ts') },
        { find: '@openclaw/client', replacement: client('index.ts') },
      ],
    },
    build: { outDir: siteDirectory, emptyOutDir: false, lib: { entry: source, formats: ['es'], fileName: 'client' } },
  });
  running = await startGateway({ siteDirectory });
  // A name that is not localhost: pages of it are no secure context.
  const args = ['--no-sandbox', '--disable-gpu', '--host-resolver-rules=MAP panel.test 127.0.0.1'];
  browser = await chromium.launch({ executablePath, args });
}, 60_000);

afterAll(async () => {
  await browser?.close();
  await running?.close();
  await rm(siteDirectory, { recursive: true });
});

/** What the page has. */
interface InPage {
  connect: typeof connect;
  deviceIdentity: typeof deviceIdentity;
  indexedDbDeviceStore: typeof indexedDbDeviceStore;
}

interface Seen {
  state: string;
  reason: string;
  dial: unknown;
  status: DeviceStatus;
  notices: string[];
  extractable: boolean | undefined;
}

/** Runs in the page: connects with the identity of this browser, and tells how that went. */
async function enter({ url, bootstrapToken }: { url: string; bootstrapToken?: string }): Promise<Seen> {
  const { connect, deviceIdentity, indexedDbDeviceStore } = (globalThis as unknown as { client: InPage }).client;
  const store = indexedDbDeviceStore();
  const device = deviceIdentity({ store });
  const gateway = connect({ url, device, ...(bootstrapToken ? { bootstrapToken } : {}) });
  const notices: string[] = [];
  gateway.on('notice', ({ code }) => notices.push(code));
  const change = await new Promise<StateChange>((resolve) => {
    gateway.on('state', (each) => {
      if (/live|backoff|failed/.test(each.state)) resolve(each);
    });
  });
  gateway.close();
  const status = await device.status();
  const { state, reason, dial } = change;
  const key = (await store.load())?.key?.privateKey;
  const extractable = typeof key === 'object' ? key.extractable : undefined;
  return { state, reason, dial, status, notices, extractable };
}

async function pageAt(url: string): Promise<Page> {
  const page = await (browser as Browser).newPage();
  await page.goto(url);
  return page;
}

test.runIf(canRun())(
  'a page pairs once and comes back with the same key, which no script can read',
  async () => {
    const bootstrapToken = await running.gateway.createBootstrapCode();
    const page = await pageAt(running.url.replace('ws', 'http'));
    const first = await page.evaluate(enter, { url: running.url, bootstrapToken });
    expect(first).toMatchObject({ state: 'live', status: { supported: true }, notices: [], extractable: false });
    await page.reload();
    const later = await page.evaluate(enter, { url: running.url });
    expect(later).toMatchObject({ state: 'live', status: first.status });
    await page.close();
  },
  long.timeout,
);

test.runIf(canRun())(
  'a page that is no secure context goes without an identity, and says so',
  async () => {
    const bootstrapToken = await running.gateway.createBootstrapCode();
    const host = `panel.test:${running.port}`;
    running.gateway.reconfigure({
      auth: { mode: 'token', token: running.token },
      allowedHosts: ['panel.test'],
      allowedOrigins: [`http://${host}`],
    });
    const page = await pageAt(`http://${host}/`);
    const seen = await page.evaluate(enter, { url: `ws://${host}`, bootstrapToken });
    expect(seen).toMatchObject({
      state: 'live',
      status: { supported: false, reason: expect.stringMatching(/https:\/\/ and localhost/) },
      notices: ['device-unsupported'],
    });
    await page.close();
  },
  long.timeout,
);

test.runIf(canRun())(
  'a page that can not reach the gateway tells what a browser tells',
  async () => {
    const page = await pageAt(running.url.replace('ws', 'http'));
    const seen = await page.evaluate(enter, { url: 'ws://127.0.0.1:1' });
    expect(seen).toMatchObject({ state: 'backoff', dial: { code: 'unknown' }, reason: expect.stringContaining('tab') });
    await page.close();
  },
  long.timeout,
);
