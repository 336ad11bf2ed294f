import type { RunPartData } from '@openclaw/protocol/wire';

/** Kinds of failure that clients know how to explain. */
export type ErrorKind = NonNullable<RunPartData<'lifecycle'>['errorKind']>;

/** Tokens used; leave out what is not known. */
export type Usage = RunPartData<'usage'>;

/**
 * A tool call as an agent names it. `safe` means that it changes nothing in the world: it may be repeated after a crash, and a
 * run from outside makes it without a question.
 */
export interface ToolCall {
  toolCallId: string;
  name: string;
  title?: string;
  args?: unknown;
  safe?: boolean;
}

/**
 * What a run yields. A string is text of the answer. Text of one kind that follows text of that kind continues the part;
 * anything else between them begins a new one. `id` names a part, so that it can be continued later.
 */
export type AgentPart =
  | string
  | { type: 'text' | 'thinking'; text: string; id?: string; replace?: boolean }
  | ({ type: 'tool'; phase: 'start' } & ToolCall)
  | { type: 'tool'; phase: 'update'; toolCallId: string; name: string; partialResult: unknown }
  | { type: 'tool'; phase: 'result'; toolCallId: string; name: string; result: unknown; isError?: boolean }
  | ({ type: 'usage' } & Usage)
  | { type: 'notice'; text: string }
  | { type: 'step' }
  | { type: 'end'; stopReason?: string; usage?: Usage }
  | { type: 'fail'; error: string; errorKind?: ErrorKind; reason?: 'failed' | 'interrupted' };

type Shape<T, P = unknown> = Extract<AgentPart, { type: T } & P>;

/** How a text part is addressed: `id` names it; `replace` sets it anew instead of continuing it. */
export interface TextOptions {
  id?: string;
  replace?: boolean;
}

/** Text of the answer; a plain string does the same. */
export const text = (words: string, options: TextOptions = {}): AgentPart => ({
  type: 'text',
  text: words,
  ...options,
});

/** Text of the thinking. */
export const thinking = (words: string, options: TextOptions = {}): AgentPart => ({
  type: 'thinking',
  text: words,
  ...options,
});

/** A tool begins to work. Ask for approval before, never after: an unfinished tool that is not `safe` ends a continued run. */
export const toolStart = (call: ToolCall): Shape<'tool', { phase: 'start' }> => ({
  type: 'tool',
  phase: 'start',
  ...call,
});

/** What a working tool knows so far. */
export const toolUpdate = (
  { toolCallId, name }: Pick<ToolCall, 'toolCallId' | 'name'>,
  partialResult: unknown,
): AgentPart => ({
  type: 'tool',
  phase: 'update',
  toolCallId,
  name,
  partialResult,
});

/** A tool is done; exactly one result ends a call. */
export const toolResult = (
  { toolCallId, name }: Pick<ToolCall, 'toolCallId' | 'name'>,
  result: unknown,
  { isError = false }: { isError?: boolean } = {},
): AgentPart => ({ type: 'tool', phase: 'result', toolCallId, name, result, ...(isError ? { isError } : {}) });

/** Tokens that the run has used so far. */
export const usage = (tokens: Usage): AgentPart => ({ type: 'usage', ...tokens });

/** Words for the person beside the answer, such as that older messages were left out. */
export const notice = (words: string): AgentPart => ({ type: 'notice', text: words });

/** A step is finished: what was yielded before stays as it is when the run has to be continued after a crash. */
export const step = (): AgentPart => ({ type: 'step' });

/** Ends the run well; returning from `run` does the same. Nothing that is yielded after it is sent. */
export const end = (options: { stopReason?: string; usage?: Usage } = {}): AgentPart => ({ type: 'end', ...options });

/** Ends the run as failed, with words for the person; throwing does the same with the message of the error. */
export const fail = (
  error: string,
  options: { errorKind?: ErrorKind; reason?: 'failed' | 'interrupted' } = {},
): AgentPart => ({
  type: 'fail',
  error,
  ...options,
});
