import { createHash, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { connect, isGatewayError, type RequestFunction } from '@openclaw/client';
import type { Environment } from '../config-values.ts';
import { ExitCode, StartError } from '../exit.ts';
import type { Flags } from '../flags.ts';
import { resolveSettings, type Settings } from '../settings.ts';
import { defaultStateDirectory } from '../state-directory.ts';

/** How long a command waits for an answer, in ms. */
export const timeoutMs = 10_000;

/**
 * Asks the gateway that runs with these flags, as its owner. `failed` begins the sentence that is told when it can't be asked
 * or refuses. Throws a {@link StartError}.
 */
export async function askOwnGateway<T>(
  flags: Flags,
  env: Environment,
  failed: string,
  ask: (request: RequestFunction) => Promise<T>,
): Promise<T> {
  const stateDirectory = flags.stateDirectory ?? defaultStateDirectory();
  if (!existsSync(stateDirectory)) {
    throw new StartError(
      ExitCode.config,
      `There is no state directory ${stateDirectory}, so no gateway ran with it. Start one, or give --state-dir.`,
    );
  }
  const settings = await resolveSettings(flags, env);
  const gateway = connect({
    url: ownUrl(settings),
    ...credentials(settings),
    ...pinOf(settings),
    scopes: ['operator.admin'],
  });
  try {
    // One attempt: whoever runs this is told at once that no gateway is there.
    const undialed = new Promise<never>((_, reject) =>
      gateway.on('state', ({ dial, error }) => dial && error && reject(error)),
    );
    return await Promise.race([ask(gateway.request), undialed]);
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    throw new StartError(ExitCode.address, `The gateway at ${ownUrl(settings)} ${failed}: ${error.message}`, {
      cause: error,
    });
  } finally {
    gateway.close();
  }
}

/** How this machine reaches the gateway. */
function ownUrl({ host, port, live }: Settings): string {
  const own = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `${live.tls ? 'wss' : 'ws'}://${own.includes(':') ? `[${own}]` : own}:${port}`;
}

function credentials({ live: { auth } }: Settings): { token?: string; password?: string } {
  if (auth.mode === 'token') return { token: auth.token };
  if (auth.mode === 'none') return {};
  if (auth.mode === 'password' && !auth.password.startsWith('scrypt$')) return { password: auth.password };
  throw new StartError(
    ExitCode.usage,
    'The configuration holds no secret to log in with. Give one with --token, or do this in an app that is paired.',
  );
}

function pinOf({ live: { tls } }: Settings): { pin?: string } {
  if (!tls) return {};
  return { pin: `sha256/${createHash('sha256').update(new X509Certificate(tls.cert).raw).digest('base64')}` };
}
