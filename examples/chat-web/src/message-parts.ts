import type { StreamedPart } from '@openclaw/client';

/** A row of the history, as far as the page reads it; other gateways send content as plain text. */
export interface HistoryRow {
  id: string;
  role: string;
  runId?: string | undefined;
  parts: StreamedPart[];
  text: string;
}

interface Block {
  type: string;
  text?: string;
  thinking?: string;
  id?: string;
  toolCallId?: string;
  name?: string;
  arguments?: unknown;
  content?: unknown;
  isError?: boolean;
  media?: { fileName?: string; mimeType?: string };
}

/** Reads a message of the history as the parts that it was made of. */
export function readRow(row: unknown): HistoryRow {
  const { id, role, runId, idempotencyKey, content } = row as Record<string, unknown>;
  const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : ((content ?? []) as Block[]);
  const names = new Map(blocks.map((block) => [block.id, block.name]));
  const parts: StreamedPart[] = [];
  let text = '';
  blocks.forEach((block: Block, index) => {
    const itemId = String(index);
    switch (block.type) {
      case 'text':
        text += block.text ?? '';
        parts.push({ type: 'text', itemId, delta: block.text ?? '', text: block.text ?? '' });
        break;
      case 'thinking':
        parts.push({ type: 'thinking', itemId, delta: block.thinking ?? '', text: block.thinking ?? '' });
        break;
      case 'toolCall':
        parts.push({
          type: 'tool',
          phase: 'start',
          toolCallId: block.id ?? itemId,
          name: block.name ?? 'tool',
          args: block.arguments,
        });
        break;
      case 'toolResult': {
        const toolCallId = block.toolCallId ?? itemId;
        const name = names.get(toolCallId) ?? 'tool';
        const isError = block.isError ? { isError: true } : {};
        parts.push({ type: 'tool', phase: 'result', toolCallId, name, result: block.content, ...isError });
        break;
      }
      case 'media':
        text += `[${block.media?.fileName ?? block.media?.mimeType ?? 'file'}]`;
    }
  });
  const run = runId ?? idempotencyKey;
  return {
    id: String(id ?? ''),
    role: String(role ?? 'assistant'),
    runId: run === undefined ? undefined : String(run),
    parts,
    text,
  };
}
