import { type ContentBlock, type OpenRun, type Part, partLength, type RunPart } from '@openclaw/protocol';

type TextPart = Extract<RunPart, { stream: 'assistant' | 'thinking' }>;

/**
 * What a run has said and done so far, whole: deltas joined per part, a tool's phases side by side. Kept in memory for open
 * runs only. Immutable: each step is a new list, so that a failed commit can go back to the old one.
 */
export type RunJournal = readonly RunPart[];

/** The journal with one more part. A text delta continues its part, or replaces it when it says so. */
export function extendJournal(journal: RunJournal, part: RunPart): RunJournal {
  if (part.stream === 'usage' || part.stream === 'lifecycle') return journal;
  if (part.stream !== 'assistant' && part.stream !== 'thinking') return [...journal, part];
  const index = findText(journal, part.stream, part.data.itemId);
  const known = journal[index] as TextPart | undefined;
  const before = part.data.replace || !known ? '' : known.data.delta;
  const whole = {
    stream: part.stream,
    data: { itemId: part.data.itemId, at: 0, delta: before + part.data.delta },
  } as TextPart;
  return known ? journal.with(index, whole) : [...journal, whole];
}

/** The length of a text part so far, in UTF-16 units. */
export function textLength(journal: RunJournal, stream: TextPart['stream'], itemId: string): number {
  const part = journal[findText(journal, stream, itemId)] as TextPart | undefined;
  return part?.data.delta.length ?? 0;
}

function findText(journal: RunJournal, stream: string, itemId: string): number {
  return journal.findLastIndex((part) => part.stream === stream && (part as TextPart).data.itemId === itemId);
}

/** The journal as the blocks of the run's message in the transcript. */
export function journalBlocks(journal: RunJournal): ContentBlock[] {
  const blocks: ContentBlock[] = [];
  for (const part of journal) {
    if (part.stream === 'assistant' && part.data.delta !== '') blocks.push({ type: 'text', text: part.data.delta });
    else if (part.stream === 'thinking' && part.data.delta !== '')
      blocks.push({ type: 'thinking', thinking: part.data.delta });
    else if (part.stream === 'tool' && part.data.phase === 'start') {
      blocks.push({
        type: 'toolCall',
        id: part.data.toolCallId,
        name: part.data.name,
        arguments: part.data.args ?? {},
      });
    } else if (part.stream === 'tool' && part.data.phase === 'result') {
      const { toolCallId, result, isError } = part.data;
      blocks.push({ type: 'toolResult', toolCallId, content: result ?? null, ...(isError ? { isError } : {}) });
    }
  }
  return blocks;
}

/**
 * The journal that the state of a stream still holds whole; undefined when the state had to let go of some of it, and the
 * log must be read instead.
 */
export function journalOfState(run: OpenRun): RunJournal | undefined {
  if (run.isCut) return undefined;
  const journal: RunPart[] = [];
  for (const part of run.parts) {
    if (('cut' in part && part.cut) || ('start' in part && part.start > 0)) return undefined;
    journal.push(...partEvents(part));
  }
  return journal;
}

function partEvents(part: Part): RunPart[] {
  switch (part.kind) {
    case 'text':
    case 'thinking':
      if (partLength(part) === 0) return [];
      return [
        {
          stream: part.kind === 'text' ? 'assistant' : 'thinking',
          data: { itemId: part.itemId, at: 0, delta: part.text },
        },
      ];
    case 'tool': {
      const { toolCallId, name, title, args, safe, phase, result, isError } = part;
      const named = { toolCallId, name, ...(title === undefined ? {} : { title }) };
      const start: RunPart = {
        stream: 'tool',
        data: { phase: 'start', ...named, safe, ...(args === undefined ? {} : { args }) },
      };
      if (phase !== 'result') return [start];
      return [
        start,
        { stream: 'tool', data: { phase, ...named, result: result ?? null, ...(isError ? { isError } : {}) } },
      ];
    }
    case 'approval': {
      const { kind, decision, ...asked } = part;
      const requested: RunPart = { stream: 'approval', data: { phase: 'requested', ...asked } };
      if (decision === undefined) return [requested];
      return [
        requested,
        { stream: 'approval', data: { phase: 'resolved', approvalId: part.approvalId, title: part.title, decision } },
      ];
    }
    case 'item': {
      const { itemId, item: kind, title, inputId } = part;
      const said = { ...(title === undefined ? {} : { title }), ...(inputId === undefined ? {} : { inputId }) };
      return [{ stream: 'item', data: { itemId, kind, ...said } }];
    }
  }
}

/** UTF-16 units of one piece of a text, and of a page of pieces, in the answers of `run.start` and `run.journal`. */
const pieceUnits = 16_000;
const pageUnits = 40_000;

/** A page of the journal from its piece `from` on; long texts are cut in pieces that continue each other. */
export function journalPage(journal: RunJournal, from: number): { journal: RunPart[]; journalNext?: number } {
  const page: RunPart[] = [];
  let index = 0;
  let units = 0;
  for (const part of journal) {
    for (const piece of pieces(part)) {
      if (index++ < from) continue;
      units += JSON.stringify(piece.data).length;
      if (page.length > 0 && units > pageUnits) return { journal: page, journalNext: index - 1 };
      page.push(piece);
    }
  }
  return { journal: page };
}

function* pieces(part: RunPart): Generator<RunPart> {
  if ((part.stream !== 'assistant' && part.stream !== 'thinking') || part.data.delta.length <= pieceUnits) {
    yield part;
    return;
  }
  const { itemId, delta } = part.data;
  for (let at = 0; at < delta.length; at += pieceUnits) {
    yield { stream: part.stream, data: { itemId, at, delta: delta.slice(at, at + pieceUnits) } };
  }
}
