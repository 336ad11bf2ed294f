import { type ContentBlock, type Message, type MessageSource, randomId } from '@openclaw/protocol';
import type { Committer } from '../streams/committer.ts';
import { decodeAttachments, fitMessage, putMedia } from './message-media.ts';
import type { SessionStream, Sessions } from './sessions.ts';

/** What was said before the message that a run answers, as a caller brings it along. */
export interface EarlierTurn {
  role: Message['role'];
  text: string;
  /** Files, base64. */
  attachments: readonly { mimeType?: string | undefined; fileName?: string | undefined; content: string }[];
}

/** A file, decoded. */
export type DecodedFile = ReturnType<typeof decodeAttachments>[number];

/** The blocks of a message: its text, then its files, whose bytes are kept with this tick's commit. */
export function contentOf(
  committer: Committer,
  stream: string,
  text: string,
  files: readonly DecodedFile[],
): ContentBlock[] {
  const content: ContentBlock[] = text === '' ? [] : [{ type: 'text', text }];
  for (const { bytes, mimeType, fileName } of files)
    content.push({ type: 'media', media: putMedia(committer, stream, bytes, { mimeType, fileName }) });
  return content;
}

/** The turns with their files decoded; throws INVALID_REQUEST for what is no base64 or too large. */
export function decodeTurns(
  turns: readonly EarlierTurn[],
): (Omit<EarlierTurn, 'attachments'> & { files: DecodedFile[] })[] {
  return turns.map(({ role, text, attachments }) => ({ role, text, files: decodeAttachments(attachments) }));
}

/**
 * Writes what was said before into the transcript of a session that has none yet, with this tick's commit and without a run;
 * a session with a transcript is left as it is.
 */
export function addEarlierTurns(
  turns: ReturnType<typeof decodeTurns>,
  {
    sessions,
    committer,
    stream,
    canonicalKey,
    now,
    source,
  }: {
    sessions: Sessions;
    committer: Committer;
    stream: SessionStream;
    canonicalKey: string;
    now: number;
    source?: MessageSource | undefined;
  },
): void {
  if (turns.length === 0 || stream.state.messageCount > 0) return;
  const entry = sessions.ensure(stream, canonicalKey);
  for (const { role, text, files } of turns) {
    const content = contentOf(committer, stream.name, text, files);
    if (content.length === 0) continue;
    const message: Message = { id: randomId(), role, content, timestamp: now, ...(source ? { source } : {}) };
    sessions.addMessage(stream, entry, fitMessage(committer, stream.name, message));
  }
}
