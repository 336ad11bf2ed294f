import { allowsScope, type Clock, type ConnectParams, GatewayError, type PairingRequest } from '@openclaw/protocol';
import type { Documents } from '../streams/documents.ts';
import { shownWords } from './connect-params.ts';
import { hashSecret, randomToken } from './credentials.ts';
import type { Credential } from './peer.ts';

/** A device that was let in before, as it is kept. */
export interface PairedDevice {
  publicKey: string;
  clientId: string;
  platform?: string;
  deviceFamily?: string;
  /** What people call it. */
  label?: string;
  scopes: string[];
  /** Hashes of its tokens, newest last. A new token leaves older ones valid: an answer that got lost must lock no one out. */
  tokens: { hash: string; issuedAtMs: number; through?: Voucher }[];
  pairedAtMs: number;
  approvedVia: 'silent' | 'code' | 'operator';
  /** When it connected last, to the hour. */
  lastSeenAtMs?: number;
}

/**
 * What a token was given on where that is nothing the device holds itself: the word of a proxy, or that nobody was asked. The
 * token is good as long as that would be.
 */
export type Voucher = Extract<Credential, { kind: 'user' | 'tailscale' | 'none' }>;

/** A device that showed one of its tokens. */
export interface FoundDevice {
  deviceId: string;
  device: PairedDevice;
  /** Of the token. */
  hash: string;
}

/** A token of a device, as it is told to it. */
export interface DeviceToken {
  deviceToken: string;
  issuedAtMs: number;
}

const deviceKind = 'device';
const maxTokensPerDevice = 4;
const maxRememberedTokens = 4_096;
const hourMs = 3_600_000;

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

  /** All of them, oldest first. */
  list(): [deviceId: string, device: PairedDevice][] {
    return this.#documents
      .entries<PairedDevice>(deviceKind)
      .sort(([, one], [, other]) => one.pairedAtMs - other.pairedAtMs);
  }

  hasTokenHash(deviceId: string, hash: string): boolean {
    return this.tokenOf(deviceId, hash) !== undefined;
  }

  /** What is kept of the token with this hash. */
  tokenOf(deviceId: string, hash: string): PairedDevice['tokens'][number] | undefined {
    return this.get(deviceId)?.tokens.find((known) => known.hash === hash);
  }

  /** The device, if the token is one of its own. */
  findOwn(deviceId: string | undefined, token: string): FoundDevice | undefined {
    const device = deviceId === undefined ? undefined : this.get(deviceId);
    const hash = hashSecret(token);
    if (deviceId === undefined || !device || !this.hasTokenHash(deviceId, hash)) return undefined;
    return { deviceId, device, hash };
  }

  /** The device whose token it is, where it doesn't say itself which one it is. */
  findByToken(token: string): FoundDevice | undefined {
    const hash = hashSecret(token);
    for (const [deviceId, device] of this.#documents.entries<PairedDevice>(deviceKind)) {
      if (device.tokens.some((known) => known.hash === hash)) return { deviceId, device, hash };
    }
    return undefined;
  }

  /**
   * Lets a verified device in with these scopes beside those it had, and gives a token for it: the one of this process when
   * its scopes did not grow and it was given on the same, else a new one.
   */
  pair(
    params: ConnectParams,
    scopes: readonly string[],
    approvedVia: PairedDevice['approvedVia'],
    through?: Voucher,
  ): DeviceToken {
    const deviceId = params.device!.id;
    const known = this.get(deviceId);
    const isWider = !known || !coversScopes(known, scopes);
    const remembered = this.#issued.get(deviceId);
    const kept = remembered && this.tokenOf(deviceId, hashSecret(remembered.deviceToken));
    if (known && !isWider && remembered && kept && isSameVoucher(kept.through, through)) {
      this.noteClient(params);
      return remembered;
    }
    const { token, record } = this.#newToken(through);
    this.#documents.set(deviceKind, deviceId, {
      ...clientFacts(params),
      ...labelOf(known, params),
      publicKey: params.device!.publicKey,
      scopes: union(known?.scopes, scopes),
      tokens: [...(known?.tokens ?? []), record].slice(-maxTokensPerDevice),
      pairedAtMs: known?.pairedAtMs ?? token.issuedAtMs,
      approvedVia: known?.approvedVia ?? approvedVia,
      lastSeenAtMs: this.#hour(),
    } satisfies PairedDevice);
    this.#remember(deviceId, token);
    return token;
  }

  /** Lets a device in as an operator decided: it gets its token when it connects next. What it has stays valid. */
  approve(request: PairingRequest, scopes: readonly string[]): PairedDevice {
    const known = this.get(request.deviceId);
    const { platform = known?.platform, deviceFamily = known?.deviceFamily } = request;
    const label = known?.label ?? request.displayName;
    const device: PairedDevice = {
      clientId: request.clientId ?? known?.clientId ?? 'unknown',
      ...(platform === undefined ? {} : { platform }),
      ...(deviceFamily === undefined ? {} : { deviceFamily }),
      ...(label === undefined ? {} : { label }),
      publicKey: request.publicKey,
      scopes: union(known?.scopes, scopes),
      tokens: known?.tokens ?? [],
      pairedAtMs: known?.pairedAtMs ?? this.#clock.now(),
      approvedVia: known?.approvedVia ?? 'operator',
      ...(known?.lastSeenAtMs === undefined ? {} : { lastSeenAtMs: known.lastSeenAtMs }),
    };
    this.#documents.set(deviceKind, request.deviceId, device);
    return device;
  }

  /** Forgets a device and its tokens. Throws `INVALID_REQUEST` for one that is not known. */
  remove(deviceId: string): void {
    this.require(deviceId);
    this.#issued.delete(deviceId);
    this.#documents.set(deviceKind, deviceId, undefined);
  }

  /** Gives it a name. Throws `INVALID_REQUEST` for a device that is not known. */
  rename(deviceId: string, label: string): PairedDevice {
    return this.#replace(deviceId, { ...this.require(deviceId), label });
  }

  /** Replaces its tokens by a new one, and its scopes by fewer. Throws `INVALID_REQUEST` for a device that is not known. */
  rotate(deviceId: string, scopes?: readonly string[]): { device: PairedDevice; token: DeviceToken } {
    const known = this.require(deviceId);
    const { token, record } = this.#newToken(known.tokens.at(-1)?.through);
    const device = this.#replace(deviceId, { ...known, tokens: [record], scopes: [...(scopes ?? known.scopes)] });
    this.#remember(deviceId, token);
    return { device, token };
  }

  /** Makes its tokens invalid. Throws `INVALID_REQUEST` for a device that is not known. */
  revokeTokens(deviceId: string): void {
    const known = this.require(deviceId);
    this.#issued.delete(deviceId);
    this.#replace(deviceId, { ...known, tokens: [] });
  }

  /** The device; throws `INVALID_REQUEST` for one that is not known. */
  require(deviceId: string): PairedDevice {
    const known = this.get(deviceId);
    if (known) return known;
    throw new GatewayError(
      'INVALID_REQUEST',
      'unknown deviceId: no such device is paired; device.pair.list tells which.',
    );
  }

  /** Keeps what a known device says about itself now. The key is the identity: a new platform is no new device. */
  noteClient(params: ConnectParams): void {
    const deviceId = params.device!.id;
    const known = this.get(deviceId);
    if (!known) return;
    const { clientId, platform, deviceFamily, lastSeenAtMs, ...rest } = known;
    const facts = clientFacts(params);
    const seenAtMs = this.#hour();
    const isSame = facts.clientId === clientId && facts.platform === platform && facts.deviceFamily === deviceFamily;
    if (isSame && seenAtMs === lastSeenAtMs) return;
    const noted: PairedDevice = { ...rest, ...facts, lastSeenAtMs: seenAtMs };
    this.#documents.set(deviceKind, deviceId, noted, { durable: false });
  }

  #replace(deviceId: string, device: PairedDevice): PairedDevice {
    this.#documents.set(deviceKind, deviceId, device);
    return device;
  }

  #newToken(through: Voucher | undefined): { token: DeviceToken; record: PairedDevice['tokens'][number] } {
    const token: DeviceToken = { deviceToken: randomToken(), issuedAtMs: this.#clock.now() };
    const { deviceToken, issuedAtMs } = token;
    return { token, record: { hash: hashSecret(deviceToken), issuedAtMs, ...(through ? { through } : {}) } };
  }

  #remember(deviceId: string, token: DeviceToken): void {
    if (this.#issued.size >= maxRememberedTokens) this.#issued.clear();
    this.#issued.set(deviceId, token);
  }

  /** When something is noted about coming by: an hour is near enough, and costs one write an hour. */
  #hour(): number {
    const nowMs = this.#clock.now();
    return nowMs - (nowMs % hourMs);
  }
}

/** Whether a device was let in with all of these scopes. */
export function coversScopes(device: PairedDevice, scopes: readonly string[]): boolean {
  const approved = new Set(device.scopes);
  return scopes.every((scope) => allowsScope(approved, scope as Parameters<typeof allowsScope>[1]));
}

/** What a token that is given on a credential rests on; undefined where the device, or a person, answers for itself. */
export function voucherOf(credential: Credential): Voucher | undefined {
  switch (credential.kind) {
    case 'user':
      return { kind: 'user', name: credential.name };
    case 'tailscale':
      return { kind: 'tailscale', login: credential.login };
    case 'none':
      return { kind: 'none' };
    default:
      return undefined;
  }
}

function isSameVoucher(one: Voucher | undefined, other: Voucher | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function union(known: readonly string[] = [], scopes: readonly string[]): string[] {
  return [...new Set([...known, ...scopes])];
}

function labelOf(known: PairedDevice | undefined, { client }: ConnectParams): Pick<PairedDevice, 'label'> {
  const label = known?.label ?? shownWords(client.displayName ?? '');
  return label ? { label } : {};
}

function clientFacts({ client }: ConnectParams): Pick<PairedDevice, 'clientId' | 'platform' | 'deviceFamily'> {
  const [platform, deviceFamily] = [shownWords(client.platform), shownWords(client.deviceFamily ?? '')];
  return {
    clientId: client.id,
    ...(platform ? { platform } : {}),
    ...(deviceFamily ? { deviceFamily } : {}),
  };
}
