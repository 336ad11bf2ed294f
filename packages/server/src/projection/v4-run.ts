import type { AgentPayload, RunPart } from '@openclaw/protocol';
import { RunText, type TextCursor } from './run-text.ts';

type TextPayload = Extract<AgentPayload, { stream: 'assistant' | 'thinking' }>;

/** Who a run belongs to, as every payload names it. */
export type RunIdentity = Pick<AgentPayload, 'runId' | 'sessionKey' | 'sessionId' | 'agentId'>;

/** A text that went on, and what the readers that keep up had seen of it before. */
export interface PendingText {
  text: RunText;
  before: TextCursor;
}

/** An open run as v4 sees it: every text in full, since v4 sends whole texts again and again (S12). */
export class V4Run {
  readonly identity: RunIdentity;
  /** The whole answer over all its parts: v4's chat has one text per run. */
  readonly answer = new RunText('chat', '');
  startedAt: number | undefined;
  /** Takes back the end of the time in which deltas are joined; undefined when none are being joined. */
  stopJoining: (() => void) | undefined;
  readonly #texts = new Map<string, RunText>();
  readonly #changed = new Set<RunText>();
  readonly #isMetMidway: boolean;
  #lastOfAnswer: RunText | undefined;

  /** `journal` is what was said before the run was met in its middle; readers are taken to have seen it. */
  constructor(identity: RunIdentity, journal?: readonly RunPart[]) {
    this.identity = identity;
    this.#isMetMidway = journal !== undefined;
    for (const part of journal ?? []) {
      if (part.stream !== 'assistant' && part.stream !== 'thinking') continue;
      this.#add(part.stream, part.data.itemId, part.data.delta);
    }
    this.#joinAnswer();
    this.answer.sent = this.answer.end;
  }

  /** Whether some text went on since the last {@link takePending}. */
  get hasPending(): boolean {
    return this.#changed.size > 0;
  }

  /** Whether what comes before this delta is known. */
  precedes({ stream, data }: TextPayload): boolean {
    return data.at <= (this.#texts.get(textKey(stream, data.itemId))?.text.length ?? 0);
  }

  /** A committed delta. What the run has of it already is left out. */
  apply({ stream, data, seq, ts }: TextPayload): void {
    const text = this.#texts.get(textKey(stream, data.itemId)) ?? this.#add(stream, data.itemId, '');
    const news = data.delta.slice(Math.max(0, text.text.length - data.at));
    // What this replaces was said before the run was met: readers may have it, from the history or an earlier process.
    const isRewrite = this.#isMetMidway && text.seq === 0 ? true : undefined;
    if (data.replace) text.set(data.delta, isRewrite);
    else text.append(news);
    this.#touch(text, seq, ts);
    if (stream !== 'assistant') return;
    if (data.replace) this.#joinAnswer(isRewrite);
    else if (text === this.#lastOfAnswer) this.answer.append(news);
    else this.#joinAnswer();
    this.#touch(this.answer, seq, ts);
  }

  /** The texts that went on, in the order of their last events, the answer last. They count as sent from now on. */
  takePending(): PendingText[] {
    const changed = inOrder(this.#changed, this);
    this.#changed.clear();
    return changed.map((text) => {
      const before = text.sent;
      text.sent = text.end;
      return { text, before };
    });
  }

  #add(stream: 'assistant' | 'thinking', itemId: string, words: string): RunText {
    const text = new RunText(stream, itemId, words);
    this.#texts.set(textKey(stream, itemId), text);
    if (stream === 'assistant') this.#lastOfAnswer = text;
    return text;
  }

  #touch(text: RunText, seq: number, ts: number): void {
    text.seq = seq;
    text.ts = ts;
    this.#changed.add(text);
  }

  #joinAnswer(isRewrite?: boolean): void {
    let whole = '';
    for (const { stream, text } of this.#texts.values()) if (stream === 'assistant') whole += text;
    this.answer.set(whole, isRewrite);
  }
}

/**
 * The part of a journal that lies before a delta of it. The journal may be ahead of the event: it is of the moment of the
 * call, and other events of the same commit may be in it. Pure.
 */
export function journalBefore(journal: readonly RunPart[], { stream, data }: TextPayload): RunPart[] {
  const before: RunPart[] = [];
  for (const part of journal) {
    if (part.stream !== 'assistant' && part.stream !== 'thinking') continue;
    const isPart = part.stream === stream && part.data.itemId === data.itemId;
    before.push(isPart ? { ...part, data: { ...part.data, delta: part.data.delta.slice(0, data.at) } } : part);
    if (isPart) return before;
  }
  return before;
}

/** Texts in the order of their last events; the answer after the part that it was made of. */
export function inOrder(texts: Iterable<RunText>, { answer }: V4Run): RunText[] {
  return [...texts].sort((a, b) => a.seq - b.seq || Number(a === answer) - Number(b === answer));
}

function textKey(stream: string, itemId: string): string {
  return `${stream} ${itemId}`;
}
