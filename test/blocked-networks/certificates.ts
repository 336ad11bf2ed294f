import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

/**
 * Certificates for 127.0.0.1 and localhost, good for a hundred years except `expired`; `other-name` is made for another host. All
 * but `self-signed` are signed by {@link ca}, whose key was thrown away.
 */
export function certificate(name: 'trusted' | 'self-signed' | 'expired' | 'other-name'): { key: string; cert: string } {
  return { key: read(`${name}.key.pem`), cert: read(`${name}.pem`) };
}

/** The CA, PEM. */
export const ca = read('ca.pem');

/** What a client pins. */
export function pinOf(cert: string): string {
  return `sha256/${createHash('sha256').update(new X509Certificate(cert).raw).digest('base64')}`;
}

function read(file: string): string {
  return readFileSync(new URL(`./tls/${file}`, import.meta.url), 'utf8');
}
