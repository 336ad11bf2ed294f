import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build, minify } from 'vite';
import { nodeBinary, root, run, toolEnvironment } from '../toolchain.mjs';

/** Packages that promise to run on Node 20.19 too. */
export const forOldNode = ['@openclaw/protocol', '@openclaw/client', '@openclaw/plugin-sdk'];
/** Limits of a production install, from the goals. */
const maxInstall = { megabytes: 80, packages: 80 };

/** A project outside the workspace that has installed every tarball, as a user would. Returns its folder. */
export async function makeConsumer(folder, packs, proof) {
  await installPacks(folder, packs, { '@types/node': '24.19.2' }, proof, 'installs outside the workspace');
  return folder;
}

async function installPacks(folder, packs, others, proof, name) {
  mkdirSync(folder, { recursive: true });
  const dependencies = Object.fromEntries(packs.map((pack) => [pack.name, `file:${pack.tarball}`]));
  // Our names belong to others in the registry: nothing may be fetched by them.
  const overrides = Object.fromEntries(packs.map((pack) => [pack.name, `$${pack.name}`]));
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify(
      { name: 'consumer', private: true, type: 'module', dependencies: { ...dependencies, ...others }, overrides },
      null,
      2,
    ),
  );
  return proof.check(name, () =>
    run('npm', ['install', '--omit=dev', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'], {
      cwd: folder,
    }),
  );
}

/** A strict compiler that skips nothing sees every entry point, with both ways of resolving. */
export async function proveTypes(folder, packs, proof) {
  const entries = packs.flatMap(({ name, manifest }) =>
    Object.entries(manifest.exports ?? {})
      .filter(([, target]) => typeof target !== 'string')
      .map(([entry]) => name + entry.slice(1)),
  );
  const lines = entries.map(
    (entry, index) =>
      `import * as entry${index} from '${entry}';\nexport const names${index}: string[] = Object.keys(entry${index});`,
  );
  writeFileSync(join(folder, 'entries.ts'), `${lines.join('\n')}\n`);
  for (const resolution of ['nodenext', 'bundler']) {
    await proof.check(`strict types with skipLibCheck off (${resolution}, ${entries.length} entries)`, () =>
      typeCheck(folder, ['entries.ts'], resolution),
    );
  }
}

/** Compiles `files` of a folder strictly; with `emit` the JavaScript is written beside them. */
export function typeCheck(folder, files, resolution = 'nodenext', { emit = false } = {}) {
  const compilerOptions = {
    target: 'es2023',
    lib: ['es2023', 'dom', 'dom.iterable', 'dom.asynciterable'],
    types: ['node'],
    module: resolution === 'nodenext' ? 'nodenext' : 'esnext',
    moduleResolution: resolution,
    strict: true,
    skipLibCheck: false,
    noUncheckedIndexedAccess: true,
    rootDir: '.',
    noEmit: !emit,
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  return run(join(root, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.json', '--pretty', 'false'], { cwd: folder });
}

/** A page made with Vite that imports the client: it builds, and nothing of Node is in it. */
export async function proveVite(folder, proof) {
  const page = join(folder, 'page');
  mkdirSync(page, { recursive: true });
  writeFileSync(
    join(page, 'index.html'),
    '<!doctype html><title>page</title><script type="module" src="./main.js"></script>\n',
  );
  writeFileSync(
    join(page, 'main.js'),
    "import { connect } from '@openclaw/client';\nwindow.gateway = connect({ url: 'ws://127.0.0.1:18789' });\n",
  );
  const vite = join(root, 'node_modules', '.bin', 'vite');
  if (
    !(await proof.check('a Vite page that imports the client builds', () =>
      run(vite, ['build', page, '--logLevel', 'warn'], { cwd: page }),
    ))
  )
    return;
  const assets = join(page, 'dist', 'assets');
  const scripts = readdirSync(assets).filter((file) => file.endsWith('.js'));
  const code = Buffer.concat(scripts.map((file) => readFileSync(join(assets, file))));
  const leaks = ['node:', 'require(', '__vite-browser-external', 'process.env'].filter((leak) => code.includes(leak));
  await proof.holds(
    'nothing of Node is in the page',
    leaks.map((leak) => `the bundle has "${leak}"`),
  );
  const { first, later } = await clientSize(page);
  const bytes = first;
  const more = later > 0 ? `, and ${(later / 1000).toFixed(1)} kB more from a gateway without streams` : '';
  proof.tell(`client in a page: ${(bytes / 1000).toFixed(1)} kB min+gzip${more}`);
  await proof.holds('the client in a page is at most 12 kB', bytes <= 12_000 ? [] : [`it is ${bytes} bytes`]);
}

/**
 * Gzipped bytes of the packed client that a page loads at once, and of what it loads later. Built in lib mode: in an app Vite
 * adds 0.7 kB of its own for preloading.
 */
async function clientSize(page) {
  const [output] = await build({
    root: page,
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      minify: false,
      target: 'es2023',
      lib: { entry: join(page, 'main.js'), formats: ['es'], fileName: 'entry' },
    },
  });
  const chunks = output.output.filter(({ type }) => type === 'chunk');
  const entry = chunks.find(({ isEntry }) => isEntry);
  const first = new Set([entry.fileName]);
  for (const name of first)
    for (const next of chunks.find(({ fileName }) => fileName === name).imports) first.add(next);
  const sizeOf = async (isWanted) => {
    const codes = await Promise.all(
      chunks.filter(({ fileName }) => isWanted(fileName)).map(({ code }) => minify('chunk.js', code, { module: true })),
    );
    return codes.length === 0 ? 0 : gzipSync(codes.map(({ code }) => code).join(''), { level: 9 }).length;
  };
  return { first: await sizeOf((name) => first.has(name)), later: await sizeOf((name) => !first.has(name)) };
}

/** Every entry point is imported, and required, on the Nodes that it promises. */
export async function proveRuntime(folder, packs, proof) {
  const old = oldNode;
  if (!old) proof.leaveOut('Node 20.19+: none on PATH (set OPENCLAW_NODE20)');
  for (const { name, manifest } of packs) {
    for (const [entry, target] of Object.entries(manifest.exports ?? {})) {
      if (typeof target === 'string') continue;
      const specifier = name + entry.slice(1);
      const isTesting = entry === './testing';
      const nodes = [nodeBinary(), ...(old && forOldNode.includes(name) && !isTesting ? [old] : [])];
      for (const node of nodes) {
        const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
        // The process must end by itself: importing starts nothing.
        const code = `const m = await import('${specifier}'); if (Object.keys(m).length === 0) throw new Error('exports nothing');
          const { createRequire } = await import('node:module'); createRequire(import.meta.url)('${specifier}');`;
        writeFileSync(join(folder, 'import.mjs'), code);
        await proof.check(`${specifier} on ${version}`, () =>
          run(node, ['import.mjs'], { cwd: folder, env: plainEnvironment() }),
        );
      }
    }
  }
}

/** A production install of the program: how big it is. */
export async function proveInstall(folder, packs, proof) {
  if (!(await installPacks(folder, packs, {}, proof, 'production install of the program'))) return;
  const modules = join(folder, 'node_modules');
  const count = Object.keys(JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8')).packages).length;
  const megabytes = sizeOf(modules) / 1_000_000;
  proof.tell(`production install: ${megabytes.toFixed(1)} MB, ${count} packages`);
  await proof.holds(
    `it is at most ${maxInstall.megabytes} MB and ${maxInstall.packages} packages`,
    megabytes <= maxInstall.megabytes && count <= maxInstall.packages
      ? []
      : [`it is ${megabytes.toFixed(1)} MB and ${count} packages`],
  );
}

/** The environment of a user: none of this repository's tools, no condition of ours. */
export function plainEnvironment(extra = {}) {
  const { NODE_OPTIONS: _options, NODE_PATH: _path, ...env } = toolEnvironment(extra);
  return { ...env, PATH: ownPath() };
}

/** A Node 20.19+ outside this repository, if there is one. */
export const oldNode = findOldNode();

function findOldNode() {
  const candidates = [
    process.env.OPENCLAW_NODE20,
    ...ownPath()
      .split(delimiter)
      .map((folder) => join(folder, 'node')),
  ];
  return candidates.find((path) => {
    if (!path || !existsSync(path)) return false;
    const version = spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout ?? '';
    return /^v20\.(19|[2-9]\d)\./.test(version);
  });
}

function ownPath() {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules'))
    .join(delimiter);
}

function sizeOf(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return 0;
  return stat.isDirectory() ? readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0) : stat.size;
}
