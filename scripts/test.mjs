// `npm test`: everything that must hold for main. `npm test -- <filter>` runs only the vitest files that match.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { install, nodeBinary, requireNode, root, run, toolEnvironment } from './toolchain.mjs';

requireNode();

const filters = process.argv.slice(2);
const isCi = process.env.CI === 'true';
const startedAt = Date.now();
const cache = join(root, 'node_modules', '.cache', 'npm-test');
const bin = (name) => join(root, 'node_modules', '.bin', name);
const node = (script) => () => run(nodeBinary(), [join(root, 'scripts', script)]);
const totals = { passed: 0, failed: 0 };
const leftOut = [];

const chromium = findChromium();
if (!chromium)
  leftOut.push('browser tests: no chromium here (Debian: apt-get install chromium; elsewhere set OPENCLAW_CHROMIUM)');
for (const { program, what, remedy } of missingPrograms()) leftOut.push(`${what}: no ${program} here (${remedy})`);

mkdirSync(cache, { recursive: true });
if (await check('install (frozen lockfile)', install)) {
  let isBuilt = true;
  if (filters.length === 0) {
    isBuilt = await check('build', () => run(bin('turbo'), ['run', 'build', '--output-logs=errors-only']));
    await Promise.all([
      check('types', () => run(bin('tsc'), ['-p', 'tsconfig.json', '--noEmit'])),
      check('lint and format', () => run(bin('biome'), ['check', '--max-diagnostics=40', '.'])),
      check('boundaries', () => run(bin('turbo'), ['boundaries'])),
    ]);
    await Promise.all([
      check('unused and undeclared', () => run(bin('knip'), ['--no-progress', '--no-config-hints'])),
      check('house', node('check-house.mjs')),
      check('links', node('check-links.mjs')),
    ]);
  }
  if (isBuilt) await vitest();
  else console.log('✗ tests  not run, since the build failed; npm test -- <filter> runs some of them all the same');
}
report();

/** Runs one check and says how it went; its output is shown only when it fails. */
async function check(name, work) {
  const began = Date.now();
  const { code, output } = await work();
  const isOk = code === 0;
  totals[isOk ? 'passed' : 'failed']++;
  console.log(`${isOk ? '✓' : '✗'} ${name}  ${seconds(began)}`);
  if (!isOk) console.log(`${output.trimEnd()}\n`);
  return isOk;
}

/** Runs the tests and adds vitest's own counts; a file that can't be loaded counts as one failure. */
async function vitest() {
  const file = join(cache, 'vitest.json');
  rmSync(file, { force: true });
  const began = Date.now();
  const { code } = await run(
    bin('vitest'),
    ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`, ...filters],
    {
      stream: true,
      env: toolEnvironment(chromium ? { OPENCLAW_CHROMIUM: chromium } : {}),
    },
  );
  const results = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
  const tests = results?.testResults.flatMap((suite) => suite.assertionResults) ?? [];
  const failedBefore = totals.failed;
  totals.passed += tests.filter((test) => test.status === 'passed').length;
  totals.failed += tests.filter((test) => test.status === 'failed').length;
  totals.failed +=
    results?.testResults.filter((suite) => suite.status === 'failed' && suite.assertionResults.length === 0).length ??
    0;
  // Errors outside any test (an unhandled rejection, a crash of the runner) are failures too.
  if (code !== 0 && totals.failed === failedBefore) totals.failed++;
  for (const test of tests)
    if (!['passed', 'failed'].includes(test.status)) leftOut.push(`${test.status}: ${test.fullName}`);
  console.log(`${code === 0 ? '✓' : '✗'} tests  ${seconds(began)}`);
}

function report() {
  if (leftOut.length > 0) {
    console.log(`\nLEFT OUT on this machine${isCi ? ' (a failure, since CI=true)' : ''}:`);
    for (const line of leftOut) console.log(`  - ${line}`);
    if (isCi) totals.failed += leftOut.length;
  }
  const summary = `${totals.passed} passed, ${totals.failed} failed`;
  writeFileSync(join(cache, 'summary.txt'), `${summary}\n`);
  console.log(`\n${seconds(startedAt)}\n${summary}`);
  process.exitCode = totals.failed === 0 && totals.passed > 0 ? 0 : 1;
}

function findChromium() {
  const names = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  return [process.env.OPENCLAW_CHROMIUM, ...names].find((path) => path && existsSync(path));
}

/** Programs of the machine that some tests start, and which are not here or not allowed. */
function missingPrograms() {
  const proxies = 'the gateway behind real proxies';
  const empty = 'the gateway in an empty network';
  const needed = [
    { program: 'nginx', args: ['-v'], what: proxies, remedy: 'Debian: apt-get install nginx' },
    { program: 'caddy', args: ['version'], what: proxies, remedy: 'Debian: apt-get install caddy' },
    { program: 'openssl', args: ['version'], what: proxies, remedy: 'Debian: apt-get install openssl' },
    { program: 'strace', args: ['-o', '/dev/null', 'true'], what: empty, remedy: 'Debian: apt-get install strace' },
    { program: 'ip', args: ['-V'], what: empty, remedy: 'Debian: apt-get install iproute2' },
    {
      program: 'systemd-analyze',
      args: ['--version'],
      what: 'the systemd unit',
      remedy: 'Debian: apt-get install systemd',
    },
  ];
  const works = (program, args) =>
    spawnSync(program, args, { stdio: 'ignore', env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` } })
      .status === 0;
  const missing = needed.filter(({ program, args }) => !works(program, args));
  if (!works('unshare', ['-rn', 'true']) && !works('unshare', ['-n', 'true']))
    missing.push({ program: 'unshare', what: empty, remedy: 'util-linux; and it must be allowed to this user' });
  return missing;
}

function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}
