import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GatewayError } from '@openclaw/protocol/wire';

/** Who holds a state directory. */
export interface LockHolder {
  pid: number;
  /** When the process started, as the system tells it; null where it does not. Guards against a pid that was given anew. */
  startedAt: string | null;
}

const lockFile = 'lock';

/**
 * When a process started, by its pid; undefined when there is none that lives, or the system doesn't tell. A killed process
 * that its parent has not yet taken note of does not live.
 */
export function processStart(pid: number | 'self'): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces; the state follows it, and the start time is the 20th field from there.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Who the lock file names; undefined without a readable one. */
export function lockHolder(directory: string): LockHolder | undefined {
  try {
    const holder = JSON.parse(readFileSync(join(directory, lockFile), 'utf8')) as LockHolder;
    return typeof holder.pid === 'number' ? holder : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Throws when the lock file names a process that is alive and started when the file says. A file of a dead process, or of
 * one whose pid was given anew, is no lock. Where start times are unknown, only the database's own lock decides.
 */
export function assertUnlocked(directory: string, startOf: (pid: number) => string | undefined = processStart): void {
  if (isLocked(directory, startOf)) throw inUse(directory);
}

/** Whether the lock file names a process that is alive and started when the file says. */
export function isLocked(directory: string, startOf: (pid: number) => string | undefined = processStart): boolean {
  const holder = lockHolder(directory);
  return holder?.startedAt != null && startOf(holder.pid) === holder.startedAt;
}

/** The refusal that names the holder. */
export function inUse(directory: string): GatewayError {
  const pid = lockHolder(directory)?.pid;
  const who = pid === undefined ? 'another process' : `the gateway with pid ${pid}`;
  return new GatewayError(
    'UNAVAILABLE',
    `The state directory ${directory} is in use by ${who}. Stop it first, or give this gateway another state directory.`,
    { details: { reason: 'store_in_use', ...(pid === undefined ? {} : { pid }) } },
  );
}

/** Writes this process into the lock file; the returned function takes it away. */
export function writeLock(directory: string): () => void {
  const path = join(directory, lockFile);
  const holder: LockHolder = { pid: process.pid, startedAt: processStart('self') ?? null };
  writeFileSync(`${path}.new`, JSON.stringify(holder), { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return () => rmSync(path, { force: true });
}
