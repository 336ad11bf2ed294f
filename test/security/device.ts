import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { ConnectParams } from '@openclaw/protocol';

/** A device with a key of its own, that signs as the protocol page says. */
export interface TestDevice {
  id: string;
  publicKey: string;
  privateKey: KeyObject;
}

export function makeDevice(): TestDevice {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(String(publicKey.export({ format: 'jwk' }).x), 'base64url');
  return { id: createHash('sha256').update(raw).digest('hex'), publicKey: raw.toString('base64url'), privateKey };
}

/** The params with the device's v3 signature over them. */
export function signed(
  params: ConnectParams,
  device: TestDevice,
  { nonce, signedAt }: { nonce: string; signedAt: number },
): ConnectParams {
  const { client, role, scopes, auth } = params;
  const payload = [
    'v3',
    device.id,
    client.id,
    client.mode,
    role ?? 'operator',
    (scopes ?? []).join(','),
    String(signedAt),
    auth?.token ?? auth?.deviceToken ?? auth?.bootstrapToken ?? '',
    nonce,
    normalised(client.platform),
    normalised(client.deviceFamily),
  ].join('|');
  const signature = sign(null, Buffer.from(payload), device.privateKey).toString('base64url');
  return { ...params, device: { id: device.id, publicKey: device.publicKey, signature, signedAt, nonce } };
}

function normalised(text: string | undefined): string {
  return (text ?? '').trim().toLowerCase();
}
