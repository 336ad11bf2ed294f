import { existsSync } from 'node:fs';
import { chromium, type Page } from 'playwright-core';
import type { DemoResult } from './page/settings.ts';

const patienceMs = 30_000;
const names = { cut: 'cut', kill: 'kill -9', sleep: 'sleep' };

/** Where the Chromium of this machine is; undefined when there is none. OPENCLAW_CHROMIUM names another one. */
export function findChromium(): string | undefined {
  const usual = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  return [process.env.OPENCLAW_CHROMIUM, ...usual].find((path) => path && existsSync(path));
}

/** Starts it without anything that calls home. */
export function launchChromium(executablePath: string) {
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/**
 * Presses every button of the page once, each when both sides are at work again, and says in one line what came of it. Good is what the
 * left side promises: nothing lost, doubled or reordered, and the right hash.
 */
export async function runAutomatically(
  pageUrl: string,
  screenshot: string | undefined,
): Promise<{ line: string; isGood: boolean }> {
  const executablePath = findChromium();
  if (!executablePath)
    throw new Error('No Chromium here. Debian: apt-get install chromium; elsewhere set OPENCLAW_CHROMIUM.');
  const browser = await launchChromium(executablePath);
  try {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 900 },
      deviceScaleFactor: 2,
      colorScheme: 'light',
    });
    const page = await context.newPage();
    page.on('pageerror', (error) => console.error(`page: ${error.stack ?? error.message}`));
    await page.goto(pageUrl);
    await pressAt(page, 'Cut cable', 0.12, 1);
    await pressAt(page, 'kill -9 gateway', 0.4, 2);
    await pressAt(page, 'Sleep 5 s', 0.58, 3);
    await page.waitForFunction(() => document.body.dataset.result !== undefined, undefined, {
      timeout: 4 * patienceMs,
    });
    const result = JSON.parse((await page.evaluate(() => document.body.dataset.result)) as string) as DemoResult;
    if (screenshot) {
      await page.mouse.move(0, 0);
      await page.waitForTimeout(300);
      await page.screenshot({ path: screenshot, fullPage: true });
    }
    return summary(result);
  } finally {
    await browser.close();
  }
}

/** Presses a button when the answer has come so far, and waits until both sides went on after it, or the answer is over. */
async function pressAt(page: Page, name: string, share: number, incident: number): Promise<void> {
  await page.waitForFunction(
    (wanted) => {
      const cells = document.querySelectorAll('#left .grid i');
      return (
        cells.length > 0 &&
        document.querySelectorAll('#left .grid i[data-fate=received]').length >= wanted * cells.length
      );
    },
    share,
    { timeout: patienceMs },
  );
  await page.getByRole('button', { name }).click();
  await page.waitForFunction(
    (row) => {
      if (document.body.dataset.result !== undefined) return true;
      const cells = document.querySelectorAll(`#faults tr:nth-child(${row}) td`);
      return cells.length > 0 && [...cells].every((cell) => cell.textContent !== '…');
    },
    incident,
    { timeout: patienceMs },
  );
}

function summary({ left, right, faults }: DemoResult): { line: string; isGood: boolean } {
  const isGood =
    left.hashMatches &&
    left.lost + left.doubled + left.reordered === 0 &&
    left.received === left.expected &&
    faults.length === 3 &&
    faults.every(({ leftMs }) => leftMs !== undefined);
  const side = (name: string, { received, expected, lost, doubled, reordered, hashMatches }: DemoResult['left']) =>
    `${name} ${received}/${expected}, lost ${lost}, doubled ${doubled}, reordered ${reordered}, hash ${hashMatches ? 'matches' : 'differs'}`;
  const seconds = (ms: number | undefined) => (ms === undefined ? 'never' : `${(ms / 1_000).toFixed(1)} s`);
  const wentOn = faults.map(({ fault, leftMs }) => `${names[fault]} ${seconds(leftMs)}`).join(', ');
  return {
    line: `demo ${isGood ? 'ok' : 'FAILED'}: ${side('left', left)}; went on after ${wentOn} | ${side('right (published v4 client)', right)}`,
    isGood,
  };
}
