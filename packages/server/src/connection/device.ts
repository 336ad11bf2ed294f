import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import type { ConnectParams } from '@openclaw/protocol';
import { ConnectRefusal } from './connect-refusal.ts';

/** How far the signing clock may be off, in ms. */
const maxSkewMs = 120_000;
const maxCachedKeys = 4_096;

/**
 * Checks device identities: an Ed25519 signature over what the `connect` says, bound to the challenge's nonce. The device's
 * id is the SHA-256 of its raw public key, so a verified id can't be another device's.
 */
export class DeviceVerifier {
  /** Reading a key costs more than a check with it. */
  readonly #keys = new Map<string, KeyObject>();

  /** The id of the device that signed. Throws a {@link ConnectRefusal} that says which part is wrong. */
  verify(params: ConnectParams, { nonce, nowMs }: { nonce: string; nowMs: number }): string {
    const { device } = params;
    if (!device) throw new ConnectRefusal('NOT_PAIRED', 'device identity required');
    const key = this.#key(device.id, device.publicKey);
    if (!key) throw refusal('DEVICE_AUTH_DEVICE_ID_MISMATCH', 'device-id-mismatch', 'device identity mismatch');
    if (Math.abs(nowMs - device.signedAt) > maxSkewMs) {
      throw refusal('DEVICE_AUTH_SIGNATURE_EXPIRED', 'device-signature-stale', 'device signature expired');
    }
    if (!device.nonce?.trim())
      throw refusal('DEVICE_AUTH_NONCE_REQUIRED', 'device-nonce-missing', 'device nonce required');
    if (device.nonce !== nonce)
      throw refusal('DEVICE_AUTH_NONCE_MISMATCH', 'device-nonce-mismatch', 'device nonce mismatch');
    const signature = Buffer.from(device.signature, 'base64url');
    const isSigned = [devicePayload('v3', params), devicePayload('v2', params)].some((payload) =>
      verify(null, Buffer.from(payload), key, signature),
    );
    if (!isSigned) throw refusal('DEVICE_AUTH_SIGNATURE_INVALID', 'device-signature', 'device signature invalid');
    return device.id;
  }

  /** The key, if it is one and `id` is its hash. */
  #key(id: string, publicKey: string): KeyObject | undefined {
    const name = `${id} ${publicKey}`;
    const cached = this.#keys.get(name);
    if (cached) return cached;
    const raw = Buffer.from(publicKey, 'base64url');
    if (raw.length !== 32 || createHash('sha256').update(raw).digest('hex') !== id) return undefined;
    let key: KeyObject;
    try {
      key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') }, format: 'jwk' });
    } catch {
      return undefined;
    }
    if (this.#keys.size >= maxCachedKeys) this.#keys.clear();
    this.#keys.set(name, key);
    return key;
  }
}

/** The text that a device signs. v3 also covers the platform and the family. */
export function devicePayload(version: 'v2' | 'v3', { client, role, scopes, device, auth }: ConnectParams): string {
  const fields = [
    version,
    device?.id,
    client.id,
    client.mode,
    role ?? 'operator',
    (scopes ?? []).join(','),
    String(device?.signedAt),
    auth?.token ?? auth?.deviceToken ?? auth?.bootstrapToken ?? '',
    device?.nonce,
  ];
  if (version === 'v3') fields.push(normalized(client.platform), normalized(client.deviceFamily));
  return fields.join('|');
}

function normalized(text: string | undefined): string {
  return (text ?? '').trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function refusal(
  code:
    | 'DEVICE_AUTH_DEVICE_ID_MISMATCH'
    | 'DEVICE_AUTH_SIGNATURE_EXPIRED'
    | 'DEVICE_AUTH_NONCE_REQUIRED'
    | 'DEVICE_AUTH_NONCE_MISMATCH'
    | 'DEVICE_AUTH_SIGNATURE_INVALID',
  reason: string,
  message: string,
): ConnectRefusal {
  return new ConnectRefusal('INVALID_REQUEST', message, { details: { code, reason } });
}
