// `npm run fuzz`: throws made-up frames, handshakes and HTTP requests at a gateway. What follows `--` goes to it.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { install, isInstalled, nodeBinary, requireNode, root, toolEnvironment } from './toolchain.mjs';

requireNode();

if (!isInstalled()) {
  const { code, output } = await install();
  if (code !== 0) {
    console.error(`${output}\nInstalling failed (exit code ${code}); the reason is above.`);
    process.exit(1);
  }
}

const fuzz = spawn(
  nodeBinary(),
  ['--expose-gc', '--conditions=@openclaw/source', join(root, 'test', 'fuzz', 'main.ts'), ...process.argv.slice(2)],
  { stdio: 'inherit', env: toolEnvironment({}) },
);
// Ctrl-C reaches it from the terminal itself.
process.on('SIGINT', () => {});
fuzz.on('exit', (code) => process.exit(code ?? 1));
