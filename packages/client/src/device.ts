import type { ConnectParams } from '@openclaw/protocol';

/** A device identity: an Ed25519 key pair that the application keeps. The private key never leaves `sign`. */
export interface DeviceIdentity {
  /** SHA-256 of the raw 32-byte public key, lower-case hex. */
  id: string;
  /** The raw public key, base64url without padding. */
  publicKey: string;
  /** The Ed25519 signature over the UTF-8 bytes of `payload`, base64url without padding. */
  sign(payload: string): string | Promise<string>;
}

/** The v3 payload that a device signs to prove itself for one challenge. */
export function devicePayload(id: string, params: ConnectParams, signedAt: number, nonce: string): string {
  const { client, auth } = params;
  const token = auth?.token ?? auth?.deviceToken ?? auth?.bootstrapToken ?? '';
  return [
    'v3',
    id,
    client.id,
    client.mode,
    params.role ?? 'operator',
    (params.scopes ?? []).join(','),
    String(signedAt),
    token,
    nonce,
    asciiLower(client.platform),
    asciiLower(client.deviceFamily ?? ''),
  ].join('|');
}

function asciiLower(text: string): string {
  return text.trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
