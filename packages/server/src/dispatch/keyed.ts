import { GatewayError, isGatewayError } from '@openclaw/protocol';
import { hashParams, type Ledger } from './ledger.ts';
import type { Call } from './method.ts';

/** The answer to a key that was used for something else (v4's words; S18). */
export function conflict(method: string): GatewayError {
  return new GatewayError(
    'INVALID_REQUEST',
    `${method}: this idempotencyKey was used with other params; send a new key.`,
    {
      details: { code: 'IDEMPOTENCY_CONFLICT', reason: 'chat-request-conflict' },
    },
  );
}

/**
 * Executes a keyed request that is done within its tick: once per key, with the stored answer the next time. Without a key
 * (v4 clients may leave it out) it just executes. `execute` must refuse before it changes anything.
 */
export function executeOnce<R extends object>(
  ledger: Ledger,
  call: Call,
  method: string,
  params: { idempotencyKey?: string | undefined },
  execute: () => R,
): R {
  // The handler may have waited since its call was let through.
  call.assertAllowed();
  const key = params.idempotencyKey;
  if (key === undefined) return execute();
  const claim = ledger.claim({ principal: call.peer.identity.principal, method, key, paramsHash: hashParams(params) });
  if (claim.kind === 'conflict') throw conflict(method);
  if (claim.kind === 'claimed') {
    try {
      const result = execute();
      ledger.finish(claim.row, JSON.stringify({ payload: result }));
      return result;
    } catch (error) {
      // A fault may have come in the middle: the key is settled all the same, so that nobody waits for it.
      const told = isGatewayError(error)
        ? error
        : new GatewayError(
            'UNKNOWN_OUTCOME',
            `${method} failed inside the gateway; look at what it did before sending a new key.`,
          );
      ledger.finish(claim.row, JSON.stringify({ error: told.toWire() }));
      throw error;
    }
  }
  if (claim.kind === 'running') {
    throw new GatewayError('UNAVAILABLE', `${method} is being worked on; ask again.`, {
      retryable: true,
      retryAfterMs: 500,
    });
  }
  const stored = JSON.parse(claim.row.answer ?? '{}') as {
    payload?: R;
    error?: Parameters<typeof GatewayError.fromWire>[0];
  };
  if (stored.error) throw GatewayError.fromWire(stored.error);
  return (call.peer.hasStreams ? { ...stored.payload, replayed: true } : stored.payload) as R;
}
