import {
  allowsScope,
  type Clock,
  CloseCode,
  type ConnectParams,
  type OperatorScope,
  operatorScopes,
} from '@openclaw/protocol';
import type { AuthOptions } from './access-options.ts';
import { assertBrowserRules, assertRole, hasStreams, parseConnect } from './connect-params.ts';
import { authRefusal, ConnectRefusal } from './connect-refusal.ts';
import { type Credentials, isSharedSecret, type TokenGrant } from './credentials.ts';
import { DeviceVerifier } from './device.ts';
import { FailedAttempts } from './failed-attempts.ts';
import type { OriginVerdict, Remote } from './origin.ts';
import { coversScopes, type DeviceToken, type PairedDevice, type PairedDevices } from './paired-devices.ts';
import type { Identity } from './peer.ts';

/** What is known of a socket beside what its `connect` says. */
export interface ConnectFacts {
  nonce: string;
  remote: Remote;
  origin: OriginVerdict;
}

/** A `connect` that was let in. */
export interface Grant {
  identity: Identity;
  params: ConnectParams;
  hasStreams: boolean;
  /** A token that the client keeps, if one was made or is known. */
  deviceToken?: DeviceToken;
}

export interface HandshakeOptions {
  secret: AuthOptions;
  credentials: Credentials;
  devices: PairedDevices;
  clock: Clock;
  phase: () => 'starting' | 'ready' | 'draining';
}

/** What a client proved. */
type Proof =
  | { by: 'shared' }
  | { by: 'none' }
  | { by: 'token'; grant: TokenGrant }
  | { by: 'device'; device: PairedDevice }
  | { by: 'code'; scopes: readonly string[] };

/** v4's test programs: let in to look, with nothing they could do. */
const scopelessClients: ReadonlySet<string> = new Set(['test', 'openclaw-probe']);

/** Decides about `connect`: who is it, how was that proved, and what may it do. */
export class Handshake {
  readonly #options: HandshakeOptions;
  readonly #verifier = new DeviceVerifier();
  readonly #failures: FailedAttempts;

  constructor(options: HandshakeOptions) {
    this.#options = options;
    this.#failures = new FailedAttempts(options.clock);
  }

  /**
   * Lets a client in or throws a {@link ConnectRefusal}. May change documents (a device paired, a code used up): answer
   * after the tick's commit.
   */
  authorize(rawParams: unknown, facts: ConnectFacts): Grant {
    const params = parseConnect(rawParams);
    this.#assertReady(params);
    const role = assertRole(params);
    assertBrowserRules(params, facts.origin);
    const deviceId = params.device
      ? this.#verifier.verify(params, { nonce: facts.nonce, nowMs: this.#options.clock.now() })
      : undefined;
    const proof = this.#prove(params, facts.remote, deviceId);
    if (role === 'agent') return agentGrant(params, proof);
    if (proof.by === 'token' && proof.grant.role !== 'operator') {
      throw authRefusal('AUTH_TOKEN_MISMATCH', `this token is for role ${proof.grant.role}; connect with that role`);
    }
    const scopes = grantedScopes(params, proof);
    const deviceToken = this.#settleDevice(params, proof, scopes, facts.remote);
    return {
      params,
      hasStreams: hasStreams(params),
      identity: {
        role: 'operator',
        id: '',
        scopes: new Set(scopes),
        principal: deviceId ? `device:${deviceId}` : deviceToken.principal,
        ...(deviceId ? { deviceId } : {}),
        isLocal: false,
      },
      ...(deviceToken.token ? { deviceToken: deviceToken.token } : {}),
    };
  }

  #assertReady(params: ConnectParams): void {
    const phase = this.#options.phase();
    if (phase === 'ready') return;
    const isStarting = phase === 'starting';
    const [streamsCode, v4Code] = isStarting
      ? [CloseCode.starting, CloseCode.tryAgainLater]
      : [CloseCode.draining, CloseCode.serviceRestart];
    throw new ConnectRefusal('UNAVAILABLE', isStarting ? 'gateway starting' : 'gateway restarting', {
      closeCode: hasStreams(params) ? streamsCode : v4Code,
      closeReason: isStarting ? 'gateway starting' : 'service restart',
      retryAfterMs: isStarting ? 500 : 1_000,
      details: { reason: isStarting ? 'startup-sidecars' : 'gateway-restarting' },
    });
  }

  #prove(params: ConnectParams, remote: Remote, deviceId: string | undefined): Proof {
    const { secret, credentials, devices } = this.#options;
    const { token, password, deviceToken, bootstrapToken } = params.auth ?? {};
    // The machine's own programs can't be told apart by address; one that is set up wrongly must not lock out the others.
    const waitMs = remote.isLoopback ? undefined : this.#failures.waitMs(remote.address);
    if (waitMs !== undefined) throw rateLimited(waitMs);
    if (isSharedSecret(secret, token) || isSharedSecret(secret, password)) return { by: 'shared' };
    for (const given of [deviceToken, token]) {
      if (!given) continue;
      const grant = credentials.verifyToken(given);
      if (grant) return { by: 'token', grant };
      const device = deviceId === undefined ? undefined : devices.get(deviceId);
      if (deviceId !== undefined && device && devices.isToken(deviceId, given)) return { by: 'device', device };
    }
    if (bootstrapToken) {
      const scopes = credentials.redeemBootstrapCode(bootstrapToken);
      if (scopes) return { by: 'code', scopes };
    }
    if (secret.mode === 'none' && remote.isLoopback) return { by: 'none' };
    this.#failures.note(remote.address);
    throw this.#unproved(params, deviceId);
  }

  #unproved(params: ConnectParams, deviceId: string | undefined): ConnectRefusal {
    const { secret, devices } = this.#options;
    const { token, password, deviceToken, bootstrapToken } = params.auth ?? {};
    if (bootstrapToken && !token && !password && !deviceToken) {
      return authRefusal(
        'AUTH_BOOTSTRAP_TOKEN_INVALID',
        'the link was used or is too old; ask the gateway for a new one',
      );
    }
    if (token || (deviceToken && !password)) {
      if (!token)
        return authRefusal('AUTH_DEVICE_TOKEN_MISMATCH', 'device token mismatch (connect with the gateway token once)');
      if (secret.mode !== 'token') {
        return authRefusal('AUTH_TOKEN_NOT_CONFIGURED', `gateway token not configured (auth mode is ${secret.mode})`);
      }
      const canRetryWithDeviceToken = deviceId !== undefined && !deviceToken && devices.get(deviceId) !== undefined;
      return authRefusal(
        'AUTH_TOKEN_MISMATCH',
        'gateway token mismatch (use the token that the gateway was started with)',
        {
          canRetryWithDeviceToken,
        },
      );
    }
    if (password) {
      return authRefusal(
        'AUTH_PASSWORD_MISMATCH',
        'gateway password mismatch (use the password that the gateway was started with)',
      );
    }
    if (secret.mode === 'none') {
      return authRefusal('AUTH_REQUIRED', 'a gateway without auth takes connections from its own machine only');
    }
    if (deviceId === undefined) {
      return new ConnectRefusal('NOT_PAIRED', 'device identity required', {
        details: { code: 'DEVICE_IDENTITY_REQUIRED' },
      });
    }
    return secret.mode === 'token'
      ? authRefusal('AUTH_TOKEN_MISSING', 'gateway token missing (send it as auth.token)')
      : authRefusal('AUTH_PASSWORD_MISSING', 'gateway password missing (send it as auth.password)');
  }

  /** Pairs the device or makes the page's token, where the proof allows that; names the credential's principal. */
  #settleDevice(
    params: ConnectParams,
    proof: Proof,
    scopes: readonly OperatorScope[],
    remote: Remote,
  ): { principal: string; token?: DeviceToken } {
    const { devices, credentials } = this.#options;
    switch (proof.by) {
      case 'device':
        devices.noteClient(params);
        return { principal: '' };
      case 'token':
        return { principal: `token:${proof.grant.id}` };
      case 'code': {
        if (params.device) return { principal: '', token: devices.pair(params, scopes, 'code') };
        const made = credentials.createToken({ role: 'operator', id: credentials.pageId(), scopes: proof.scopes });
        return { principal: `token:${made.id}`, token: { deviceToken: made.token, issuedAtMs: made.issuedAtMs } };
      }
      case 'shared':
      case 'none': {
        const principal = `token:${proof.by}`;
        if (!params.device) return { principal };
        const known = devices.get(params.device.id);
        if (!remote.isLoopback && (!known || !coversScopes(known, scopes)))
          throw pairingRequired(params, known, scopes);
        return { principal, token: devices.pair(params, scopes, 'silent') };
      }
    }
  }
}

/** Lets a local peer in: its params are checked, its identity is the one that the caller fixed. */
export function grantLocal(rawParams: unknown, identity: Identity): Grant {
  const params = parseConnect(rawParams);
  return { params, identity, hasStreams: hasStreams(params) };
}

function grantedScopes(params: ConnectParams, proof: Proof): OperatorScope[] {
  const asked = operatorScopes.filter((scope) => params.scopes?.includes(scope));
  switch (proof.by) {
    case 'shared':
    case 'none': {
      const isProbe = scopelessClients.has(params.client.id) || params.client.mode === 'probe';
      return isProbe && !params.device ? [] : asked;
    }
    case 'token':
    case 'code': {
      const allowed = new Set(proof.by === 'token' ? proof.grant.scopes : proof.scopes);
      return asked.filter((scope) => allowsScope(allowed, scope));
    }
    case 'device': {
      if (coversScopes(proof.device, asked)) return asked;
      throw new ConnectRefusal(
        'INVALID_REQUEST',
        'unauthorized: scope mismatch (this device was approved for less; connect with the gateway token to widen it)',
        {
          details: {
            code: 'AUTH_SCOPE_MISMATCH',
            authReason: 'scope_mismatch',
            canRetryWithDeviceToken: false,
            recommendedNextStep: 'review_auth_configuration',
          },
        },
      );
    }
  }
}

function rateLimited(waitMs: number): ConnectRefusal {
  return new ConnectRefusal('INVALID_REQUEST', 'unauthorized: too many failed attempts (retry later)', {
    retryAfterMs: waitMs,
    details: {
      code: 'AUTH_RATE_LIMITED',
      authReason: 'rate_limited',
      canRetryWithDeviceToken: false,
      recommendedNextStep: 'wait_then_retry',
    },
  });
}

function agentGrant(params: ConnectParams, proof: Proof): Grant {
  if (proof.by !== 'token' || proof.grant.role !== 'agent') {
    throw authRefusal(
      'AUTH_TOKEN_MISMATCH',
      'role agent needs a token of its own (tokens.create with role agent and its id)',
    );
  }
  const { id, scopes } = proof.grant;
  return {
    params,
    hasStreams: hasStreams(params),
    identity: { role: 'agent', id, scopes: new Set(scopes), principal: `token:agent/${id}`, isLocal: false },
  };
}

function pairingRequired(
  params: ConnectParams,
  known: PairedDevice | undefined,
  scopes: readonly OperatorScope[],
): ConnectRefusal {
  const reason = known ? 'scope-upgrade' : 'not-paired';
  return new ConnectRefusal(
    'NOT_PAIRED',
    'pairing required: connect once from the gateway’s own machine with the gateway token',
    {
      details: {
        code: 'PAIRING_REQUIRED',
        reason,
        remediationHint: 'Connect from loopback with the shared token, or use a link with a one-use code.',
        deviceId: params.device?.id,
        requestedRole: 'operator',
        requestedScopes: scopes,
        approvedRoles: known ? ['operator'] : [],
        approvedScopes: known?.scopes ?? [],
      },
    },
  );
}
