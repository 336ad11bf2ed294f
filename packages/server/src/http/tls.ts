import { createHash, X509Certificate } from 'node:crypto';
import type { Server } from 'node:https';
import { GatewayError } from '@openclaw/protocol';

/** The gateway's own certificate. */
export interface TlsOptions {
  /** The private key, PEM. */
  key: string | Buffer;
  /** The certificate, PEM; those of its issuers may follow it. */
  cert: string | Buffer;
}

/**
 * `sha256/` and the base64 of the SHA-256 of the certificate (DER): what a client compares when nobody that it knows has signed
 * the certificate. Throws `INVALID_REQUEST` for what is no certificate.
 */
export function certificatePin({ cert }: TlsOptions): string {
  let leaf: X509Certificate;
  try {
    leaf = new X509Certificate(cert);
  } catch (error) {
    throw unusable(error);
  }
  return `sha256/${createHash('sha256').update(leaf.raw).digest('base64')}`;
}

/** Throws `INVALID_REQUEST` unless key and certificate belong together. */
export function assertUsable(tls: TlsOptions): void {
  certificatePin(tls);
  try {
    process.getBuiltinModule('node:tls').createSecureContext(contextOf(tls));
  } catch (error) {
    throw unusable(error);
  }
}

/** What a TLS server is given. TLS 1.2 at least: nothing that can speak WebSocket today needs less. */
export function contextOf({ key, cert }: TlsOptions): {
  key: string | Buffer;
  cert: string | Buffer;
  minVersion: 'TLSv1.2';
} {
  return { key, cert, minVersion: 'TLSv1.2' };
}

/** New connections get another certificate; open ones stay as they are. */
export function replaceCertificate(server: Server, tls: TlsOptions): void {
  server.setSecureContext(contextOf(tls));
}

function unusable(error: unknown): GatewayError {
  const why = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
  return new GatewayError(
    'INVALID_REQUEST',
    `The TLS key and certificate can't be used${why}; give a PEM key and the PEM certificate that belongs to it.`,
    { cause: error },
  );
}
