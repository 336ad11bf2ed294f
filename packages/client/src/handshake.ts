import type { HelloOk } from '@openclaw/protocol';
import {
  type Clock,
  type ConnectParams,
  type GatewayError,
  protocolVersion,
  streamsCapability,
} from '@openclaw/protocol/wire';
import type { ConnectOptions, Credential } from './connect-options.ts';
import type { IssuedCredentials } from './gateway.ts';

const clientVersion = '0.1.0';
const defaultScopes = ['operator.read', 'operator.write', 'operator.approvals'];
/** Waiting for a person, or for a limit to pass: asking more often would not help. */
const patientMs = 5_000;

/** What to do about a refused `connect`. */
export type Refusal = { action: 'retry'; retryAfterMs?: number | undefined; minMs?: number } | { action: 'fail' };

type Identity = Pick<
  ConnectOptions,
  'token' | 'password' | 'deviceToken' | 'bootstrapToken' | 'device' | 'client' | 'role' | 'scopes' | 'caps' | 'params'
>;

/** Who the client is, what it knows to prove that, and what it learns from the gateway's answers. */
export class Handshake {
  #options: Identity;
  #clock: Clock;
  #deviceToken: string | undefined;
  #bootstrapToken: string | undefined;

  constructor(options: Identity, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#deviceToken = options.deviceToken;
    this.#bootstrapToken = options.bootstrapToken;
  }

  /** The `connect` params that answer a challenge. Rejects when a credential or signature can't be had. */
  async params(challenge: { nonce?: string; ts?: number }): Promise<ConnectParams> {
    const { client, role = 'operator', caps = [], device, params } = this.#options;
    const [token, password] = await Promise.all([read(this.#options.token), read(this.#options.password)]);
    const deviceToken = this.#deviceToken;
    const bootstrapToken = deviceToken === undefined ? this.#bootstrapToken : undefined;
    const isKnown = token ?? password ?? deviceToken ?? bootstrapToken;
    const connect: ConnectParams = {
      ...params,
      minProtocol: protocolVersion,
      maxProtocol: protocolVersion,
      client: { id: 'gateway-client', mode: 'backend', version: clientVersion, platform: platform(), ...client },
      caps: [...new Set([streamsCapability, 'tool-events', ...caps])],
      role,
      scopes: [...(this.#options.scopes ?? (role === 'operator' ? defaultScopes : []))],
      // What is undefined does not reach the wire.
      auth: isKnown === undefined ? undefined : { token, password, deviceToken, bootstrapToken },
    };
    if (!device) return connect;
    const { nonce = '', ts = this.#clock.now() } = challenge;
    return { ...connect, device: await device({ params: connect, nonce, signedAt: ts }) };
  }

  /** Takes note of what was granted; a device token takes the place of a one-use code. */
  granted({ auth }: HelloOk): IssuedCredentials | undefined {
    if (auth.deviceToken === undefined) return undefined;
    this.#bootstrapToken = undefined;
    // A shared token stays what it is: a device token would only be in its way.
    if (this.#options.token === undefined && this.#options.password === undefined) this.#deviceToken = auth.deviceToken;
    return auth as IssuedCredentials;
  }

  /** Decides by the details of the error whether trying again can help. */
  refused(error: GatewayError): Refusal {
    const { retryAfterMs } = error;
    const { token, password } = this.#options;
    switch (error.details?.code) {
      case 'AUTH_DEVICE_TOKEN_MISMATCH':
        if (this.#deviceToken === undefined || !(token || password || this.#bootstrapToken)) return { action: 'fail' };
        this.#deviceToken = undefined;
        return { action: 'retry' };
      case 'AUTH_RATE_LIMITED':
      case 'PAIRING_REQUIRED':
      case 'DEVICE_AUTH_SIGNATURE_EXPIRED':
      case 'DEVICE_AUTH_NONCE_MISMATCH':
        return { action: 'retry', retryAfterMs, minMs: patientMs };
    }
    const isPassing = error.retryable || retryAfterMs !== undefined || error.code === 'UNAVAILABLE';
    return isPassing ? { action: 'retry', retryAfterMs } : { action: 'fail' };
  }
}

async function read(credential: Credential | undefined): Promise<string | undefined> {
  return typeof credential === 'function' ? credential() : credential;
}

function platform(): string {
  const scope = globalThis as { process?: { platform?: string }; navigator?: { platform?: string } };
  return scope.process?.platform || scope.navigator?.platform || 'unknown';
}
