import { DeltaMismatchError } from './delta.ts';
import type { AgentPayload, RunPartData } from './events/run.ts';
import type { Approval, ContentBlock, Message, SessionEntry } from './events/session.ts';

/** A part of an open run. */
export type Part =
  | { kind: 'text' | 'thinking'; itemId: string; start: number; text: string }
  | {
      kind: 'tool';
      toolCallId: string;
      name: string;
      title?: string;
      args?: unknown;
      safe: boolean;
      phase: 'start' | 'update' | 'result';
      partialResult?: unknown;
      result?: unknown;
      isError?: boolean;
      cut?: true;
    }
  | {
      kind: 'approval';
      approvalId: string;
      title: string;
      description?: string;
      toolCallId?: string;
      args?: unknown;
      expiresAt?: number;
      decision?: 'allow' | 'deny';
      cut?: true;
    }
  | { kind: 'item'; itemId: string; item: 'step' | 'notice' | 'steered'; title?: string; inputId?: string };

/** A run that has no terminal event yet. */
export interface OpenRun {
  runId: string;
  agentId: string;
  status: 'queued' | 'running' | 'recovering';
  /** The last `seq` of its agent events. */
  seq: number;
  /** The last `n` of its emits; 0 before the first. */
  n: number;
  attempt: number;
  startedAt?: number;
  parts: Part[];
  /** Present when the state let go of the run's first parts; the log has them. */
  isCut?: true;
  usage?: RunPartData<'usage'>;
}

/** A message that waits for the run in progress. */
export interface QueuedInput {
  runId: string;
  mode: 'steer' | 'followup' | 'collect' | 'interrupt';
  message: Message;
  /** The trace that it belongs to (W3C). */
  traceparent?: string;
}

/** The state of a session's stream (S11). `entry` is absent before the first event. */
export interface SessionState {
  kind: 'session';
  entry?: SessionEntry;
  /** The newest, at most {@link keptMessages}; long ones cut, with a mark. */
  messages: Message[];
  messageCount: number;
  inputs: QueuedInput[];
  runs: OpenRun[];
}

/** Messages that a session's state holds; older ones come from `chat.history`. */
export const keptMessages = 50;
/** UTF-16 units of one text in a kept message; the rest is cut with a mark. */
const keptTextUnits = 2_000;
/** The same of a message that waits. */
const keptInputUnits = 500;
/** Blocks of a message, and of one that waits. */
const keptBlocks = 40;
export const keptInputBlocks = 4;
/** UTF-16 units of an open run's part that its state holds: its end; `start` says where that begins. */
const keptPartUnits = 4_000;
/** Parts of an open run that its state holds, and their UTF-16 units together: its newest. */
const keptParts = 60;
const keptRunUnits = 24_000;
const keptToolUnits = 2_000;
/** UTF-16 units of all kept messages together; the oldest go first. With the above, a state stays within 256 KiB. */
const keptMessageUnits = 60_000;

export const emptySession: SessionState = { kind: 'session', messages: [], messageCount: 0, inputs: [], runs: [] };

/** The text length of a part so far, in UTF-16 units. */
export function partLength(part: { start: number; text: string }): number {
  return part.start + part.text.length;
}

interface SessionEvent {
  event: string;
  payload: unknown;
}

/** One step of a session's state. Pure: unknown events leave it as it is. */
export function reduceSession(state: SessionState, { event, payload }: SessionEvent): SessionState {
  switch (event) {
    case 'agent':
      return reduceRun(state, payload as AgentPayload);
    case 'session.created':
    case 'session.updated':
      return { ...state, entry: (payload as { entry: SessionEntry }).entry };
    case 'session.message': {
      const { message, messageSeq, n } = payload as { message: Message; messageSeq: number; n?: number };
      const messages = keepNewest([...state.messages.slice(1 - keptMessages), cutMessage(message)]);
      const entry = state.entry ? { ...state.entry, updatedAt: message.timestamp } : undefined;
      const next: SessionState = { ...state, ...(entry ? { entry } : {}), messages, messageCount: messageSeq };
      return n === undefined || message.runId === undefined
        ? next
        : { ...next, runs: next.runs.map((run) => (run.runId === message.runId ? { ...run, n } : run)) };
    }
    case 'session.input': {
      const input = payload as QueuedInput & { phase: 'queued' | 'taken' | 'dropped' };
      const others = state.inputs.filter((queued) => queued.runId !== input.runId);
      if (input.phase !== 'queued') return { ...state, inputs: others };
      return {
        ...state,
        inputs: [
          ...others,
          {
            runId: input.runId,
            mode: input.mode,
            message: cutMessage(input.message, keptInputUnits, keptInputBlocks),
            ...(input.traceparent === undefined ? {} : { traceparent: input.traceparent }),
          },
        ],
      };
    }
    case 'session.reset':
      return {
        ...emptySession,
        entry: (payload as { entry: SessionEntry }).entry,
        inputs: state.inputs,
        runs: state.runs,
      };
    default:
      return state;
  }
}

function reduceRun(state: SessionState, payload: AgentPayload): SessionState {
  const index = state.runs.findIndex((run) => run.runId === payload.runId);
  const known = state.runs[index];
  if (payload.stream === 'lifecycle' && (payload.data.phase === 'end' || payload.data.phase === 'error')) {
    const entry = state.entry ? { ...state.entry, updatedAt: payload.ts } : undefined;
    return { ...state, ...(entry ? { entry } : {}), runs: state.runs.filter((run) => run.runId !== payload.runId) };
  }
  if (!known && payload.stream !== 'lifecycle') return state;
  const run: OpenRun = known ?? {
    runId: payload.runId,
    agentId: payload.agentId,
    status: 'queued',
    seq: 0,
    n: 0,
    attempt: 0,
    parts: [],
  };
  const next = stepRun(run, payload);
  const [first] = run.parts;
  if (first && next.parts[0] && partId(first) !== partId(next.parts[0])) next.isCut = true;
  next.seq = payload.seq;
  if (payload.n !== undefined) next.n = payload.n;
  const runs = state.runs.slice();
  if (known) runs[index] = next;
  else runs.push(next);
  return { ...state, runs };
}

/** A fresh copy of the run after the event; the caller stamps `seq` and `n`. */
function stepRun(run: OpenRun, { stream, data }: AgentPayload): OpenRun {
  switch (stream) {
    case 'lifecycle':
      if (data.phase === 'start') {
        const startedAt = run.startedAt ?? data.startedAt;
        return {
          ...run,
          status: 'running',
          attempt: data.attempt ?? run.attempt + 1,
          ...(startedAt === undefined ? {} : { startedAt }),
        };
      }
      return { ...run, status: data.phase === 'recovering' ? 'recovering' : 'queued' };
    case 'assistant':
    case 'thinking':
      return { ...run, parts: appendDelta(run.parts, stream === 'assistant' ? 'text' : 'thinking', data) };
    case 'tool':
      return { ...run, parts: stepTool(run.parts, data) };
    case 'approval': {
      const { phase, decision, reason, ...asked } = data;
      if (phase === 'requested') {
        const { args, description, ...named } = asked;
        const question = { ...named, ...cutValue('args', args), ...cutValue('description', description) };
        return { ...run, parts: addPart(run.parts, { kind: 'approval', ...question } as Part) };
      }
      const parts = run.parts.map((part) =>
        part.kind === 'approval' && part.approvalId === data.approvalId
          ? { ...part, decision: decision ?? 'deny' }
          : part,
      );
      return { ...run, parts };
    }
    case 'item':
      return {
        ...run,
        parts: addPart(run.parts, {
          kind: 'item',
          itemId: data.itemId,
          item: data.kind,
          ...(data.title === undefined ? {} : { title: data.title }),
          ...(data.inputId === undefined ? {} : { inputId: data.inputId }),
        }),
      };
    case 'usage':
      return { ...run, usage: { ...run.usage, ...data } };
    default:
      return { ...run };
  }
}

function appendDelta(
  parts: Part[],
  kind: 'text' | 'thinking',
  { itemId, at, delta, replace }: RunPartData<'assistant'>,
): Part[] {
  let index = parts.length - 1;
  while (index >= 0 && !isTextPart(parts[index], kind, itemId)) index--;
  const part = parts[index] as Extract<Part, { kind: 'text' | 'thinking' }> | undefined;
  if (replace) {
    const fresh = keepEnd({ kind, itemId, start: 0, text: delta });
    return part ? parts.with(index, fresh) : addPart(parts, fresh);
  }
  // An unknown part that doesn't begin at 0 is one that the state let go of.
  if (!part) return addPart(parts, keepEnd({ kind, itemId, start: at, text: delta }));
  const length = partLength(part);
  if (at > length) throw new DeltaMismatchError(itemId, length, at);
  const news = delta.slice(length - at);
  return news === '' ? parts : parts.with(index, keepEnd({ ...part, text: part.text + news }));
}

function isTextPart(part: Part | undefined, kind: string, itemId: string): boolean {
  return part !== undefined && part.kind === kind && (part as { itemId: string }).itemId === itemId;
}

/**
 * Cuts the beginning off a long part, at most at every {@link keptPartUnits} units. Where it begins follows from its whole
 * length alone, so that merged deltas give the same state as one by one.
 */
function keepEnd<P extends { start: number; text: string }>(part: P): P {
  const whole = Math.floor(partLength(part) / keptPartUnits) - 1;
  const start = Math.max(part.start, whole * keptPartUnits);
  return start === part.start ? part : { ...part, start, text: part.text.slice(start - part.start) };
}

function stepTool(parts: Part[], data: RunPartData<'tool'>): Part[] {
  const index = parts.findIndex((part) => part.kind === 'tool' && part.toolCallId === data.toolCallId);
  const part = parts[index];
  const { phase, toolCallId, name } = data;
  const known = part?.kind === 'tool' ? part : undefined;
  const next: Part = {
    ...(known ?? { kind: 'tool', toolCallId, name, safe: data.safe === true }),
    phase,
    ...(data.title === undefined ? {} : { title: data.title }),
    ...cutValue('args', data.args),
    ...cutValue('partialResult', data.partialResult),
    ...cutValue('result', data.result),
    ...(data.isError === undefined ? {} : { isError: data.isError }),
  };
  if (phase === 'result') delete next.partialResult;
  return known ? parts.with(index, next) : addPart(parts, next);
}

function addPart(parts: Part[], part: Part): Part[] {
  let first = Math.max(0, parts.length - keptParts + 1);
  let units = 0;
  for (let index = parts.length - 1; index >= first; index--) {
    units += partUnits(parts[index] as Part);
    if (units > keptRunUnits) first = index + 1;
  }
  return [...parts.slice(first), part];
}

function partId(part: Part): string {
  if (part.kind === 'tool') return `tool ${part.toolCallId}`;
  return part.kind === 'approval' ? `approval ${part.approvalId}` : `${part.kind} ${part.itemId}`;
}

function partUnits(part: Part): number {
  if (part.kind === 'text' || part.kind === 'thinking') return part.text.length;
  return part.kind === 'item' ? 100 : JSON.stringify(part).length;
}

function keepNewest(messages: Message[]): Message[] {
  let units = 0;
  let first = messages.length;
  while (first > 0) {
    units += messageUnits(messages[first - 1] as Message);
    if (units > keptMessageUnits) break;
    first--;
  }
  return first === 0 ? messages : messages.slice(Math.min(first, messages.length - 1));
}

function messageUnits({ content }: Message): number {
  let units = 200;
  for (const block of content) {
    if (block.type === 'text') units += block.text.length;
    else if (block.type === 'thinking') units += block.thinking.length;
    else units += JSON.stringify(block).length;
  }
  return units;
}

function cutValue<K extends string>(name: K, value: unknown): Partial<Record<K, unknown>> & { cut?: true } {
  if (value === undefined) return {};
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return { [name]: value } as never;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  if (text === undefined) return {};
  if (text.length <= keptToolUnits) return { [name]: value } as never;
  return { [name]: text.slice(0, keptToolUnits), cut: true } as never;
}

/** A message as the state holds it: each text at most {@link keptTextUnits} long. */
function cutMessage(message: Message, textUnits = keptTextUnits, blocks = keptBlocks): Message {
  let isWhole = true;
  const content = message.content.map((block): ContentBlock => {
    const short = cutBlock(block, textUnits);
    if (short !== block) isWhole = false;
    return short;
  });
  const kept = content.length > blocks ? content.slice(-blocks) : content;
  return isWhole && kept === content ? message : { ...message, content: kept };
}

function cutBlock(block: ContentBlock, textUnits: number): ContentBlock {
  switch (block.type) {
    case 'text':
      return block.text.length > textUnits ? { ...block, text: block.text.slice(0, textUnits), cut: true } : block;
    case 'thinking':
      return block.thinking.length > textUnits
        ? { ...block, thinking: block.thinking.slice(0, textUnits), cut: true }
        : block;
    case 'toolCall':
      return { ...block, arguments: cutValue('value', block.arguments).value };
    case 'toolResult': {
      const { value, cut } = cutValue('value', block.content);
      return cut ? { ...block, content: value, cut } : block;
    }
    case 'media':
      return block;
  }
}

/** What a client may show of approvals that wait (the state of the stream `approvals`). */
export interface ApprovalsState {
  kind: 'approvals';
  open: Approval[];
}
