import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { ExitCode, StartError } from './exit.ts';

/** Says that a directory is ours; without it a non-empty directory is left alone. */
const markerFile = '.openclaw-ws-gateway';
const tokenFile = 'token';

/** Where state is kept when nothing else is said. */
export function defaultStateDirectory(): string {
  return join(homedir(), '.openclaw-ws-gateway');
}

/** What may lie in a directory that was never used: a fresh volume's own, and a configuration that was written first. */
const harmless: ReadonlySet<string> = new Set(['lost+found', 'config.json5', 'config.json5.bak']);

/**
 * Makes `path` ready for use and returns it as an absolute path: creates it if it is missing, marks it if it is empty, and
 * sees to mode 0700 (S29). Throws a {@link StartError} and changes nothing when there is something in it that is not ours.
 */
export function prepareStateDirectory(path: string): string {
  const directory = resolve(path);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const names = readdirSync(directory).filter((name) => !harmless.has(name));
    if (names.length > 0 && !names.includes(markerFile)) {
      throw new StartError(
        ExitCode.config,
        `${directory} is not empty and not a state directory of this gateway (no ${markerFile} in it); nothing in it was touched. Give another one with --state-dir.`,
      );
    }
    if ((statSync(directory).mode & 0o077) !== 0) chmodSync(directory, 0o700);
    if (!names.includes(markerFile))
      writeFileSync(join(directory, markerFile), 'State of openclaw-ws-gateway.\n', { mode: 0o600 });
    return directory;
  } catch (error) {
    if (error instanceof StartError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const reason =
      code === 'EEXIST' || code === 'ENOTDIR'
        ? 'it is not a directory'
        : code === 'EACCES' || code === 'EPERM'
          ? 'no permission'
          : message;
    throw new StartError(
      ExitCode.config,
      `The state directory ${directory} can't be used: ${reason}. Mend that, or give another one with --state-dir.`,
      { cause: error },
    );
  }
}

/** Where the token of a state directory is kept. */
export function tokenPath(directory: string): string {
  return join(directory, tokenFile);
}

/** The token of a state directory, mode 0600; made at the first call. Throws a {@link StartError} when it can't be read. */
export function keptToken(directory: string): string {
  const path = tokenPath(directory);
  try {
    writeFileSync(path, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw unusable(path, error);
  }
  try {
    if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600);
    const token = readFileSync(path, 'utf8').trim();
    if (token !== '') return token;
  } catch (error) {
    throw unusable(path, error);
  }
  throw unusable(path, new Error('it is empty'));
}

function unusable(path: string, cause: unknown): StartError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new StartError(
    ExitCode.config,
    `The token file ${path} can't be used: ${reason}. Delete it to have a new token made, or give one with --token.`,
    { cause },
  );
}
