import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type FaultProxy, startFaultProxy } from '../fault-proxy.ts';
import { freePort, GatewayProcess } from './gateway-process.ts';
import type { DemoSettings, Fault } from './page/settings.ts';
import { buildPage, type PageServer, servePage } from './page-server.ts';

export interface DemoOptions {
  /** How far the gateway counts. */
  count: number;
  /** The port of the page; 0 picks one. */
  port: number;
  /** Runs the gateway from its sources instead of its build. */
  isFromSource: boolean;
  log: (line: string) => void;
}

/** A demo that runs. */
export interface Demo {
  pageUrl: string;
  /** Ends everything and leaves nothing behind. */
  close(): Promise<void>;
}

const cutMs = 3_000;
const sleepMs = 5_000;

/** Starts the gateway program with an empty state, a fault proxy before it, and the page with the buttons. */
export async function startDemo({ count, port, isFromSource, log }: DemoOptions): Promise<Demo> {
  const directory = mkdtempSync(join(tmpdir(), 'openclaw-demo-'));
  const undo: (() => Promise<unknown> | unknown)[] = [() => rmSync(directory, { recursive: true, force: true })];
  const close = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const site = join(directory, 'page');
    await buildPage(site);
    const page: PageServer = await servePage({ site, port });
    undo.push(() => page.close());

    // The page is not the gateway's own, so its origin has to be allowed.
    const configPath = join(directory, 'config.json5');
    writeFileSync(configPath, JSON.stringify({ http: { allowedOrigins: [page.url] } }));
    const stateDirectory = join(directory, 'state');
    mkdirSync(stateDirectory, { mode: 0o700 });
    const token = randomBytes(32).toString('base64url');
    const gateway = new GatewayProcess({
      port: await freePort(),
      stateDirectory,
      configPath,
      token,
      isFromSource,
      log,
    });
    undo.push(() => gateway.stop());
    await gateway.start();

    const proxy = await startFaultProxy({ targetPort: gateway.port });
    undo.push(() => proxy.close());
    const expected = Array.from({ length: count }, (_, index) => index + 1).join(' ');
    const settings: DemoSettings = {
      gatewayUrl: proxy.url,
      token,
      question: `count to ${count}`,
      count,
      expectedHash: createHash('sha256').update(expected).digest('hex'),
    };
    page.open({ settings, strike: (fault) => strike(fault, proxy, gateway) });
    return { pageUrl: page.url, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Does the harm; resolves when it is done, which for `kill` is when the process is dead. */
async function strike(fault: Fault, proxy: FaultProxy, gateway: GatewayProcess): Promise<void> {
  switch (fault) {
    case 'cut':
      proxy.refuse(true);
      proxy.cut();
      await delay(cutMs);
      proxy.refuse(false);
      break;
    case 'kill':
      await gateway.kill();
      break;
    case 'sleep':
      // As with a closed lid: nothing passes and nobody is told; at the end the old connections are dead.
      proxy.blackHole();
      proxy.refuse(true);
      await delay(sleepMs);
      proxy.refuse(false);
      proxy.reset();
  }
}
