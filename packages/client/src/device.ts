import type { ConnectParams } from '@openclaw/protocol';
import type { Notice } from './gateway.ts';

/** What a device has to prove itself for. */
export interface DeviceChallenge {
  /** The `connect` params that will be sent, without `device`. */
  params: ConnectParams;
  nonce: string;
  /** The clock of the gateway, in ms since 1970. */
  signedAt: number;
}

/**
 * Answers a challenge with the `device` field of `connect`, or with undefined to connect without one. Made by
 * `deviceIdentity` of `@openclaw/client/device`, by {@link deviceSigner}, or by the application.
 */
export interface DeviceSigner {
  (challenge: DeviceChallenge): Promise<ConnectParams['device']>;
  /**
   * Gives the keeper of the device's tokens for a role at the gateway at `url`; called once by each client. `notice` is told of
   * what works in part only. Without it, tokens live as long as the client.
   */
  attach?(url: string, notice: (notice: Notice) => void, role?: string): DeviceTokenKeeper;
}

/** Keeps the device token of one role at one gateway. */
export interface DeviceTokenKeeper {
  /** The token that was saved last. A rejection puts the attempt off. */
  load(): Promise<string | undefined>;
  /** Keeps a token in place of the one before; undefined drops it. Never throws. */
  save(token: string | undefined): void;
}

/** A device identity: an Ed25519 key pair that the application keeps. The private key never leaves `sign`. */
export interface DeviceIdentity {
  /** SHA-256 of the raw 32-byte public key, lower-case hex. */
  id: string;
  /** The raw public key, base64url without padding. */
  publicKey: string;
  /** The Ed25519 signature over the UTF-8 bytes of `payload`, base64url without padding. */
  sign(payload: string): string | Promise<string>;
}

/** Signs challenges with a device identity, by the v3 payload of the protocol. */
export function deviceSigner({ id, publicKey, sign }: DeviceIdentity): DeviceSigner {
  return async ({ params, nonce, signedAt }) => {
    const { client, auth, role = 'operator', scopes = [] } = params;
    const token = auth?.token ?? auth?.deviceToken ?? auth?.bootstrapToken ?? '';
    const { id: clientId, mode, platform, deviceFamily = '' } = client;
    const fields = ['v3', id, clientId, mode, role, scopes.join(','), signedAt, token, nonce];
    const payload = [...fields, asciiLower(platform), asciiLower(deviceFamily)].join('|');
    return { id, publicKey, signature: await sign(payload), signedAt, nonce };
  };
}

function asciiLower(text: string): string {
  return text.trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
