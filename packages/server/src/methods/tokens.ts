import { GatewayError, methods } from '@openclaw/protocol';
import type { Access } from '../connection/access.ts';
import { AtRelease, implement, type MethodImplementation } from '../dispatch/method.ts';
import type { GatewayParts } from './context.ts';
import { assertKnownScopes } from './granting.ts';

/** `tokens.*`: credentials for operators, agents and channels. */
export function tokenMethods(
  { agents, audit }: Pick<GatewayParts, 'agents' | 'audit'>,
  { credentials, revocation }: Access,
): MethodImplementation[] {
  return [
    implement(methods['tokens.create'], ({ role, id, scopes }, { peer }) => {
      if (role === 'agent' && !agents.ids.includes(id)) {
        throw new GatewayError(
          'INVALID_REQUEST',
          `unknown agent id: ${id}. This gateway has ${agents.ids.join(', ')}.`,
          { details: { code: 'UNKNOWN_AGENT_ID' } },
        );
      }
      if (scopes) assertKnownScopes('tokens.create', scopes);
      const made = credentials.createToken({ role, id, ...(scopes ? { scopes } : {}) });
      const { token, tokenId, issuedAtMs } = made;
      audit.note({
        action: 'token.created',
        actor: peer.identity.principal,
        target: tokenId,
        reason: `for ${role} ${id}`,
        scopes: [...made.scopes],
      });
      return { token, tokenId, role, id, scopes: [...made.scopes], issuedAtMs };
    }),
    implement(methods['tokens.list'], () => ({
      tokens: credentials.list().map(({ scopes, ...rest }) => ({ ...rest, scopes: [...scopes] })),
    })),
    implement(methods['tokens.revoke'], ({ tokenId }, { peer }) => {
      const grant = credentials.revoke(tokenId);
      if (!grant) return { tokenId, revoked: false };
      audit.note({
        action: 'token.revoked',
        actor: peer.identity.principal,
        target: tokenId,
        reason: `of ${grant.role} ${grant.id}`,
      });
      return new AtRelease(() => ({ result: { tokenId, revoked: true }, after: () => revocation.review() }));
    }),
  ];
}
