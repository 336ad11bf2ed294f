import { allowsScope, GatewayError, type OperatorScope, operatorScopes } from '@openclaw/protocol';
import type { PairedDevice } from '../connection/paired-devices.ts';
import type { Identity } from '../connection/peer.ts';

/** Refuses names that are no scopes: a slip must not end as a grant of nothing. */
export function assertKnownScopes(
  method: string,
  scopes: readonly string[],
): asserts scopes is readonly OperatorScope[] {
  const unknown = scopes.find((scope) => !operatorScopes.some((known) => known === scope));
  if (unknown === undefined) return;
  throw new GatewayError(
    'INVALID_REQUEST',
    `invalid ${method} params: at /scopes: "${unknown}" must be one of ${operatorScopes.join(', ')}`,
  );
}

/** Refuses whoever would give away what it may not do itself. */
export function assertHolds({ scopes: held }: Identity, scopes: readonly OperatorScope[]): void {
  const missing = scopes.find((scope) => !allowsScope(held, scope));
  if (missing !== undefined) throw missingScope(missing, scopes, 'only who has a scope can grant it');
}

/** Refuses whoever would take something from a device that may do more than it may itself; its own it may always. */
export function assertManages({ scopes: held, deviceId: own }: Identity, deviceId: string, device: PairedDevice): void {
  if (own === deviceId) return;
  const scopes = device.scopes as OperatorScope[];
  const missing = scopes.find((scope) => !allowsScope(held, scope));
  if (missing !== undefined) throw missingScope(missing, scopes, 'the device may do more than this connection');
}

function missingScope(missing: OperatorScope, scopes: readonly OperatorScope[], why: string): GatewayError {
  return new GatewayError('FORBIDDEN', `missing scope: ${missing}; ${why}`, {
    details: { code: 'MISSING_SCOPE', missingScope: missing, requiredScopes: [...scopes] },
  });
}
