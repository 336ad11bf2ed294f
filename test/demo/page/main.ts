import { FaultLog } from './fault-log.ts';
import { OwnClient } from './own-client.ts';
import { Panel } from './panel.ts';
import { PublishedClient, publishedVersion } from './published-client.ts';
import type { DemoResult, DemoSettings, Fault } from './settings.ts';
import { Side, sha256 } from './side.ts';

/** How long the right side may take to hear of the end, once the left one has. */
const patienceMs = 8_000;

const settings = await readSettings();
const left = new Side(settings.count);
const right = new Side(settings.count);
const leftPanel = new Panel(byId('left'), left, settings.expectedHash);
const rightPanel = new Panel(byId('right'), right, settings.expectedHash);
const log = new FaultLog(byId('faults'), { left, right });

left.onChange = () => leftPanel.draw();
right.onChange = () => rightPanel.draw();
left.onWentOn = () => log.wentOn('left');
right.onWentOn = () => log.wentOn('right');
byId('task').textContent =
  `The agent counts to ${settings.count.toLocaleString('en')}, one part per number. Break something while it does: which client still has every part?`;
byId('published').textContent = `@openclaw/gateway-client ${publishedVersion}`;

const address = { url: settings.gatewayUrl, token: settings.token };
const own = new OwnClient(left, address);
const published = new PublishedClient(right, address);

for (const fault of ['cut', 'kill', 'sleep'] as const) {
  byId(fault).addEventListener('click', () => void strike(fault));
}
byId('again').addEventListener('click', () => void ask());
await Promise.all([isUp(left), isUp(right)]);
await ask();

/** One answer from the question to both ends. */
async function ask(): Promise<void> {
  byId<HTMLButtonElement>('again').disabled = true;
  delete document.body.dataset.result;
  log.clear();
  for (const side of [left, right]) side.restart();
  for (const panel of [leftPanel, rightPanel]) panel.restart();
  byId('mended').textContent = 'not known yet';
  const { runId, done } = own.ask(settings.question);
  published.watch(runId);
  await done;
  leftPanel.showHash(await sha256(left.tally.text));
  await Promise.race([ended(right), new Promise((resolve) => setTimeout(resolve, patienceMs))]);
  right.end();
  rightPanel.showHash(await sha256(right.tally.text));
  const isMended = right.finalText !== undefined && (await sha256(right.finalText)) === settings.expectedHash;
  byId('mended').textContent = isMended
    ? 'here it could: the last frame had all of it'
    : 'here it could not: no frame came any more';
  const result: DemoResult = {
    left: await left.result(settings.expectedHash),
    right: await right.result(settings.expectedHash),
    faults: log.incidents.map(({ fault, leftMs, rightMs }) => ({ fault, leftMs, rightMs })),
  };
  document.body.dataset.result = JSON.stringify(result);
  byId<HTMLButtonElement>('again').disabled = false;
}

async function strike(fault: Fault): Promise<void> {
  const button = byId<HTMLButtonElement>(fault);
  button.disabled = true;
  if (!left.isEnded) {
    log.add(fault);
    leftPanel.mark(fault);
    rightPanel.mark(fault);
  }
  if (fault === 'sleep') sleepUntilAnswered(`/api/strike/${fault}`);
  else await fetch(`/api/strike/${fault}`, { method: 'POST', headers: { 'x-demo': 'page' } });
  // What a browser says when a cable is back; on loopback it can't notice by itself.
  if (fault === 'cut') dispatchEvent(new Event('online'));
  button.disabled = false;
}

/** Nothing of the page runs until the answer is there: the one use of a request that blocks. */
function sleepUntilAnswered(path: string): void {
  const request = new XMLHttpRequest();
  request.open('POST', path, false);
  request.setRequestHeader('x-demo', 'page');
  request.send();
}

async function readSettings(): Promise<DemoSettings> {
  for (;;) {
    const response = await fetch('/api/settings', { headers: { 'x-demo': 'page' } });
    if (response.ok) return (await response.json()) as DemoSettings;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function isUp(side: Side): Promise<void> {
  return when(() => side.link.isUp);
}

function ended(side: Side): Promise<void> {
  return when(() => side.isEnded);
}

async function when(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 50));
}

function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}
