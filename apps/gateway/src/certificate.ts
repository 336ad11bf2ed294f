import { X509Certificate } from 'node:crypto';
import { chmodSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Config } from './config.ts';
import { ExitCode, StartError } from './exit.ts';
import { type KeyAndCertificate, selfSignedCertificate } from './self-signed.ts';

const dayMs = 86_400_000;
/** Phones take no certificate that a person trusts by hand for longer than 825 days; each new one needs to be pinned again. */
const validDays = 820;
const renewDays = 30;

/** Where a certificate that was made here is kept: key and certificate in one file, mode 0600. */
export const certificateFile = 'tls.pem';

/** What the gateway encrypts with, and the files that it was read from. Throws a {@link StartError}. */
export function certificateOf(
  tls: NonNullable<Config['tls']>,
  ground: { stateDirectory: string; configPath: string; now: () => number },
): { pair: KeyAndCertificate; files: string[] } {
  const pair = keyAndCertificate(tls, { ...ground, nowMs: ground.now() });
  const files = typeof tls === 'object' ? [tls.key, tls.cert] : [];
  return { pair, files: files.map((file) => resolve(dirname(ground.configPath), file)) };
}

/** What the gateway encrypts with. Throws a {@link StartError} for files that can't be read or do not belong together. */
export function keyAndCertificate(
  tls: NonNullable<Config['tls']>,
  { stateDirectory, configPath, nowMs }: { stateDirectory: string; configPath: string; nowMs: number },
): KeyAndCertificate {
  if (tls === 'self-signed') return keptCertificate(stateDirectory, nowMs);
  const read = (setting: string, path: string): string => {
    const file = resolve(dirname(configPath), path);
    try {
      return readFileSync(file, 'utf8');
    } catch (error) {
      throw unusable(`"${setting}" names ${file}, which can't be read: ${(error as Error).message}`, error);
    }
  };
  const pair = { key: read('tls.key', tls.key), cert: read('tls.cert', tls.cert) };
  try {
    if (new Date(new X509Certificate(pair.cert).validTo).getTime() < nowMs) {
      throw unusable('the certificate of "tls.cert" has run out; renew it');
    }
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw unusable('"tls.cert" is no certificate in PEM', error);
  }
  return pair;
}

/** The kept certificate; made when there is none, and anew when it ends soon or lacks a name that this machine has now. */
function keptCertificate(stateDirectory: string, nowMs: number): KeyAndCertificate {
  const path = join(stateDirectory, certificateFile);
  const names = ownNames();
  const kept = readKept(path);
  if (kept && isGood(kept.cert, names, nowMs)) return kept;
  const pair = selfSignedCertificate({
    names,
    // A phone's clock may be behind.
    notBefore: new Date(nowMs - dayMs),
    notAfter: new Date(nowMs + validDays * dayMs),
  });
  try {
    const temporary = `${path}.new`;
    writeFileSync(temporary, pair.key + pair.cert, { mode: 0o600 });
    chmodSync(temporary, 0o600);
    renameSync(temporary, path);
  } catch (error) {
    throw unusable(`the certificate can't be kept in ${path}: ${(error as Error).message}`, error);
  }
  return pair;
}

function readKept(path: string): KeyAndCertificate | undefined {
  try {
    const text = readFileSync(path, 'utf8');
    const at = text.indexOf('-----BEGIN CERTIFICATE-----');
    return at > 0 ? { key: text.slice(0, at), cert: text.slice(at) } : undefined;
  } catch {
    return undefined;
  }
}

function isGood(cert: string, names: readonly string[], nowMs: number): boolean {
  try {
    const certificate = new X509Certificate(cert);
    const endsMs = new Date(certificate.validTo).getTime();
    // A pin that phones hold must live on when the machine is in another network today; only its name counts.
    return endsMs - nowMs > renewDays * dayMs && certificate.checkHost(names[0] as string) !== undefined;
  } catch {
    return false;
  }
}

/** This machine's name, `localhost`, and the addresses that others reach it by. */
function ownNames(): string[] {
  const name = hostname().toLowerCase();
  const isName = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(name);
  const addresses = Object.values(networkInterfaces())
    .flatMap((found) => found ?? [])
    .map(({ address }) => address)
    .filter((address) => !address.includes('%') && !/^fe80:/i.test(address));
  const names = [...(isName ? [name, ...(name.includes('.') ? [] : [`${name}.local`])] : []), 'localhost'];
  return [...new Set([...names, '127.0.0.1', '::1', ...addresses])];
}

function unusable(why: string, cause?: unknown): StartError {
  return new StartError(ExitCode.config, `TLS can't be used: ${why}.`, { cause });
}
