import type { RunPart, RunPartData } from '@openclaw/protocol/wire';
import type { Journal, JournalPart } from './journal.ts';
import type { AgentPart } from './part.ts';

type TextStream = 'assistant' | 'thinking';
type JournalText = Extract<JournalPart, { type: 'text' | 'thinking' }>;
type JournalTool = Extract<JournalPart, { type: 'tool' }>;

/** UTF-16 units of one delta; longer text is sent as several. */
const maxDeltaUnits = 32_768;
/** UTF-16 units of the JSON of a tool's args or result; the rest is cut with a mark, so that a frame stays within S22. */
const maxValueUnits = 49_152;

/** What an earlier attempt said in the unfinished step, and what this one has said in its place. */
interface Resaid {
  stream: TextStream;
  itemId: string;
  start: number;
  before: string;
  /** UTF-16 units of `before` that were said again, word for word; undefined before the first. */
  same: number | undefined;
}

/**
 * Turns what a run yields into parts of the wire: names parts, counts text, and continues a journal. Pure.
 *
 * Parts of finished steps stay. A part of the unfinished step that is said anew is compared with what stands there: as long
 * as the words are the same nothing is sent, what goes beyond is appended, and the first difference sets the part anew
 * with `replace`. So a run that says the same again goes on in mid-sentence, and one that doesn't replaces its part. What
 * of the unfinished step is not said anew by the next step or the end is emptied, tools that never ended get an error.
 */
export class PartWriter {
  #counts: Record<TextStream, number> = { assistant: 0, thinking: 0 };
  #toolCount = 0;
  #itemCount = 0;
  /** The part that text without more words belongs to; `name` is what its author called it. */
  #open: { stream: TextStream; itemId: string; name: string | undefined } | undefined;
  #lengths = new Map<string, number>();
  #resaid = new Map<string, Resaid>();
  #earlierTools = new Map<string, JournalTool>();
  #earlierNotices: string[] = [];
  #askedApprovals = new Set<string>();

  constructor({ steps, open }: Journal = { steps: [], open: [] }) {
    this.#itemCount = steps.length;
    for (const part of steps.flat()) this.#keep(part);
    for (const part of open) {
      if (part.type === 'text' || part.type === 'thinking') this.#expect(part);
      else if (part.type === 'tool') this.#earlierTools.set(part.toolCallId, part);
      else this.#keep(part);
      if (part.type === 'notice') this.#earlierNotices.push(part.text);
    }
  }

  /** The id of a tool call that the run does not name: the same at every attempt. */
  nextToolCallId(): string {
    return `tool-${++this.#toolCount}`;
  }

  /** Leaves the parts of the unfinished step as they are; what comes goes on after them. */
  keepOpenStep(): void {
    for (const { stream, itemId, start, before } of this.#resaid.values()) {
      this.#lengths.set(keyOf(stream, itemId), start + before.length);
      this.#countText(stream, itemId);
    }
    this.#resaid.clear();
    for (const tool of this.#earlierTools.values()) this.#keep(tool);
  }

  /** The wire parts of one yielded part; none when it was said before. `end` and `fail` are the caller's. */
  write(part: Exclude<AgentPart, { type: 'end' | 'fail' }>): RunPart[] {
    if (typeof part === 'string') return this.#text('assistant', part);
    switch (part.type) {
      case 'text':
      case 'thinking':
        return this.#text(part.type === 'text' ? 'assistant' : 'thinking', part.text, part.id, part.replace === true);
      case 'tool':
        return this.#tool(part);
      case 'usage': {
        const { type, ...tokens } = part;
        return [{ stream: 'usage', data: tokens }];
      }
      case 'notice': {
        const index = this.#earlierNotices.indexOf(part.text);
        if (index >= 0) {
          this.#earlierNotices.splice(index, 1);
          return this.#close();
        }
        return [...this.#close(), this.#item({ kind: 'notice', title: part.text.slice(0, 1024) })];
      }
      case 'step':
        return [...this.settle(), this.#item({ kind: 'step' })];
    }
  }

  /** A steering message was taken in. */
  steered(inputId: string): RunPart[] {
    return [...this.#close(), this.#item({ kind: 'steered', inputId })];
  }

  /** A question to a person; none when an earlier attempt asked it. */
  approval(data: Omit<RunPartData<'approval'>, 'phase'>): RunPart[] {
    if (this.#askedApprovals.has(data.approvalId)) return this.#close();
    this.#askedApprovals.add(data.approvalId);
    return [...this.#close(), { stream: 'approval', data: { phase: 'requested', ...data, ...cut('args', data.args) } }];
  }

  /** Finishes what stands of the unfinished step: called by `step`, and by the run's owner before a terminal part. */
  settle(): RunPart[] {
    const parts: RunPart[] = [];
    for (const resaid of [...this.#resaid.values()]) parts.push(...this.#replace(resaid));
    for (const { toolCallId, name, isFinished } of this.#earlierTools.values()) {
      if (isFinished) continue;
      const result = 'The call was cut off by a restart; it was not finished.';
      parts.push({ stream: 'tool', data: { phase: 'result', toolCallId, name, result, isError: true } });
    }
    this.#earlierTools.clear();
    this.#earlierNotices = [];
    this.#open = undefined;
    return parts;
  }

  #text(stream: TextStream, words: string, id?: string, isReplacing = false): RunPart[] {
    if (words === '' && !isReplacing) return [];
    const isContinued = this.#open?.stream === stream && this.#open.name === id;
    const before = isContinued ? [] : this.#close();
    if (!this.#open) this.#open = { stream, itemId: id ?? this.#nextItemId(stream), name: id };
    return [...before, ...this.#say(this.#open.itemId, stream, words, isReplacing)];
  }

  #nextItemId(stream: TextStream): string {
    return `${stream === 'assistant' ? 'text' : 'thinking'}-${++this.#counts[stream]}`;
  }

  #say(itemId: string, stream: TextStream, words: string, isReplacing: boolean): RunPart[] {
    const key = keyOf(stream, itemId);
    const resaid = this.#resaid.get(key);
    if (!resaid) {
      const at = isReplacing ? 0 : (this.#lengths.get(key) ?? 0);
      this.#lengths.set(key, at + words.length);
      return deltas(stream, itemId, at, words, isReplacing);
    }
    const { before, start } = resaid;
    const same = isReplacing ? 0 : (resaid.same ?? 0);
    if (start === 0 && before.startsWith(words, same)) {
      resaid.same = same + words.length;
      return [];
    }
    if (start > 0 || !words.startsWith(before.slice(same))) return this.#replace(resaid, before.slice(0, same) + words);
    this.#resaid.delete(key);
    this.#lengths.set(key, same + words.length);
    return deltas(stream, itemId, before.length, words.slice(before.length - same), false);
  }

  /** Ends the part that is being said; when it is shorter than what stands there, it is set anew. */
  #close(): RunPart[] {
    const open = this.#open;
    this.#open = undefined;
    const resaid = open && this.#resaid.get(keyOf(open.stream, open.itemId));
    return resaid?.same === undefined ? [] : this.#replace(resaid);
  }

  /** Sets a part of the unfinished step anew; without `words` to what was said again of it. */
  #replace({ stream, itemId, start, before, same = 0 }: Resaid, words = before.slice(0, same)): RunPart[] {
    const key = keyOf(stream, itemId);
    this.#resaid.delete(key);
    this.#lengths.set(key, words.length);
    return start === 0 && words === before ? [] : deltas(stream, itemId, 0, words, true);
  }

  #tool(part: Extract<AgentPart, { type: 'tool' }>): RunPart[] {
    const { type, toolCallId, ...rest } = part;
    const earlier = this.#earlierTools.get(toolCallId);
    if (earlier?.isFinished || (earlier && part.phase === 'start')) return this.#close();
    if (part.phase === 'result') this.#earlierTools.delete(toolCallId);
    const data = { toolCallId, ...rest, ...cut('args', 'args' in part ? part.args : undefined) };
    if ('partialResult' in part) Object.assign(data, cut('partialResult', part.partialResult));
    if ('result' in part) Object.assign(data, cut('result', part.result));
    return [...this.#close(), { stream: 'tool', data }];
  }

  #item(item: Omit<RunPartData<'item'>, 'itemId'>): RunPart {
    return { stream: 'item', data: { itemId: `item-${++this.#itemCount}`, ...item } };
  }

  #keep(part: JournalPart): void {
    if (part.type === 'text' || part.type === 'thinking') {
      const stream = streamOf(part);
      this.#lengths.set(keyOf(stream, part.id), part.start + part.text.length);
      this.#countText(stream, part.id);
    } else if (part.type === 'tool') {
      this.#toolCount = Math.max(this.#toolCount, numberOf(part.toolCallId, 'tool-'));
    } else if (part.type === 'approval') {
      this.#askedApprovals.add(part.approvalId);
    } else {
      this.#itemCount++;
    }
  }

  #expect(part: JournalText): void {
    const stream = streamOf(part);
    const { id: itemId, start, text: before } = part;
    this.#resaid.set(keyOf(stream, itemId), { stream, itemId, start, before, same: undefined });
  }

  #countText(stream: TextStream, itemId: string): void {
    const number = numberOf(itemId, stream === 'assistant' ? 'text-' : 'thinking-');
    this.#counts[stream] = Math.max(this.#counts[stream], number);
  }
}

function streamOf({ type }: JournalText): TextStream {
  return type === 'text' ? 'assistant' : 'thinking';
}

/** Text and thinking are told apart by their stream: the same name may be used in both. */
function keyOf(stream: TextStream, itemId: string): string {
  return `${stream} ${itemId}`;
}

function deltas(stream: TextStream, itemId: string, at: number, words: string, isReplacing: boolean): RunPart[] {
  const parts: RunPart[] = [];
  let from = 0;
  do {
    let to = Math.min(words.length, from + maxDeltaUnits);
    // A cut inside a surrogate pair would leave two halves that no reader can show.
    if (to < words.length && (words.charCodeAt(to - 1) & 0xfc00) === 0xd800) to--;
    const replace = isReplacing && from === 0 ? { replace: true as const } : {};
    parts.push({ stream, data: { itemId, at: at + from, delta: words.slice(from, to), ...replace } });
    from = to;
  } while (from < words.length);
  return parts;
}

/** `{[name]: value}`, the value shortened with a mark when its JSON is long; `{}` when there is none. */
function cut(name: string, value: unknown): Record<string, unknown> {
  if (value === undefined) return {};
  const json = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'null');
  if (json.length <= maxValueUnits) return { [name]: typeof value === 'string' ? value : JSON.parse(json) };
  return { [name]: `${json.slice(0, maxValueUnits)}… (${json.length - maxValueUnits} more characters were cut)` };
}

function numberOf(id: string, prefix: string): number {
  const number = id.startsWith(prefix) ? Number(id.slice(prefix.length)) : 0;
  return Number.isSafeInteger(number) ? number : 0;
}
