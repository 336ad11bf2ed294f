import {
  allowsScope,
  type Clock,
  CloseCode,
  type ConnectParams,
  type OperatorScope,
  operatorScopes,
} from '@openclaw/protocol';
import type { AccessOptions } from './access-options.ts';
import type { Sitter } from './admission.ts';
import { assertBrowserRules, assertRole, hasStreams, parseConnect } from './connect-params.ts';
import { authRefusal, ConnectRefusal } from './connect-refusal.ts';
import { credentialRefusal, usedCode } from './credential-refusal.ts';
import { type Credentials, hashSecret, tokenIdOf } from './credentials.ts';
import { DeviceVerifier } from './device.ts';
import type { AccessNote } from './host.ts';
import type { OriginVerdict, Remote } from './origin.ts';
import { coversScopes, type DeviceToken, type PairedDevices, voucherOf } from './paired-devices.ts';
import type { Pairing } from './pairing.ts';
import type { PairingDesk } from './pairing-desk.ts';
import type { Credential, Identity } from './peer.ts';
import { credentialOf, type Proof, type Prover, principalOf } from './proof.ts';

/** What is known of a socket beside what its `connect` says. */
export interface ConnectFacts {
  nonce: string;
  remote: Remote;
  origin: OriginVerdict;
  /** Whether it is still there: where a check takes a while, whoever left is not let in. Default yes. */
  isOpen?: () => boolean;
  /** Throws a {@link ConnectRefusal} when there is no room for one more of this principal or device. Default: there is. */
  assertSeat?: (who: Sitter) => void;
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
  /** The settings in use now. */
  access: () => AccessOptions;
  prover: Prover;
  credentials: Credentials;
  devices: PairedDevices;
  pairing: Pairing;
  desk: PairingDesk;
  clock: Clock;
  phase: () => 'starting' | 'ready' | 'draining';
  note: (entry: AccessNote) => void;
}

/** A `connect` whose params were checked and whose device's signature was verified. */
interface Claim extends Pick<ConnectFacts, 'remote' | 'assertSeat'> {
  params: ConnectParams;
  role: 'operator' | 'agent' | 'channel';
  deviceId: string | undefined;
}

/** v4's test programs: let in to look, with nothing they could do. */
const scopelessClients: ReadonlySet<string> = new Set(['test', 'openclaw-probe']);

/** Decides about `connect`: who is it, how was that proved, and what may it do. */
export class Handshake {
  readonly #options: HandshakeOptions;
  readonly #verifier = new DeviceVerifier();

  constructor(options: HandshakeOptions) {
    this.#options = options;
  }

  /**
   * Lets a client in, or throws or rejects with a {@link ConnectRefusal}; at once where nothing slow has to be computed or
   * asked. May change documents (a device paired, a code used up, a request to be paired): answer after the tick's commit.
   */
  authorize(rawParams: unknown, facts: ConnectFacts): Grant | Promise<Grant> {
    const { nonce, remote, origin, isOpen = () => true, assertSeat } = facts;
    const params = parseConnect(rawParams);
    this.#assertReady(params);
    const role = assertRole(params);
    assertBrowserRules(params, origin);
    const { clock, prover } = this.#options;
    const deviceId = params.device ? this.#verifier.verify(params, { nonce, nowMs: clock.now() }) : undefined;
    const claim: Claim = { params, role, deviceId, remote, ...(assertSeat ? { assertSeat } : {}) };
    const proof = prover.prove(params.auth ?? {}, { remote, deviceId });
    if (!(proof instanceof Promise)) return this.#settle(claim, proof);
    return proof.then((settled) => {
      if (!isOpen()) throw new ConnectRefusal('UNAVAILABLE', 'the connection was closed before it was let in');
      // The world went on meanwhile.
      this.#assertReady(params);
      const isRevoked = settled && prover.allowed(credentialOf(settled)) === undefined;
      return this.#settle(claim, isRevoked ? undefined : settled);
    });
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

  #settle(claim: Claim, proof: Proof | undefined): Grant {
    const { params, role, deviceId } = claim;
    const { access, devices } = this.#options;
    if (!proof) {
      const isPaired = deviceId !== undefined && devices.get(deviceId) !== undefined;
      throw credentialRefusal(params, { mode: access().auth.mode, isPaired });
    }
    if (role !== 'operator') return narrowGrant(params, role, proof);
    if (proof.by === 'token' && proof.grant.role !== 'operator') {
      throw authRefusal('AUTH_TOKEN_MISMATCH', `this token is for role ${proof.grant.role}; connect with that role`);
    }
    const scopes = this.#grantedScopes(params, proof);
    // Before anything is used up; whoever has only a code and no device becomes a principal of its own.
    if (proof.by !== 'code' || deviceId !== undefined) {
      claim.assertSeat?.({
        principal: proof.by === 'code' ? '' : principalOf(proof),
        ...(deviceId ? { deviceId } : {}),
      });
    }
    const { principal, token, credential } = this.#settleDevice(claim, proof, scopes);
    return {
      params,
      hasStreams: hasStreams(params),
      identity: {
        role: 'operator',
        id: '',
        scopes: new Set(scopes),
        principal: deviceId ? `device:${deviceId}` : principal,
        ...(deviceId ? { deviceId } : {}),
        credential,
        isLocal: false,
      },
      ...(token ? { deviceToken: token } : {}),
    };
  }

  /** What it asked for and may have. */
  #grantedScopes(params: ConnectParams, proof: Proof): OperatorScope[] {
    const asked = operatorScopes.filter((scope) => params.scopes?.includes(scope));
    if (proof.by === 'device') {
      if (coversScopes(proof.device, asked)) return asked;
      throw scopeMismatch();
    }
    const isProbe = scopelessClients.has(params.client.id) || params.client.mode === 'probe';
    if ((proof.by === 'shared' || proof.by === 'none') && isProbe && !params.device) return [];
    const allowed = new Set(proof.by === 'code' ? proof.scopes : this.#options.prover.allowed(credentialOf(proof)));
    return asked.filter((scope) => allowsScope(allowed, scope));
  }

  /** Pairs the device or makes the page's token, where the proof allows that; names the credential's principal. */
  #settleDevice(
    { params, deviceId, remote }: Claim,
    proof: Proof,
    scopes: readonly OperatorScope[],
  ): { principal: string; credential: Credential; token?: DeviceToken } {
    const { devices, desk, note } = this.#options;
    const credential = credentialOf(proof);
    if (proof.by === 'code') return this.#redeem({ params, deviceId, remote }, proof, scopes);
    const principal = principalOf(proof);
    if (proof.by === 'device') devices.noteClient(params);
    if (proof.by === 'device' || proof.by === 'token' || deviceId === undefined) return { principal, credential };
    const known = devices.get(deviceId);
    const isCovered = known !== undefined && coversScopes(known, scopes);
    if (!isCovered && !remote.isLoopback) throw desk.ask(params, scopes, { known, remote });
    // A user who may do less than the device must not get a token that may do as much.
    const allowed = new Set(this.#options.prover.allowed(credential));
    if (known && exceeds(known.scopes, allowed)) {
      devices.noteClient(params);
      return { principal, credential };
    }
    const token = devices.pair(params, scopes, 'silent', voucherOf(credential));
    if (!isCovered) {
      this.#options.pairing.settleDevice(deviceId, 'approved');
      note({
        action: 'device.paired',
        actor: principal,
        target: deviceId,
        remoteIp: remote.address,
        reason: known ? 'asked for more on the gateway’s own machine' : 'came from the gateway’s own machine',
        scopes: [...scopes],
      });
    }
    return { principal, credential, token };
  }

  /** Uses a one-use code up: the last step, so that whoever is refused for another reason can try again with it. */
  #redeem(
    { params, deviceId, remote }: Pick<Claim, 'params' | 'deviceId' | 'remote'>,
    { code, scopes: allowed }: Extract<Proof, { by: 'code' }>,
    scopes: readonly OperatorScope[],
  ): { principal: string; credential: Credential; token: DeviceToken } {
    const { credentials, devices, pairing, note } = this.#options;
    if (!credentials.useCode(code)) throw usedCode();
    const used = {
      action: 'setup.used' as const,
      remoteIp: remote.address,
      reason: `by the code ${tokenIdOf(code)}`,
      scopes: [...scopes],
    };
    if (deviceId !== undefined) {
      const known = devices.get(deviceId);
      // Its own tokens were taken away: what it may do from now on is what the code says.
      const isAnew = known !== undefined && known.tokens.length === 0 && exceeds(known.scopes, new Set(allowed));
      if (isAnew) devices.noteClient(params);
      const token = isAnew ? devices.rotate(deviceId, scopes).token : devices.pair(params, scopes, 'code');
      pairing.settleDevice(deviceId, 'approved');
      note({ ...used, actor: `device:${deviceId}`, target: deviceId });
      return { principal: '', credential: { kind: 'code' }, token };
    }
    const made = credentials.createToken({ role: 'operator', id: credentials.pageId(), scopes: allowed });
    note({ ...used, actor: `token:${made.id}`, target: made.tokenId });
    return {
      principal: `token:${made.id}`,
      credential: { kind: 'token', hash: hashSecret(made.token) },
      token: { deviceToken: made.token, issuedAtMs: made.issuedAtMs },
    };
  }
}

/** Lets a local peer in: its params are checked, its identity is the one that the caller fixed. */
export function grantLocal(rawParams: unknown, identity: Identity): Grant {
  const params = parseConnect(rawParams);
  return { params, identity, hasStreams: hasStreams(params) };
}

/** An agent or a channel: exactly the one that its token names. */
function narrowGrant(params: ConnectParams, role: 'agent' | 'channel', proof: Proof): Grant {
  if (proof.by !== 'token' || proof.grant.role !== role) {
    throw authRefusal(
      'AUTH_TOKEN_MISMATCH',
      `role ${role} needs a token of its own (tokens.create with role ${role} and its id)`,
    );
  }
  const { grant } = proof;
  return {
    params,
    hasStreams: hasStreams(params),
    identity: {
      role,
      id: grant.id,
      scopes: new Set(grant.scopes),
      principal: principalOf(proof),
      credential: credentialOf(proof),
      isLocal: false,
    },
  };
}

/** Whether some of `scopes` are not allowed. */
function exceeds(scopes: readonly string[], allowed: ReadonlySet<string>): boolean {
  return scopes.some((scope) => !allowsScope(allowed, scope as OperatorScope));
}

function scopeMismatch(): ConnectRefusal {
  return new ConnectRefusal(
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
