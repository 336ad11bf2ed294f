// The demo: one answer through two clients, with buttons that break things.
//   --auto               press every button in a headless Chromium, print one line, exit 0 or 1
//   --screenshot <file>  with --auto: also keep a picture of the end
//   --count <n>          how far the gateway counts, one part per number (default 1200)
//   --port <n>           where the page is (default: any free port)
//   --from-source        run the gateway from its sources instead of its build
//   --no-open            don't open the page in the browser of this machine
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { runAutomatically } from './auto.ts';
import { startDemo } from './supervisor.ts';

const { values } = parseArgs({
  options: {
    auto: { type: 'boolean', default: false },
    screenshot: { type: 'string' },
    count: { type: 'string', default: '1200' },
    port: { type: 'string', default: '0' },
    'from-source': { type: 'boolean', default: false },
    'no-open': { type: 'boolean', default: false },
  },
});
const count = Number(values.count);
if (!Number.isInteger(count) || count < 100 || count > 10_000) {
  console.error(`--count ${values.count} is not a number from 100 to 10000.`);
  process.exit(64);
}

const demo = await startDemo({
  count,
  port: Number(values.port),
  isFromSource: values['from-source'],
  log: (line) => console.error(line),
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end(130));

if (values.auto) {
  try {
    const { line, isGood } = await runAutomatically(demo.pageUrl, values.screenshot);
    console.log(line);
    await end(isGood ? 0 : 1);
  } catch (error) {
    console.error(error);
    await end(1);
  }
} else {
  console.log(`\n  Open   ${demo.pageUrl}\n\nPress the buttons while the answer streams. Ctrl-C ends the demo.`);
  if (!values['no-open']) openInBrowser(demo.pageUrl);
}

async function end(code: number): Promise<never> {
  await demo.close();
  process.exit(code);
}

/** Opens the page where that is possible; the link is printed anyway. */
function openInBrowser(url: string): void {
  const [command, ...args] =
    process.platform === 'darwin'
      ? ['open', url]
      : process.platform === 'win32'
        ? ['cmd', '/c', 'start', '', url]
        : ['xdg-open', url];
  const opener = spawn(command as string, args, { stdio: 'ignore', detached: true });
  opener.on('error', () => undefined);
  opener.unref();
}
