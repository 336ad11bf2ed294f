import { allowsScope, type Clock, type ConnectParams, type OperatorScope } from '@openclaw/protocol';
import type { Documents } from '../streams/documents.ts';
import { hashSecret, randomToken } from './credentials.ts';

/** A device that was let in before, as it is kept. */
export interface PairedDevice {
  publicKey: string;
  clientId: string;
  platform?: string;
  deviceFamily?: string;
  scopes: string[];
  /** Hashes of its tokens, newest last. A new token leaves older ones valid: an answer that got lost must lock no one out. */
  tokens: { hash: string; issuedAtMs: number }[];
  pairedAtMs: number;
  approvedVia: 'silent' | 'code';
}

/** A token of a device, as it is told to it. */
export interface DeviceToken {
  deviceToken: string;
  issuedAtMs: number;
}

const deviceKind = 'device';
const maxTokensPerDevice = 4;
const maxRememberedTokens = 4_096;

/** The devices that were let in, and their tokens. Changes are part of this tick's commit. */
export class PairedDevices {
  readonly #documents: Documents;
  readonly #clock: Clock;
  /** Tokens of this process, so that a device that connects again with the shared token gets the one it knows. */
  readonly #issued = new Map<string, DeviceToken>();

  constructor({ documents, clock }: { documents: Documents; clock: Clock }) {
    this.#documents = documents;
    this.#clock = clock;
  }

  get(deviceId: string): PairedDevice | undefined {
    return this.#documents.get<PairedDevice>(deviceKind, deviceId);
  }

  /** Whether `token` is one of the device's. */
  isToken(deviceId: string, token: string): boolean {
    const hash = hashSecret(token);
    return this.get(deviceId)?.tokens.some((known) => known.hash === hash) ?? false;
  }

  /**
   * Lets a verified device in with these scopes beside those it had, and gives a token for it: the one of this process when
   * its scopes did not grow, else a new one.
   */
  pair(params: ConnectParams, scopes: readonly OperatorScope[], approvedVia: PairedDevice['approvedVia']): DeviceToken {
    const deviceId = params.device!.id;
    const known = this.get(deviceId);
    const isWider = !known || !coversScopes(known, scopes);
    const remembered = this.#issued.get(deviceId);
    if (known && !isWider && remembered && this.isToken(deviceId, remembered.deviceToken)) {
      this.noteClient(params);
      return remembered;
    }
    const token: DeviceToken = { deviceToken: randomToken(), issuedAtMs: this.#clock.now() };
    const record = { hash: hashSecret(token.deviceToken), issuedAtMs: token.issuedAtMs };
    this.#documents.set(deviceKind, deviceId, {
      ...clientFacts(params),
      publicKey: params.device!.publicKey,
      scopes: [...new Set([...(known?.scopes ?? []), ...scopes])],
      tokens: [...(known?.tokens ?? []), record].slice(-maxTokensPerDevice),
      pairedAtMs: known?.pairedAtMs ?? token.issuedAtMs,
      approvedVia: known?.approvedVia ?? approvedVia,
    } satisfies PairedDevice);
    if (this.#issued.size >= maxRememberedTokens) this.#issued.clear();
    this.#issued.set(deviceId, token);
    return token;
  }

  /** Keeps what a known device says about itself now. The key is the identity: a new platform is no new device. */
  noteClient(params: ConnectParams): void {
    const deviceId = params.device!.id;
    const known = this.get(deviceId);
    if (!known) return;
    const { clientId, platform, deviceFamily, ...rest } = known;
    const facts = clientFacts(params);
    if (facts.clientId === clientId && facts.platform === platform && facts.deviceFamily === deviceFamily) return;
    this.#documents.set(deviceKind, deviceId, { ...rest, ...facts } satisfies PairedDevice, { durable: false });
  }
}

/** Whether a device was let in with all of these scopes. */
export function coversScopes(device: PairedDevice, scopes: readonly OperatorScope[]): boolean {
  const approved = new Set(device.scopes);
  return scopes.every((scope) => allowsScope(approved, scope));
}

function clientFacts({ client }: ConnectParams): Pick<PairedDevice, 'clientId' | 'platform' | 'deviceFamily'> {
  return {
    clientId: client.id,
    platform: client.platform,
    ...(client.deviceFamily ? { deviceFamily: client.deviceFamily } : {}),
  };
}
