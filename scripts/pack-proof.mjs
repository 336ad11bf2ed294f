// `npm run pack:proof`: what users get. Every package is packed, looked at, installed outside the workspace and used there.
// `-- --keep` leaves the tarballs in .packs/.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConsumer, proveInstall, proveRuntime, proveTypes, proveVite } from './pack-proof/consumer.mjs';
import { packAll, provePack } from './pack-proof/packs.mjs';
import { Proof } from './pack-proof/proof.mjs';
import { proveSnippets } from './pack-proof/snippets.mjs';
import { install, isInstalled, requireNode, root, run } from './toolchain.mjs';

requireNode();
if (!isInstalled() && (await install()).code !== 0)
  throw new Error('The workspace could not be installed; npm test says why.');

const place = mkdtempSync(join(tmpdir(), 'pack-proof-'));
const proof = new Proof();
try {
  const built = await run(join(root, 'node_modules', '.bin', 'turbo'), ['run', 'build', '--output-logs=errors-only']);
  if (await proof.check('every package builds', () => built)) {
    const packs = await packAll(join(place, 'packs'), proof);
    for (const pack of packs) await provePack(pack, proof);
    if (process.argv.includes('--keep')) keep(join(place, 'packs'));

    const consumer = await makeConsumer(join(place, 'consumer'), packs, proof);
    await proveTypes(consumer, packs, proof);
    await proveVite(consumer, proof);
    await proveRuntime(consumer, packs, proof);
    await proveSnippets(consumer, packs, proof);
    await proveInstall(join(place, 'production'), packs, proof);
  }
} finally {
  rmSync(place, { recursive: true, force: true });
}
proof.report();

function keep(from) {
  const to = join(root, '.packs');
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to);
  cpSync(from, to, { recursive: true });
  console.log(`kept in .packs/: ${readdirSync(to).join(' ')}`);
}
