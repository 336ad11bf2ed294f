// `npm run demo`: installs and builds if that is needed, then runs the demo. What follows `--` goes to it.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { install, isInstalled, nodeBinary, requireNode, root, run, toolEnvironment } from './toolchain.mjs';

requireNode();

if (!isInstalled()) await step('Installing', install);
await step('Building', () =>
  run(join(root, 'node_modules', '.bin', 'turbo'), [
    'run',
    'build',
    '--filter=openclaw-ws-gateway...',
    '--output-logs=errors-only',
  ]),
);

const demo = spawn(
  nodeBinary(),
  ['--conditions=@openclaw/source', join(root, 'test', 'demo', 'main.ts'), ...process.argv.slice(2)],
  { stdio: 'inherit', env: toolEnvironment({}) },
);
// Ctrl-C reaches the demo from the terminal itself; this process stays until it has tidied up.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => demo.kill('SIGTERM'));
demo.on('exit', (code) => process.exit(code ?? 1));

async function step(title, work) {
  const { code, output } = await work();
  if (code === 0) return;
  console.error(`${output}\n${title} failed (exit code ${code}); the reason is above.`);
  process.exit(1);
}
