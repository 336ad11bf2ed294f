import { GatewayError, type Message, mainSessionKey, methods, type Result } from '@openclaw/protocol';
import type { Peer } from '../connection/peer.ts';
import { implement, type MethodImplementation } from '../dispatch/method.ts';
import { validTraceparent } from '../http/route.ts';
import type { RunOutcome } from '../runs/open-runs.ts';
import type { GatewayParts } from './context.ts';
import { takeMessage } from './take-message.ts';

/** Second answers of `agent` that one connection may wait for. */
const maxAwaited = 256;

/** `agent` and `agent.wait`: v4's ways to ask for a run and to be told of its end. */
export function agentMethods(parts: GatewayParts): MethodImplementation[] {
  const { openRuns, sessions, clock } = parts;
  const awaited = new WeakMap<Peer, number>();
  // One run's end is read once, however many wait for it.
  const results = new Map<string, Promise<Result<'agent'>>>();
  const resultOf = (outcome: RunOutcome) => {
    const known = results.get(outcome.runId);
    if (known) return known;
    const result = agentResult(parts, outcome).finally(() => results.delete(outcome.runId));
    results.set(outcome.runId, result);
    return result;
  };
  return [
    implement(methods.agent, async (params, call) => {
      const { peer } = call;
      const sessionKey = params.sessionKey ?? mainSessionKey;
      const { idempotencyKey: runId, message, agentId, attachments } = params;
      const count = awaited.get(peer) ?? 0;
      if (count >= maxAwaited) {
        const told = `This connection waits for the end of ${count} runs, the most allowed; wait for one.`;
        throw new GatewayError('UNAVAILABLE', told, { retryable: true, retryAfterMs: 1_000 });
      }
      awaited.set(peer, count + 1);
      let isCounted = true;
      const uncount = () => {
        if (isCounted) awaited.set(peer, (awaited.get(peer) ?? 1) - 1);
        isCounted = false;
      };
      let taken: Awaited<ReturnType<typeof takeMessage>>;
      try {
        const request = {
          sessionKey,
          message,
          idempotencyKey: runId,
          agentId,
          attachments,
          traceparent: validTraceparent(call.traceparent),
          assertAllowed: call.assertAllowed,
        };
        taken = await takeMessage(parts, peer.identity.principal, 'agent', request);
      } catch (error) {
        uncount();
        throw error;
      }
      if (taken.kind === 'done') {
        uncount();
        return resultOf(taken.outcome);
      }
      const cancel = openRuns.onEnd(runId, (outcome) => {
        uncount();
        if (!peer.isOpen) return;
        // Without the transcript the end is still told.
        const ended = resultOf(outcome).catch(() => bareResult(outcome, ''));
        void ended.then((result) => call.respondAgain(result));
      });
      // A commit that fails takes the run back, and with it whoever waits for its end.
      parts.committer.release(
        () => {},
        () => {
          cancel();
          uncount();
        },
      );
      const key = sessions.canonicalKey(sessionKey, agentId);
      return {
        runId,
        sessionKey: key,
        agentId: sessions.requireAgent(key),
        status: 'accepted' as const,
        acceptedAt: clock.now(),
      };
    }),
    implement(methods['agent.wait'], ({ runId, timeoutMs = 30_000 }) => {
      const known = openRuns.outcome(runId);
      if (known) return waitResult(known);
      return new Promise<Result<'agent.wait'>>((resolve) => {
        const cancelTimer = clock.schedule(() => {
          cancelWait();
          resolve({ runId, status: 'timeout' });
        }, timeoutMs);
        const cancelWait = openRuns.onEnd(runId, (outcome) => {
          cancelTimer();
          resolve(waitResult(outcome));
        });
      });
    }),
  ];
}

function waitResult({ runId, status, endedAt, stopReason, error }: RunOutcome): Result<'agent.wait'> {
  const failed = status === 'ok' ? {} : { error: error ?? stopReason };
  return { runId, status: status === 'ok' ? 'ok' : 'error', endedAt, stopReason, ...failed };
}

async function agentResult({ sessions, log }: GatewayParts, outcome: RunOutcome): Promise<Result<'agent'>> {
  const stream = await sessions.open(outcome.sessionKey);
  const records = await log.readMessages(stream, stream.committedHead + 1, 50, 1_048_576);
  const message = records
    .map(({ frame }) => (JSON.parse(frame.text) as { payload: { message: Message } }).payload.message)
    .findLast((row) => row.runId === outcome.runId && row.role === 'assistant');
  return bareResult(outcome, message?.content.map((block) => (block.type === 'text' ? block.text : '')).join('') ?? '');
}

function bareResult({ runId, status, summary, stopReason, error }: RunOutcome, text: string): Result<'agent'> {
  return {
    runId,
    status,
    summary: status === 'ok' ? summary : (error ?? summary),
    result: { payloads: text === '' ? [] : [{ text, mediaUrl: null }], meta: { stopReason } },
  };
}
