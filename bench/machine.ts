import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';

/** What the figures were taken on: the machine, the versions, the commit. Several lines of Markdown. */
export function machineLines(): string {
  const gibibytes = (totalmem() / 2 ** 30).toFixed(0);
  const [cpu] = cpus();
  return [
    `Machine: ${availableParallelism()} cores, ${cpu?.model ?? 'unknown processor'}, ${gibibytes} GiB, ${type()} ${release()}.`,
    `Versions: Node ${process.versions.node}, SQLite ${process.versions.sqlite}, ws ${versionOf('ws')}, commit ${commit()}.`,
  ].join('\n');
}

/** How busy the machine is: the load of 1, 5 and 15 minutes. */
export function load(): string {
  return loadavg()
    .map((value) => value.toFixed(1))
    .join(' / ');
}

function versionOf(name: string): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL(`./node_modules/${name}/package.json`, import.meta.url), 'utf8'),
  );
  return (manifest as { version: string }).version;
}

function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' }).trim();
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : ' and uncommitted changes'}`;
  } catch {
    return 'unknown';
  }
}
