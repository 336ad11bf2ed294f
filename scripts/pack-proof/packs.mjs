import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, run } from '../toolchain.mjs';

const bin = (name) => join(root, 'node_modules', '.bin', name);

/** Packs every package that is not private: `{name, manifest, tarball, folder}` each, dependencies before dependents. */
export async function packAll(destination, proof) {
  mkdirSync(destination, { recursive: true });
  const folders = ['packages', 'apps'].flatMap((parent) =>
    readdirSync(join(root, parent)).map((name) => join(root, parent, name)),
  );
  const packs = [];
  for (const folder of folders) {
    if (!existsSync(join(folder, 'package.json'))) continue;
    const { name, private: isPrivate } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    if (isPrivate) continue;
    const packed = await run(bin('pnpm'), ['pack', '--json', '--pack-destination', destination], { cwd: folder });
    if (!(await proof.check(`${name} packs`, () => packed))) continue;
    const { filename } = JSON.parse(packed.output.slice(packed.output.indexOf('{')));
    packs.push({ name, folder, tarball: filename, manifest: JSON.parse(fileOf(filename, 'package.json')) });
  }
  return packs;
}

/** Looks at one tarball: nothing of the workspace leaks, publint and attw are content. */
export async function provePack({ name, tarball, manifest }, proof) {
  const text = JSON.stringify(manifest);
  const files = list(tarball);
  const problems = ['workspace:', 'catalog:', '@openclaw/source', 'example-']
    .filter((leak) => text.includes(leak))
    .map((leak) => `package.json has "${leak}"`);
  for (const needed of ['README.md', 'LICENSE']) if (!files.includes(needed)) problems.push(`${needed} is missing`);
  for (const file of files)
    if (/(^|\/)(test|node_modules)\/|\.tsbuildinfo$|\.env/.test(file)) problems.push(`${file} does not belong in it`);
  for (const target of targetsOf(manifest))
    if (!files.includes(target)) problems.push(`${target} is named, but not in it`);
  await proof.holds(`${name} holds what it names, and nothing of the workspace`, problems);
  await proof.check(`${name}: publint`, () => run(bin('publint'), ['run', '--strict', '--pack', 'false', tarball]));
  // A program has no types to look at.
  if (!manifest.exports) return;
  const entries = Object.entries(manifest.exports)
    .filter(([, target]) => typeof target !== 'string')
    .map(([entry]) => entry);
  await proof.check(`${name}: are the types wrong?`, () =>
    run(bin('attw'), [tarball, '--profile', 'esm-only', '--no-emoji', '--entrypoints', ...entries]),
  );
}

/** Every file that the manifest names. */
function targetsOf({ exports = {}, bin: programs = {} }) {
  const targets = Object.values(exports).flatMap((target) =>
    typeof target === 'string' ? [target] : Object.values(target),
  );
  return [...targets, ...Object.values(programs)].map((path) => path.replace(/^\.\//, ''));
}

function list(tarball) {
  return execFileSync('tar', ['tzf', tarball], { encoding: 'utf8' })
    .split('\n')
    .map((path) => path.replace(/^package\//, ''))
    .filter((path) => path !== '');
}

function fileOf(tarball, path) {
  return execFileSync('tar', ['xzOf', tarball, `package/${path}`], { encoding: 'utf8' });
}
