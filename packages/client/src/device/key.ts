import { GatewayError } from '@openclaw/protocol/wire';
import type { DeviceIdentity } from '../device.ts';
import type { DeviceRecord } from './store.ts';

const algorithm = 'Ed25519';
/** How a key is kept. */
export type StoredKey = NonNullable<DeviceRecord['key']>;

/** A key that signs; or why there is none, in words. */
export type KeyOrReason = DeviceIdentity | string;

/** A new key as it is kept, or why there is none. Its private part can be read out only where it has to be kept as text. */
export async function makeKey(subtle: SubtleCrypto | undefined, keepsKeys: boolean): Promise<StoredKey | string> {
  if (!subtle) return noCrypto;
  let pair: CryptoKeyPair;
  try {
    pair = (await subtle.generateKey(algorithm, !keepsKeys, ['sign', 'verify'])) as CryptoKeyPair;
  } catch {
    return noEd25519;
  }
  const publicKey = toBase64Url(await subtle.exportKey('raw', pair.publicKey));
  const privateKey = keepsKeys ? pair.privateKey : toBase64Url(await subtle.exportKey('pkcs8', pair.privateKey));
  return { publicKey, privateKey };
}

/** The key that was kept. Rejects with `UNAVAILABLE` when what was kept is none. */
export async function importPrivateKey(subtle: SubtleCrypto | undefined, kept: StoredKey): Promise<KeyOrReason> {
  if (!subtle) return noCrypto;
  const { privateKey, publicKey } = kept;
  try {
    const key =
      typeof privateKey === 'string'
        ? await subtle.importKey('pkcs8', fromBase64Url(privateKey), algorithm, false, ['sign'])
        : privateKey;
    return await signing(subtle, key, publicKey);
  } catch (cause) {
    if ((cause as { name?: unknown }).name === 'NotSupportedError') return noEd25519;
    throw new GatewayError('UNAVAILABLE', 'The key in the device store is none; delete it to pair this device anew.');
  }
}

async function signing(subtle: SubtleCrypto, key: CryptoKey, publicKey: string): Promise<DeviceIdentity> {
  const digest = await subtle.digest('SHA-256', fromBase64Url(publicKey));
  return {
    id: [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
    publicKey,
    sign: async (payload) => toBase64Url(await subtle.sign(algorithm, key, new TextEncoder().encode(payload))),
  };
}

const noCrypto = 'this platform has no WebCrypto; in a browser, only pages of https:// and localhost have it.';
const noEd25519 = 'WebCrypto has no Ed25519 here; a newer browser or runtime has it.';

function toBase64Url(bytes: ArrayBuffer): string {
  const text = String.fromCharCode(...new Uint8Array(bytes));
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

function fromBase64Url(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
