import type { AgentPayload, Part, ResetReason, RunPartData } from '@openclaw/protocol';

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
export class PartFold {
  /** The whole text of each part, by kind and part, in the order of their appearance. */
  #texts = new Map<string, string>();
  #told = new Map<string, string>();
  #resolve: Resolve;

  constructor(resolve: Resolve) {
    this.#resolve = resolve;
  }

  /** The parts that one event of the run gives. */
  step({ stream, data }: AgentPayload): StreamedPart[] {
    switch (stream) {
      case 'assistant':
      case 'thinking': {
        const type = stream === 'assistant' ? 'text' : 'thinking';
        if (data.replace) return this.#setText(type, data.itemId, data.delta);
        const known = this.#text(type, data.itemId);
        // Behind a state that holds only the end of a long part, `at` is more than what is known.
        const delta = data.delta.slice(Math.max(0, Math.min(known.length - data.at, data.delta.length)));
        return delta === '' ? [] : [this.#grow(type, data.itemId, delta)];
      }
      case 'tool':
        this.#told.set(`tool ${data.toolCallId}`, data.phase);
        return [{ type: 'tool', ...data }];
      case 'approval':
        this.#told.set(`approval ${data.approvalId}`, data.phase);
        return [this.#approval(data)];
      case 'item':
        this.#told.set(`item ${data.itemId}`, data.kind);
        return [{ type: 'notice', ...data }];
      case 'usage':
        return [{ type: 'usage', ...data }];
      case 'lifecycle': {
        const { phase, attempt } = data;
        if (phase !== 'queued' && phase !== 'start' && phase !== 'recovering') return [];
        return [{ type: 'status', phase, attempt }];
      }
      default:
        return [];
    }
  }

  /** The parts that bring the reader from what was told to the run's state. */
  catchUp(parts: readonly Part[]): StreamedPart[] {
    return parts.flatMap((part): StreamedPart[] => {
      switch (part.kind) {
        case 'text':
        case 'thinking': {
          const known = this.#text(part.kind, part.itemId);
          const whole = part.start <= known.length ? known.slice(0, part.start) + part.text : part.text;
          return this.#setText(part.kind, part.itemId, whole);
        }
        case 'tool': {
          const { kind, safe, cut, ...data } = part;
          if (!this.#tell(`tool ${part.toolCallId}`, part.phase)) return [];
          return [{ type: 'tool', ...data, safe }];
        }
        case 'approval': {
          const { kind, ...data } = part;
          const phase = part.decision ? 'resolved' : 'requested';
          return this.#tell(`approval ${part.approvalId}`, phase) ? [this.#approval({ ...data, phase })] : [];
        }
        case 'item': {
          const { itemId, item, title } = part;
          if (!this.#tell(`item ${itemId}`, item)) return [];
          return [{ type: 'notice', itemId, kind: item, title }];
        }
        default:
          return [];
      }
    });
  }

  /** The parts that bring the reader to the text of the final answer, when the run ended out of sight. */
  finish(answer: string): StreamedPart[] {
    const items = [...this.#texts].filter(([key]) => key.startsWith('text '));
    const [last = 'text answer'] = items.pop() ?? [];
    const before = items.map(([, text]) => text).join('');
    const rest = answer.startsWith(before) ? answer.slice(before.length) : answer;
    return this.#setText('text', last.slice('text '.length), rest);
  }

  #text(type: string, itemId: string): string {
    return this.#texts.get(`${type} ${itemId}`) ?? '';
  }

  #grow(type: TextPart['type'], itemId: string, delta: string): TextPart {
    const text = this.#text(type, itemId) + delta;
    this.#texts.set(`${type} ${itemId}`, text);
    return { type, itemId, delta, text };
  }

  #setText(type: TextPart['type'], itemId: string, text: string): TextPart[] {
    const known = this.#text(type, itemId);
    if (text === known) return [];
    if (known === '' || text.startsWith(known)) return [this.#grow(type, itemId, text.slice(known.length))];
    this.#texts.set(`${type} ${itemId}`, text);
    return [{ type, itemId, delta: text, text, replace: true }];
  }

  #tell(key: string, phase: string): boolean {
    if (this.#told.get(key) === phase) return false;
    this.#told.set(key, phase);
    return true;
  }

  #approval(data: RunPartData<'approval'>): ApprovalPart {
    return {
      type: 'approval',
      ...data,
      approve: () => this.#resolve(data.approvalId, 'allow'),
      deny: () => this.#resolve(data.approvalId, 'deny'),
    };
  }
}
