// What the workspace promises about itself: one pnpm version, a lockfile without addresses, honest package metadata.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pnpmVersion, root } from './toolchain.mjs';

const problems = [];
const manifest = readJson('package.json');

const named = {
  'scripts/toolchain.mjs': pnpmVersion,
  'package.json packageManager': manifest.packageManager?.replace(/^pnpm@/, ''),
  'package.json devDependencies.pnpm': manifest.devDependencies?.pnpm,
  'package.json scripts.bootstrap': /pnpm@([\d.]+)/.exec(manifest.scripts?.bootstrap ?? '')?.[1],
};
if (new Set(Object.values(named)).size !== 1) {
  problems.push(`The places that name pnpm disagree: ${JSON.stringify(named)}. Make them equal.`);
}

const addressed = readText('pnpm-lock.yaml')
  .split('\n')
  .findIndex((line) => line.includes('://'));
if (addressed !== -1) {
  problems.push(
    `pnpm-lock.yaml:${addressed + 1} names a host; it was made behind a mirror. Make it again with the ordinary registry.`,
  );
}

for (const folder of ['packages', 'apps', 'examples']) {
  if (!existsSync(join(root, folder))) continue;
  for (const name of readdirSync(join(root, folder))) {
    const path = join(folder, name);
    if (existsSync(join(root, path, 'package.json'))) checkPackage(path);
  }
}

if (problems.length > 0) {
  for (const problem of problems) console.error(problem);
  process.exitCode = 1;
}

function checkPackage(path) {
  const manifest = readJson(join(path, 'package.json'));
  const { license, repository, exports: entries = {}, publishConfig } = manifest;
  if (license !== 'MIT') problems.push(`${path}/package.json: license must be MIT, as in LICENSE.`);
  if (JSON.stringify(repository ?? '').includes('openclaw/openclaw')) {
    problems.push(`${path}/package.json: names upstream's repository as ours.`);
  }
  // pnpm puts publishConfig's exports in place of the others when it packs: users never see our source condition.
  const packed = Object.fromEntries(
    Object.entries(entries).map(([entry, target]) => {
      if (typeof target === 'string') return [entry, target];
      const { '@openclaw/source': _source, ...others } = target;
      return [entry, others];
    }),
  );
  if (!manifest.private && JSON.stringify(packed) !== JSON.stringify(publishConfig?.exports ?? {})) {
    problems.push(
      `${path}/package.json: publishConfig.exports must be exports without @openclaw/source: ${JSON.stringify(packed)}`,
    );
  }
  for (const [entry, target] of Object.entries(entries)) {
    const source = target['@openclaw/source'];
    if (source && !existsSync(join(root, path, source)))
      problems.push(`${path}/package.json: ${entry} names ${source}, which is not there.`);
  }
}

function readText(path) {
  return readFileSync(join(root, path), 'utf8');
}

function readJson(path) {
  return JSON.parse(readText(path));
}
