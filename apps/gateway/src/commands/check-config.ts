import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isGatewayError } from '@openclaw/protocol/wire';
import { ConfigError, readConfig } from '../config.ts';
import type { Environment } from '../config-values.ts';
import { ExitCode, StartError } from '../exit.ts';
import type { Flags } from '../flags.ts';
import { settingsOf } from '../settings.ts';
import { defaultStateDirectory } from '../state-directory.ts';

/**
 * Checks the configuration that a start with the same flags would read, and whatever it names, as a start would; makes and
 * changes nothing. Prints every problem; throws a {@link StartError} with the last sentence when there is one.
 */
export async function checkConfigCommand(
  flags: Flags,
  env: Environment,
  { print, now }: { print: (line: string) => void; now: () => number },
): Promise<void> {
  const stateDirectory = resolve(flags.stateDirectory ?? defaultStateDirectory());
  const configPath = resolve(flags.config ?? join(stateDirectory, 'config.json5'));
  if (flags.config === undefined && !existsSync(configPath)) {
    print(`There is no configuration ${configPath}; the defaults hold.`);
    return;
  }
  try {
    const { config, ...read } = readConfig(configPath, env);
    for (const warning of read.warnings) print(warning);
    // What a start would make and keep is not made here.
    const { auth, tls, ...others } = config;
    const kept = auth.mode === 'token' && auth.token === undefined ? { ...auth, token: 'made at the start' } : auth;
    const checked = { ...others, auth: kept, ...(tls === undefined || tls === 'self-signed' ? {} : { tls }) };
    const { live } = await settingsOf({ config: checked, ...read }, { flags, env, now, stateDirectory, configPath });
    const { createGateway } = await import('@openclaw/server');
    await (await createGateway(live)).close();
  } catch (error) {
    if (error instanceof ConfigError) {
      for (const { path, message } of error.problems) print(`${path === '' ? 'the file' : path}: ${message}`);
      throw new StartError(ExitCode.config, `${configPath} is not valid.`);
    }
    if (!isGatewayError(error)) throw error;
    throw new StartError(ExitCode.config, `${configPath} is not valid: ${error.message}`, { cause: error });
  }
  print(`${configPath} is valid.`);
}
