import type { Environment } from '../config-values.ts';
import type { Flags } from '../flags.ts';
import { askOwnGateway, timeoutMs } from './own-gateway.ts';

/**
 * Asks the gateway that runs with these flags for a setup code, and prints it as text and as a QR code. `url` is where the
 * phone reaches the gateway, if that can't be known here. Throws a `StartError` when the gateway can't be asked.
 */
export async function setupCodeCommand(
  flags: Flags,
  env: Environment,
  { url, print }: { url: string | undefined; print: (line: string) => void },
): Promise<void> {
  const params = { includeQr: true, ...(url === undefined ? {} : { publicUrl: url }) };
  const made = await askOwnGateway(flags, env, 'made no setup code', (request) =>
    request('device.pair.setupCode', params, { timeoutMs }),
  );
  print(
    `Scan this with the phone, or type the text below it. It lets one device in, once, until ${timeOf(made.expiresAtMs)}.`,
  );
  if (made.qrText !== undefined) print(`\n${made.qrText}`);
  print(`\n${made.setupCode}\n`);
  print(`The phone will connect to ${made.gatewayUrl}.`);
}

function timeOf(ms: number): string {
  return new Date(ms).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
}
