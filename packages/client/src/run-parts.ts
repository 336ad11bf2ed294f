import type { Part, ResetReason, RunPart, RunPartData } from '@openclaw/protocol';
import type { RunRecord } from './run-log.ts';

/** Text of the answer or of the thinking. */
export interface TextPart {
  type: 'text' | 'thinking';
  itemId: string;
  /** What is new; the whole part with `replace`. */
  delta: string;
  /** The whole part so far. */
  text: string;
  /** The part was set anew: show `text` in place of what was there. */
  replace?: true;
}

/** A tool call: started, reporting, finished. */
export type ToolPart = { type: 'tool' } & RunPartData<'tool'>;

/** A question to a person that the run waits for, or its answer. */
export type ApprovalPart = { type: 'approval' } & RunPartData<'approval'> & {
    /** Allows it. Resolves with the answer that counts: the first one given by anyone. Keyed: executed once. */
    approve(): Promise<'allow' | 'deny'>;
    /** Denies it; as `approve`. */
    deny(): Promise<'allow' | 'deny'>;
  };

/** What a run is doing. */
export interface StatusPart {
  type: 'status';
  phase: 'queued' | 'start' | 'recovering';
  attempt?: number;
}

/** A finished step, words for the person, or a message that was taken in. */
export type NoticePart = { type: 'notice' } & RunPartData<'item'>;

/** Tokens used so far. */
export type UsagePart = { type: 'usage' } & RunPartData<'usage'>;

/** Continuity broke; the parts that follow bring what is shown up to date, but something in between may be missing. */
export interface ResetPart {
  type: 'reset';
  reason: ResetReason;
}

/** One part of a run, as its iteration gives it. */
export type StreamedPart = TextPart | ToolPart | ApprovalPart | StatusPart | NoticePart | UsagePart | ResetPart;

type Resolve = (approvalId: string, decision: 'allow' | 'deny') => Promise<'allow' | 'deny'>;

/** Turns what a run's stream says into parts, knowing what was told before. One per iteration. */
export interface PartFold {
  /** The parts that a record of the run gives. */
  tell(record: RunRecord): StreamedPart[];
  /** The parts that bring the reader to the text of the final answer, when the run ended out of sight. */
  finish(answer: string): StreamedPart[];
}

/** A fold that has told nothing; `resolve` answers an approval. */
export function makePartFold(resolve: Resolve): PartFold {
  /** The whole text of each part, by kind and part, in the order of their appearance. */
  const texts = new Map<string, string>();
  const told = new Map<string, string>();

  /** `isState`: it tells how things stand, so what was told before is no news. */
  function step({ stream, data }: RunPart, isState = false): StreamedPart[] {
    const isNews = (id: string, phase: string) => note(`${stream} ${id}`, phase) || !isState;
    switch (stream) {
      case 'assistant':
      case 'thinking': {
        const type = stream === 'assistant' ? 'text' : stream;
        const { itemId, at, delta, replace } = data;
        if (replace) return setText(type, itemId, delta);
        // Behind a state that holds only the end of a long part, `at` is more than what is known.
        const rest = delta.slice(Math.max(0, textOf(type, itemId).length - at));
        return rest === '' ? [] : [grow(type, itemId, rest)];
      }
      case 'tool':
        return isNews(data.toolCallId, data.phase) ? [{ type: 'tool', ...data }] : [];
      case 'approval':
        return isNews(data.approvalId, data.phase) ? [approval(data)] : [];
      case 'item':
        return isNews(data.itemId, data.kind) ? [{ type: 'notice', ...data }] : [];
      case 'usage':
        return [{ type: 'usage', ...data }];
      case 'lifecycle': {
        const { phase, attempt } = data;
        return phase === 'end' || phase === 'error' ? [] : [{ type: 'status', phase, attempt }];
      }
      default:
        return [];
    }
  }

  /** The parts that bring the reader from what was told to how a part of the run stands. */
  function catchUp(part: Part): StreamedPart[] {
    switch (part.kind) {
      case 'text':
      case 'thinking': {
        const { kind, itemId, start, text } = part;
        const known = textOf(kind, itemId);
        return setText(kind, itemId, start <= known.length ? known.slice(0, start) + text : text);
      }
      case 'tool': {
        const { kind, cut, ...data } = part;
        return step({ stream: kind, data }, true);
      }
      case 'approval': {
        const { kind, ...data } = part;
        return step({ stream: kind, data: { ...data, phase: part.decision ? 'resolved' : 'requested' } }, true);
      }
      case 'item': {
        const { kind, item, ...data } = part;
        return step({ stream: kind, data: { ...data, kind: item } }, true);
      }
      default:
        return [];
    }
  }

  function textOf(type: string, itemId: string): string {
    return texts.get(`${type} ${itemId}`) ?? '';
  }

  /** Adds to a part, without a look at what it was: a long answer has thousands of deltas. */
  function grow(type: TextPart['type'], itemId: string, delta: string): TextPart {
    const text = textOf(type, itemId) + delta;
    texts.set(`${type} ${itemId}`, text);
    return { type, itemId, delta, text };
  }

  function setText(type: TextPart['type'], itemId: string, text: string): TextPart[] {
    const known = textOf(type, itemId);
    if (text === known) return [];
    if (text.startsWith(known)) return [grow(type, itemId, text.slice(known.length))];
    texts.set(`${type} ${itemId}`, text);
    return [{ type, itemId, delta: text, text, replace: true }];
  }

  /** Takes note of a phase; true if it is another one than before. */
  function note(key: string, phase: string): boolean {
    const before = told.get(key);
    told.set(key, phase);
    return before !== phase;
  }

  function approval(data: RunPartData<'approval'>): ApprovalPart {
    return {
      type: 'approval',
      ...data,
      approve: () => resolve(data.approvalId, 'allow'),
      deny: () => resolve(data.approvalId, 'deny'),
    };
  }

  return {
    tell(record) {
      if (record.type === 'event') return step(record.payload);
      const { reason, parts } = record;
      return [...(reason ? [{ type: 'reset', reason } as const] : []), ...parts.flatMap((part) => catchUp(part))];
    },

    finish(answer) {
      const items = [...texts].filter(([key]) => key.startsWith('text '));
      const [last, text] = items.pop() ?? ['text answer', ''];
      const before = items.map(([, each]) => each).join('');
      // A message that was taken into a run is told of that from there on: what is known may begin within the answer.
      const at = answer.startsWith(before) ? 0 : answer.indexOf(before + text);
      return setText('text', last.slice(5), at < 0 ? answer : answer.slice(at + before.length));
    },
  };
}
