import { allowsScope, type Clock, type OperatorScope, operatorScopes } from '@openclaw/protocol';
import type { AccessOptions } from './access-options.ts';
import { ConnectRefusal } from './connect-refusal.ts';
import type { CodeMaker, Credentials, TokenGrant } from './credentials.ts';
import { addressKey, FailedAttempts } from './failed-attempts.ts';
import type { ConnectionLimits } from './limits.ts';
import { isLoopbackAddress, type Remote } from './origin.ts';
import type { PairedDevice, PairedDevices } from './paired-devices.ts';
import type { Credential } from './peer.ts';
import type { SharedSecret } from './shared-secret.ts';

/** What a client showed, as it gave it. */
export interface GivenCredentials {
  token?: string | undefined;
  password?: string | undefined;
  deviceToken?: string | undefined;
  bootstrapToken?: string | undefined;
}

/** Who showed it. */
export interface Claimant {
  remote: Remote;
  /** The device whose signature was verified. */
  deviceId?: string | undefined;
  /** Take a device's token without its signature: over HTTP nobody signs. */
  allowUnsignedDevice?: boolean;
}

/** What a client proved. */
export type Proof =
  | { by: 'shared'; mark: string }
  | { by: 'none' }
  | { by: 'token'; hash: string; grant: TokenGrant }
  | { by: 'device'; deviceId: string; hash: string; device: PairedDevice }
  | { by: 'code'; code: string; scopes: readonly string[] }
  | { by: 'user'; name: string; proxy: string }
  | { by: 'tailscale'; login: string; proxy: string };

export interface ProverOptions {
  clock: Clock;
  /** The settings in use now. */
  access: () => AccessOptions;
  limits: () => ConnectionLimits;
  secret: SharedSecret;
  credentials: Credentials;
  devices: PairedDevices;
  /** Whether an address is a trusted proxy's now. */
  isProxy: (address: string) => boolean;
}

const tailscaleScopes: readonly OperatorScope[] = ['operator.read', 'operator.write', 'operator.approvals'];

/** Judges credentials, for WebSocket and HTTP alike, and slows down those who guess. */
export class Prover {
  readonly #options: ProverOptions;
  readonly #failures: FailedAttempts;

  constructor(options: ProverOptions) {
    this.#options = options;
    this.#failures = new FailedAttempts(options.clock, () => {
      const { failedAuthPerMinute, failedAuthBlockMs, failedAuthMaxBlockMs } = options.limits();
      return { perMinute: failedAuthPerMinute, blockMs: failedAuthBlockMs, maxBlockMs: failedAuthMaxBlockMs };
    });
  }

  /**
   * What was proved; undefined when nothing was, which counts as a failure. At once where nothing slow has to be computed
   * or asked. Throws or rejects with a {@link ConnectRefusal} for whom has to wait, and for a name that is not confirmed.
   */
  prove(given: GivenCredentials, claimant: Claimant): Proof | undefined | Promise<Proof | undefined> {
    const keys = keysOf(claimant);
    const waitMs = this.#failures.waitMs(keys);
    if (waitMs !== undefined) throw rateLimited(waitMs);
    const proof = this.#proveNow(given, claimant) ?? this.#proveSlowly(given, claimant);
    return proof instanceof Promise
      ? proof.then(
          (settled) => this.#settled(settled, keys),
          (error: unknown) => {
            // That nobody could be asked is not the client's fault.
            const isRefused = error instanceof ConnectRefusal && error.details?.code !== 'AUTH_TAILSCALE_WHOIS_FAILED';
            if (isRefused) this.#failures.note(keys);
            throw error;
          },
        )
      : this.#settled(proof, keys);
  }

  /** The scopes that a credential allows at most; undefined when it is not valid any more. */
  allowed(credential: Credential): readonly string[] | undefined {
    const { access, secret, credentials } = this.#options;
    const { auth, tailscale } = access();
    switch (credential.kind) {
      case 'shared':
        return secret.isInUse(credential.mark) ? operatorScopes : undefined;
      case 'none':
        return auth.mode === 'none' ? operatorScopes : undefined;
      case 'token':
        return credentials.grantOf(credential.hash)?.scopes;
      case 'device':
        return this.#deviceScopes(credential);
      case 'code':
        return operatorScopes;
      case 'user':
        return auth.mode === 'trusted-proxy' &&
          this.#isBelieved(credential.proxy) &&
          isListed(auth.allowUsers, credential.name)
          ? operatorScopes
          : undefined;
      case 'tailscale':
        return tailscale &&
          (isLoopbackAddress(credential.proxy) || this.#isBelieved(credential.proxy)) &&
          isListed(lowerCase(tailscale.allowLogins), credential.login.toLowerCase())
          ? (tailscale.scopes ?? tailscaleScopes)
          : undefined;
    }
  }

  /** Whether a proxy may say who somebody is. A device's token names none: it rests on the user alone. */
  #isBelieved(proxy: string | undefined): boolean {
    return proxy === undefined || this.#options.isProxy(proxy);
  }

  /** What a device was approved for, as long as the token is one of its own and what it was given on is valid. */
  #deviceScopes({ deviceId, hash }: Extract<Credential, { kind: 'device' }>): readonly string[] | undefined {
    const { devices } = this.#options;
    const through = devices.tokenOf(deviceId, hash)?.through;
    if (through && !this.allowed(through)) return undefined;
    return devices.hasTokenHash(deviceId, hash) ? devices.get(deviceId)?.scopes : undefined;
  }

  /** Whether the maker of a code still has what the code grants. */
  #isCovered(scopes: readonly string[], { credential, deviceId }: CodeMaker): boolean {
    const covers = (held: readonly string[] | undefined) =>
      held !== undefined && scopes.every((scope) => allowsScope(new Set(held), scope as OperatorScope));
    if (credential && !covers(this.allowed(credential))) return false;
    return (
      deviceId === undefined || credential?.kind === 'token' || covers(this.#options.devices.get(deviceId)?.scopes)
    );
  }

  /**
   * Only who could do everything anyway clears what it failed before: whoever holds a lesser token must not guess on for
   * more between showing it.
   */
  #settled(proof: Proof | undefined, keys: readonly string[]): Proof | undefined {
    if (!proof) this.#failures.note(keys);
    else if (proof.by !== 'code' && this.allowed(credentialOf(proof))?.includes('operator.admin'))
      this.#failures.clear(keys);
    return proof;
  }

  #proveNow(given: GivenCredentials, { remote, deviceId, allowUnsignedDevice }: Claimant): Proof | undefined {
    const { access, secret, credentials, devices } = this.#options;
    const mark = secret.matchPlain(texts(given.token, given.password));
    if (mark !== undefined) return { by: 'shared', mark };
    for (const token of texts(given.deviceToken, given.token)) {
      const verified = credentials.verify(token);
      if (verified) return { by: 'token', ...verified };
      const found = allowUnsignedDevice ? devices.findByToken(token) : devices.findOwn(deviceId, token);
      if (found && this.#deviceScopes({ kind: 'device', ...found })) return { by: 'device', ...found };
    }
    const code = given.bootstrapToken;
    const scopes = code ? credentials.codeScopes(code) : undefined;
    if (code && scopes && this.#isCovered(scopes, credentials.codeMaker(code) ?? {}))
      return { by: 'code', code, scopes };
    return access().auth.mode === 'none' && remote.isLoopback ? { by: 'none' } : undefined;
  }

  #proveSlowly(given: GivenCredentials, { remote }: Claimant): Proof | undefined | Promise<Proof | undefined> {
    const { secret } = this.#options;
    const secrets = texts(given.password, given.token);
    if (secrets.length > 0) {
      const mark = secret.matchHashed(secrets);
      if (mark instanceof Promise) return mark.then((found) => (found === undefined ? undefined : shared(found)));
      return mark === undefined ? undefined : shared(mark);
    }
    // Only for those who bring nothing else: a wrong secret beside a right name must not be a free guess.
    return remote
      .identify?.()
      .then(({ kind, name, proxy }) =>
        kind === 'proxy' ? { by: 'user', name, proxy } : { by: 'tailscale', login: name, proxy },
      );
  }
}

/** Who the ledger keeps requests for (S18), by what was proved. */
export function principalOf(proof: Exclude<Proof, { by: 'code' }>): string {
  switch (proof.by) {
    case 'shared':
    case 'none':
      return `token:${proof.by}`;
    case 'token':
      return proof.grant.role === 'operator'
        ? `token:${proof.grant.id}`
        : `token:${proof.grant.role}/${proof.grant.id}`;
    case 'device':
      return `device:${proof.deviceId}`;
    case 'user':
      return `user:${proof.name}`;
    case 'tailscale':
      return `user:${proof.login}`;
  }
}

/** What is to be remembered of a proof, so that it can be looked at again. */
export function credentialOf(proof: Proof): Credential {
  switch (proof.by) {
    case 'shared':
      return { kind: 'shared', mark: proof.mark };
    case 'token':
      return { kind: 'token', hash: proof.hash };
    case 'device':
      return { kind: 'device', deviceId: proof.deviceId, hash: proof.hash };
    case 'user':
      return { kind: 'user', name: proof.name, proxy: proof.proxy };
    case 'tailscale':
      return { kind: 'tailscale', login: proof.login, proxy: proof.proxy };
    case 'none':
    case 'code':
      return { kind: proof.by };
  }
}

/** The refusal of someone who has to wait. */
export function rateLimited(waitMs: number): ConnectRefusal {
  return new ConnectRefusal('INVALID_REQUEST', 'unauthorized: too many failed attempts (retry later)', {
    retryAfterMs: Math.ceil(waitMs),
    details: {
      code: 'AUTH_RATE_LIMITED',
      authReason: 'rate_limited',
      canRetryWithDeviceToken: false,
      recommendedNextStep: 'wait_then_retry',
    },
  });
}

/**
 * What failures are counted by. The machine's own programs can't be told apart by address; one that is set up wrongly must
 * not lock out the others. A device counts everywhere: its signature was verified.
 */
function keysOf({ remote, deviceId }: Claimant): string[] {
  const address = remote.isLoopback ? [] : [addressKey(remote.address)];
  return deviceId === undefined ? address : [...address, `device:${deviceId}`];
}

function shared(mark: string): Proof {
  return { by: 'shared', mark };
}

function isListed(list: readonly string[] | undefined, name: string): boolean {
  return list === undefined || list.includes(name);
}

/** Tailscale's logins are compared as mail addresses are. */
function lowerCase(logins: readonly string[] | undefined): readonly string[] | undefined {
  return logins?.map((login) => login.toLowerCase());
}

function texts(...given: (string | undefined)[]): string[] {
  return given.filter((text): text is string => text !== undefined && text !== '');
}
