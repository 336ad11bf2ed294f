import { allowsScope, GatewayError, type OperatorScope, operatorScopes } from '@openclaw/protocol';
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
  if (missing === undefined) return;
  throw new GatewayError('FORBIDDEN', `missing scope: ${missing}; only who has a scope can grant it`, {
    details: { code: 'MISSING_SCOPE', missingScope: missing, requiredScopes: [...scopes] },
  });
}
