// `npm run figures`: installs and builds if that is needed, then measures. What follows `--` goes to it.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { install, isInstalled, nodeBinary, requireNode, root, run, toolEnvironment } from './toolchain.mjs';

requireNode();

if (!isInstalled()) await step('Installing', install);
await step('Building', () =>
  run(join(root, 'node_modules', '.bin', 'turbo'), ['run', 'build', '--output-logs=errors-only']),
);

const figures = spawn(nodeBinary(), [join(root, 'bench', 'figures.ts'), ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: toolEnvironment({}),
});
// Ctrl-C reaches it from the terminal itself; it ends what it started.
process.on('SIGINT', () => {});
figures.on('exit', (code) => process.exit(code ?? 1));

async function step(title, work) {
  const { code, output } = await work();
  if (code === 0) return;
  console.error(`${output}\n${title} failed (exit code ${code}); the reason is above.`);
  process.exit(1);
}
