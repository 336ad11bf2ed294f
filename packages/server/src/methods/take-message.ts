import { type ContentBlock, GatewayError, type MessageSource } from '@openclaw/protocol';
import { conflict } from '../dispatch/keyed.ts';
import { hashParams } from '../dispatch/ledger.ts';
import type { ReadableMedium } from '../http/media/uploads.ts';
import type { NewMessage } from '../runs/intake.ts';
import type { RunOutcome } from '../runs/open-runs.ts';
import { addEarlierTurns, contentOf, decodeTurns, type EarlierTurn } from '../sessions/earlier-turns.ts';
import { type Attachment, attachedFiles, putMedia } from '../sessions/message-media.ts';
import type { SessionStream } from '../sessions/sessions.ts';
import type { GatewayParts } from './context.ts';

/** What a message is made of, whichever method brings it. */
export interface SendParams {
  sessionKey: string;
  agentId?: string | undefined;
  sessionId?: string | undefined;
  message: string;
  queueMode?: NewMessage['queueMode'];
  attachments?: readonly Attachment[] | undefined;
  idempotencyKey: string;
  /** Where it came from, when not from an operator's app: decides what the run's tools may do. */
  source?: MessageSource | undefined;
  /** The trace that it belongs to (W3C), valid. */
  traceparent?: string | undefined;
  /** Asked at the last moment; throws for whom it was forbidden meanwhile. */
  assertAllowed?: (() => void) | undefined;
  /** What was said before; becomes the transcript of a session that has none. */
  earlier?: readonly EarlierTurn[] | undefined;
  /** Called once the key is taken and before anything is appended, to join the same commit. */
  claimed?: (stream: SessionStream) => void;
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
  const { sessions, intake, openRuns, ledger, committer, uploads } = parts;
  const canonicalKey = sessions.canonicalKey(params.sessionKey, params.agentId);
  const agentId = sessions.requireAgent(canonicalKey);
  if (params.message.trim() === '' && !params.attachments?.length) {
    throw new GatewayError('INVALID_REQUEST', `invalid ${method} params: message or attachment required`);
  }
  const files = attachedFiles(params.attachments ?? []);
  const earlier = decodeTurns(params.earlier ?? []);
  const named = files.flatMap((file) => ('mediaId' in file ? [file.mediaId] : []));
  const known = (await lookUp(parts, principal, canonicalKey, named)) ?? new Map<string, ReadableMedium>();
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
      earlier: params.earlier,
    }),
    runId,
    admit: () => {
      params.assertAllowed?.();
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
      const missing = named.find((id) => !uploads.has(principal, id) && !known.has(id));
      if (missing !== undefined) throw unknownMedium(missing, uploads.lifetimeMs);
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
      params.claimed?.(stream);
      const { source } = params;
      addEarlierTurns(earlier, { sessions, committer, stream, canonicalKey, now: parts.clock.now(), source });
      const blocks = files.map((file): ContentBlock => {
        if (!('mediaId' in file)) return { type: 'media', media: putMedia(committer, stream.name, file.bytes, file) };
        const { mediaId: id, fileName } = file;
        return { type: 'media', media: uploads.bind(principal, stream.name, { id, fileName, known: known.get(id) }) };
      });
      message.content.push(...contentOf(committer, stream.name, params.message, []), ...blocks);
      intake.take(message);
      return { kind: 'claimed' };
    }
  }
}

/** What the store knows of named media that are not uploads of the sender; those are known without a look. */
function lookUp(
  { uploads }: GatewayParts,
  principal: string,
  sessionKey: string,
  ids: readonly string[],
): Promise<Map<string, ReadableMedium> | undefined> | undefined {
  const others = ids.filter((id) => !uploads.has(principal, id));
  if (others.length === 0) return uploads.inTurn(sessionKey);
  return uploads.inTurn(sessionKey, async () => {
    const found = new Map<string, ReadableMedium>();
    for (const id of others) {
      const medium = await uploads.find(principal, id);
      if (medium) found.set(id, medium);
    }
    return found;
  });
}

function unknownMedium(id: string, lifetimeMs: number): GatewayError {
  const minutes = Math.round(lifetimeMs / 60_000);
  return new GatewayError(
    'INVALID_REQUEST',
    `No upload ${id} of yours waits here: send the file to POST /media again, then the message with the new id within ${minutes} min.`,
    { details: { code: 'MEDIA_UNKNOWN', mediaId: id } },
  );
}
