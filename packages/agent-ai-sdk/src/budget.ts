import type { ModelMessage, ToolResultPart } from 'ai';

/** A conversation that fits, and what it cost. */
export interface Fitted {
  messages: ModelMessage[];
  /** Older messages that were left out. */
  droppedCount: number;
  /** Tool answers of this run that were shortened. */
  shortenedCount: number;
}

const charsPerToken = 4;
const fileTokens = 1_500;
const messageTokens = 8;
const shortened = '(This answer was left out to save space; call the tool again if it is needed.)';

/** Tokens that messages take, estimated: four characters each, 1,500 for a file. */
export function estimateTokens(messages: readonly ModelMessage[]): number {
  let tokens = 0;
  for (const { content } of messages) {
    tokens += messageTokens;
    if (typeof content === 'string') tokens += content.length / charsPerToken;
    else for (const part of content) tokens += partTokens(part);
  }
  return Math.ceil(tokens);
}

/**
 * The newest part of a conversation that fits into `maxTokens`. Whole turns go, oldest first (a message of the person with all
 * that was answered to it), so that a tool call never loses its answer; the last turn always stays. If that alone is
 * too long, its tool answers are shortened, oldest first, but for the last step's. Pure.
 */
export function fitMessages(messages: readonly ModelMessage[], maxTokens: number): Fitted {
  const starts = messages.flatMap(({ role }, index) =>
    role === 'user' && messages[index - 1]?.role !== 'user' ? [index] : [],
  );
  let first = 0;
  let kept = messages.slice();
  for (const start of starts) {
    if (estimateTokens(kept) <= maxTokens) break;
    first = start;
    kept = messages.slice(first);
  }
  let shortenedCount = 0;
  const lastAnswers = kept.findLastIndex(({ role }) => role === 'tool');
  for (let index = 0; index < lastAnswers && estimateTokens(kept) > maxTokens; index++) {
    const message = kept[index];
    if (message?.role !== 'tool') continue;
    const content = message.content.map((part) => (part.type === 'tool-result' ? shorten(part) : part));
    if (content.every((part, at) => part === message.content[at])) continue;
    shortenedCount++;
    kept[index] = { ...message, content };
  }
  return { messages: kept, droppedCount: first, shortenedCount };
}

function shorten(part: ToolResultPart): ToolResultPart {
  const isLong = part.output.type === 'text' && part.output.value.length > 2 * shortened.length;
  return isLong ? { ...part, output: { type: 'text', value: shortened } } : part;
}

function partTokens(part: Exclude<ModelMessage['content'], string>[number]): number {
  if (part.type === 'text' || part.type === 'reasoning') return part.text.length / charsPerToken;
  if (part.type === 'file' || part.type === 'image') return fileTokens;
  return JSON.stringify(part).length / charsPerToken;
}
