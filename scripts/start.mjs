// `npm start`: installs, builds what the gateway needs, and runs it. Everything after `--` goes to the gateway.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { install, isInstalled, nodeBinary, requireNode, root, run, toolEnvironment } from './toolchain.mjs';

requireNode();

if (!isInstalled()) await step('Installing (the first time takes about half a minute)', install);
await step('Building', () =>
  run(join(root, 'node_modules', '.bin', 'turbo'), [
    'run',
    'build',
    '--filter=openclaw-ws-gateway...',
    '--output-logs=errors-only',
  ]),
);

const gateway = spawn(nodeBinary(), [join(root, 'apps', 'gateway', 'dist', 'main.js'), ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
  env: toolEnvironment({ OPENCLAW_STARTED_BY: 'npm start' }),
});
// In a terminal Ctrl-C reaches the gateway by itself, and twice would mean "at once"; this process only has to stay.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (signal !== 'SIGINT' || !process.stdin.isTTY) gateway.kill(signal);
  });
}
gateway.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)));

/** Runs one step with a line that says what goes on; shows the step's own output only when it fails. */
async function step(title, work) {
  const startedAt = Date.now();
  if (process.stdout.isTTY) process.stdout.write(`${title} …`);
  const { code, output } = await work();
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[2K');
  if (code === 0) {
    if (Date.now() - startedAt > 1500) console.log(`${title}: ${seconds} s`);
    return;
  }
  console.error(`${output}\n${title} failed (exit code ${code}); the reason is above.`);
  process.exit(1);
}
