import { GatewayError, type MessageSource } from '@openclaw/protocol';
import { conflict } from '../dispatch/keyed.ts';
import { hashParams } from '../dispatch/ledger.ts';
import type { NewMessage } from '../runs/intake.ts';
import type { RunOutcome } from '../runs/open-runs.ts';
import { decodeAttachments, putMedia } from '../sessions/message-media.ts';
import type { GatewayParts } from './context.ts';

/** What a message is made of, whichever method brings it. */
export interface SendParams {
  sessionKey: string;
  agentId?: string | undefined;
  sessionId?: string | undefined;
  message: string;
  queueMode?: NewMessage['queueMode'];
  attachments?: { mimeType?: string | undefined; fileName?: string | undefined; content?: unknown }[] | undefined;
  idempotencyKey: string;
  /** Where it came from, when not from an operator's app: decides what the run's tools may do. */
  source?: MessageSource | undefined;
  /** The trace that it belongs to (W3C), valid. */
  traceparent?: string | undefined;
}

/** What became of a message. */
export type Taken = { kind: 'claimed' } | { kind: 'running' } | { kind: 'done'; outcome: RunOutcome };

/** Claims the key and takes the message, in that order and in one transaction (S18, S28). */
export async function takeMessage(
  parts: GatewayParts,
  /** Who the ledger keeps the request for (S18). */
  principal: string,
  method: string,
  params: SendParams,
): Promise<Taken> {
  const { sessions, intake, openRuns, ledger, committer } = parts;
  const canonicalKey = sessions.canonicalKey(params.sessionKey, params.agentId);
  const agentId = sessions.requireAgent(canonicalKey);
  if (params.message.trim() === '' && !params.attachments?.length) {
    throw new GatewayError('INVALID_REQUEST', `invalid ${method} params: message or attachment required`);
  }
  const files = decodeAttachments(params.attachments ?? []);
  const stream = sessions.current(await sessions.open(canonicalKey));
  const isAnotherSession = () => {
    const { entry } = stream.state;
    return params.sessionId !== undefined && entry !== undefined && entry.sessionId !== params.sessionId;
  };
  const runId = params.idempotencyKey;
  const message: NewMessage = {
    runId,
    stream,
    canonicalKey,
    agentId,
    content: [],
    queueMode: params.queueMode,
    source: params.source,
    traceparent: params.traceparent,
  };
  const claim = ledger.claim({
    principal,
    method,
    key: runId,
    paramsHash: hashParams({
      sessionKey: canonicalKey,
      message: params.message,
      attachments: params.attachments ?? [],
    }),
    runId,
    admit: () => {
      if (isAnotherSession()) {
        throw new GatewayError(
          'INVALID_REQUEST',
          `the session ${params.sessionKey} is another one by now (${stream.state.entry?.sessionId}); read it again.`,
        );
      }
      if (parts.phase() === 'draining') {
        throw new GatewayError('UNAVAILABLE', `${method} unavailable during gateway restart; send it again.`, {
          retryable: true,
          retryAfterMs: 1_000,
          details: { method, reason: 'gateway-restarting' },
        });
      }
      intake.admit(message);
    },
  });
  switch (claim.kind) {
    case 'conflict':
      throw conflict(method);
    case 'running':
      return { kind: 'running' };
    case 'done': {
      const outcome = openRuns.outcome(runId);
      if (outcome) return { kind: 'done', outcome };
      const { error } = JSON.parse(claim.row.answer ?? '{}') as { error?: Parameters<typeof GatewayError.fromWire>[0] };
      throw GatewayError.fromWire(
        error ?? { code: 'UNKNOWN_OUTCOME', message: `What became of run ${runId} is not known.` },
      );
    }
    case 'claimed': {
      if (params.message !== '') message.content.push({ type: 'text', text: params.message });
      for (const { bytes, mimeType, fileName } of files) {
        message.content.push({ type: 'media', media: putMedia(committer, stream.name, bytes, { mimeType, fileName }) });
      }
      intake.take(message);
      return { kind: 'claimed' };
    }
  }
}
