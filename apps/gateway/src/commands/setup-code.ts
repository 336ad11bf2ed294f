import { createHash, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { connect, isGatewayError } from '@openclaw/client';
import type { Environment } from '../config-values.ts';
import { ExitCode, StartError } from '../exit.ts';
import type { Flags } from '../flags.ts';
import { resolveSettings, type Settings } from '../settings.ts';
import { defaultStateDirectory } from '../state-directory.ts';

const timeoutMs = 10_000;

/**
 * Asks the gateway that runs with these flags for a setup code, and prints it as text and as a QR code. `url` is where the
 * phone reaches the gateway, if that can't be known here. Throws a {@link StartError} when the gateway can't be asked.
 */
export async function setupCodeCommand(
  flags: Flags,
  env: Environment,
  { url, print }: { url: string | undefined; print: (line: string) => void },
): Promise<void> {
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
    const failed = new Promise<never>((_, reject) =>
      gateway.on('state', ({ dial, error }) => dial && error && reject(error)),
    );
    const params = { includeQr: true, ...(url === undefined ? {} : { publicUrl: url }) };
    const made = await Promise.race([gateway.request('device.pair.setupCode', params, { timeoutMs }), failed]);
    print(
      `Scan this with the phone, or type the text below it. It lets one device in, once, until ${timeOf(made.expiresAtMs)}.`,
    );
    if (made.qrText !== undefined) print(`\n${made.qrText}`);
    print(`\n${made.setupCode}\n`);
    print(`The phone will connect to ${made.gatewayUrl}.`);
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    throw new StartError(ExitCode.address, `The gateway at ${ownUrl(settings)} made no setup code: ${error.message}`, {
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
    'The configuration holds no secret to log in with. Give one with --token, or make the code in an app that is paired.',
  );
}

function pinOf({ live: { tls } }: Settings): { pin?: string } {
  if (!tls) return {};
  return { pin: `sha256/${createHash('sha256').update(new X509Certificate(tls.cert).raw).digest('base64')}` };
}

function timeOf(ms: number): string {
  return new Date(ms).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
}
