// Copies the built chat page into dist/page, from where the program serves it.
import { cpSync, existsSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const from = fileURLToPath(new URL('../../../examples/chat-web/dist', import.meta.url));
const to = fileURLToPath(new URL('../dist/page', import.meta.url));

rmSync(to, { recursive: true, force: true });
if (existsSync(from)) cpSync(from, to, { recursive: true });
else console.error('examples/chat-web is not built; the gateway will be without a page.');
