import type { HelloOk } from '@openclaw/protocol';
import {
  type Clock,
  type ConnectParams,
  type GatewayError,
  protocolVersion,
  streamsCapability,
} from '@openclaw/protocol/wire';
import type { ConnectOptions, Credential } from './connect-options.ts';
import type { IssuedCredentials, Notice } from './gateway.ts';

const clientVersion = '0.1.0';
const defaultScopes = ['operator.read', 'operator.write', 'operator.approvals'];
/** Waiting for a person, or for a limit to pass: asking more often would not help. */
export const patientMs = 5_000;

/** What the gateway asks of who connects. */
export interface Challenge {
  nonce?: string;
  ts?: number;
}

/** Who the client is, what it knows to prove that, and what it learns from the gateway's answers. */
export interface Handshake {
  /** The `connect` params that answer a challenge. Rejects when a credential or signature can't be had. */
  params(challenge: Challenge): Promise<ConnectParams>;
  /** Takes note of what was granted; a device token takes the place of a one-use code. */
  granted(hello: HelloOk): IssuedCredentials | undefined;
  /** Decides by the details of the error whether trying again can help, and after how many ms at least; undefined if not. */
  refused(error: GatewayError): number | undefined;
}

/** The handshakes of one client; what a gateway granted is kept from one to the next. */
export function makeHandshake(options: ConnectOptions, clock: Clock, notice: (notice: Notice) => void): Handshake {
  const { token, password, device, client, role = 'operator' } = options;
  const { scopes = role === 'operator' ? defaultScopes : [] } = options;
  let { deviceToken, bootstrapToken } = options;
  const kept = device?.attach?.(options.url ?? '', notice, role);
  // A shared token stays what it is: a device token would only be in its way.
  const isShared = token !== undefined || password !== undefined;
  return {
    async params({ nonce = '', ts = clock.now() }) {
      if (!isShared) deviceToken ??= await kept?.load();
      const auth = {
        token: await read(token),
        password: await read(password),
        deviceToken,
        bootstrapToken: deviceToken === undefined ? bootstrapToken : undefined,
      };
      const params: ConnectParams = {
        ...options.params,
        minProtocol: protocolVersion,
        maxProtocol: protocolVersion,
        client: { id: 'gateway-client', mode: 'backend', version: clientVersion, platform: platform(), ...client },
        caps: [...new Set([streamsCapability, 'tool-events', ...(options.caps ?? [])])],
        role,
        scopes: [...scopes],
        // What is undefined in it does not reach the wire.
        auth,
      };
      return device ? { ...params, device: await device({ params, nonce, signedAt: ts }) } : params;
    },

    granted({ auth }) {
      if (auth.deviceToken === undefined) return undefined;
      bootstrapToken = undefined;
      kept?.save(auth.deviceToken);
      if (!isShared) deviceToken = auth.deviceToken;
      return auth as IssuedCredentials;
    },

    refused({ code, details, retryable, retryAfterMs = 0 }) {
      const why = String(details?.code);
      if (why === 'AUTH_DEVICE_TOKEN_MISMATCH') {
        kept?.save(undefined);
        if (deviceToken === undefined || !(isShared || bootstrapToken)) return undefined;
        deviceToken = undefined;
        return 0;
      }
      if (/RATE_LIMITED|PAIRING|SIGNATURE_EXPIRED|NONCE_MISMATCH/.test(why)) return Math.max(retryAfterMs, patientMs);
      return retryable || retryAfterMs || code === 'UNAVAILABLE' ? retryAfterMs : undefined;
    },
  };
}

async function read(credential: Credential | undefined): Promise<string | undefined> {
  return typeof credential === 'function' ? credential() : credential;
}

function platform(): string {
  const scope = globalThis as { process?: { platform?: string }; navigator?: { platform?: string } };
  return scope.process?.platform || scope.navigator?.platform || 'unknown';
}
