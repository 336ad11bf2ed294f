import { GatewayError } from '@openclaw/protocol';
import { assertLimits } from '../connection/limits.ts';
import { isLoopbackAddress } from '../connection/origin.ts';
import type { EdgeOptions } from './edge-options.ts';
import { assertUsable } from './tls.ts';

/** Refuses to let everyone in from everywhere: throws `INVALID_REQUEST` for a host beyond loopback without auth. */
export function assertGuarded({ auth }: EdgeOptions, host: string | undefined): void {
  if (auth.mode !== 'none' || host === undefined || host === 'localhost' || isLoopbackAddress(host)) return;
  throw new GatewayError(
    'INVALID_REQUEST',
    `Listening on ${host} without auth would let everyone in; set a token or a password.`,
  );
}

/** Refuses settings that can't be served, before any of them is in use: throws `INVALID_REQUEST`. */
export function assertServable({ auth, perMessageDeflate, limits = {}, tls, trustedProxies = [] }: EdgeOptions): void {
  assertLimits(limits);
  if (tls) assertUsable(tls);
  if (auth.mode === 'trusted-proxy' && (trustedProxies.length === 0 || !/^[\w-]+$/.test(auth.userHeader))) {
    throw new GatewayError(
      'INVALID_REQUEST',
      'Auth by a trusted proxy needs the address of the proxy in trustedProxies, and the name of a header as userHeader.',
    );
  }
  if (perMessageDeflate) {
    throw new GatewayError(
      'INVALID_REQUEST',
      'perMessageDeflate can’t be turned on: frames are written pre-framed; leave it out.',
    );
  }
  const secrets = auth.mode === 'token' ? [auth.token] : auth.mode === 'password' ? [auth.password] : [auth.mode];
  if (secrets.some((secret) => !secret)) {
    throw new GatewayError('INVALID_REQUEST', `The ${auth.mode} of the gateway is empty; set one.`);
  }
}
