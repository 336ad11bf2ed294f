import { CloseCode, GatewayError, methods } from '@openclaw/protocol';
import type { Peer } from '../connection/peer.ts';
import { executeOnce } from '../dispatch/keyed.ts';
import { AtRelease, implement, type MethodImplementation } from '../dispatch/method.ts';
import type { GatewayParts } from './context.ts';

/** Emits of one agent connection, and their bytes, that may wait for their commit (S28). */
const maxUnacknowledged = 64;
const maxUnacknowledgedBytes = 1_048_576;

/** What agents call, and the answers of people to approvals. */
export function runMethods(parts: GatewayParts): MethodImplementation[] {
  const { agents, approvals, agentCalls, recovery, ledger, committer, audit } = parts;
  const unacknowledged = new WeakMap<Peer, { count: number; bytes: number }>();
  return [
    implement(methods['agent.attach'], (params, { peer }) => {
      const { stream, held, orphans } = agents.attach(peer, params);
      recovery.orphaned(orphans, params);
      if (!params.resumable) recovery.endUnresumable(peer.identity.id);
      recovery.resumed(held);
      return { agentId: peer.identity.id, stream, runs: held };
    }),
    implement(methods['run.start'], ({ runId }, { peer }) => agentCalls.start(peer, runId)),
    implement(methods['run.journal'], ({ runId, from }, { peer }) => agentCalls.journal(peer, runId, from)),
    implement(methods['run.messages'], ({ runId, before }, { peer }) => agentCalls.messages(peer, runId, before)),
    implement(methods['run.emit'], (params, { peer }) => {
      const waiting = unacknowledged.get(peer) ?? { count: 0, bytes: 0 };
      if (waiting.count >= maxUnacknowledged || waiting.bytes >= maxUnacknowledgedBytes) {
        peer.close(
          CloseCode.tooLarge,
          `${waiting.count} emits of ${waiting.bytes} bytes without waiting for their answers`,
        );
        throw new GatewayError('UNAVAILABLE', 'too many emits at a time', { retryable: true, retryAfterMs: 1_000 });
      }
      const before = committer.waitingBytes;
      const result = agentCalls.emit(peer, params);
      const bytes = committer.waitingBytes - before;
      unacknowledged.set(peer, waiting);
      waiting.count++;
      waiting.bytes += bytes;
      const done = () => {
        waiting.count--;
        waiting.bytes -= bytes;
      };
      committer.release(done, done);
      return result;
    }),
    implement(
      methods['approvals.list'],
      () => new AtRelease(() => ({ result: { approvals: [...approvals.committed] } })),
    ),
    implement(methods['approvals.resolve'], (params, call) =>
      executeOnce(ledger, call, 'approvals.resolve', params, () => {
        if (!agentCalls.resolve(params.id, params.decision, 'resolved')) {
          throw new GatewayError(
            'APPROVAL_NOT_FOUND',
            `no approval ${params.id.slice(0, 128)} waits; it was answered, or its run has ended.`,
          );
        }
        audit.note({
          action: 'approval.resolved',
          actor: call.peer.identity.principal,
          target: params.id,
          reason: params.decision,
        });
        return { ok: true as const, id: params.id, decision: params.decision };
      }),
    ),
  ];
}
