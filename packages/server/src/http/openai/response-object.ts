import type { Answer, TokenUsage } from './answer.ts';
import type { HttpRun } from './http-runs.ts';

/** One message of an answer's output. */
export interface OutputMessage {
  id: string;
  type: 'message';
  status: 'in_progress' | 'completed' | 'incomplete';
  role: 'assistant';
  content: { type: 'output_text'; text: string; annotations: never[]; logprobs: never[] }[];
}

export type ResponseStatus = 'queued' | 'in_progress' | 'completed' | 'failed' | 'incomplete' | 'cancelled';

/** The id of a run as a response. */
export function responseId(runId: string): string {
  return `resp_${runId}`;
}

/** The run that a response's id names; undefined when it is no such id. */
export function runIdOf(id: string): string | undefined {
  return /^resp_([0-9a-f]{32})$/.exec(id)?.[1];
}

/** The text of a message's output as a content part. */
export function textPart(text: string): OutputMessage['content'][number] {
  return { type: 'output_text', text, annotations: [], logprobs: [] };
}

/** A message of the output. `number` is 1 for the first; more when the answer was begun anew. */
export function outputMessage(
  { runId }: HttpRun,
  number: number,
  status: OutputMessage['status'],
  text?: string,
): OutputMessage {
  const id = number === 1 ? `msg_${runId}` : `msg_${runId}_${number}`;
  return { id, type: 'message', status, role: 'assistant', content: text === undefined ? [] : [textPart(text)] };
}

/** Where a response stands. */
export function statusOf({ end, isStarted }: Pick<Answer, 'end' | 'isStarted'>): ResponseStatus {
  if (!end) return isStarted ? 'in_progress' : 'queued';
  if (end.kind === 'failed') return end.isAborted ? 'cancelled' : 'failed';
  return end.finish === 'stop' ? 'completed' : 'incomplete';
}

/** A response in OpenAI's shape. Settings that a model has and an agent keeps to itself are null. */
export function responseObject(
  run: HttpRun,
  answer: Pick<Answer, 'end' | 'isStarted' | 'usage'>,
  output: OutputMessage[],
): object {
  const { end } = answer;
  const isFailed = end?.kind === 'failed' && !end.isAborted;
  const isCut = end?.kind === 'answered' && end.finish !== 'stop';
  return {
    id: responseId(run.runId),
    object: 'response',
    created_at: Math.floor(run.createdAtMs / 1_000),
    status: statusOf(answer),
    error: isFailed ? { code: 'server_error', message: end.message } : null,
    incomplete_details: isCut ? { reason: end.finish === 'length' ? 'max_output_tokens' : 'content_filter' } : null,
    instructions: null,
    max_output_tokens: null,
    metadata: {},
    model: run.model,
    output,
    parallel_tool_calls: true,
    previous_response_id: run.previousId ?? null,
    reasoning: { effort: null, summary: null },
    store: true,
    temperature: null,
    text: { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: [],
    top_p: null,
    truncation: 'disabled',
    usage: end ? responseUsage(answer.usage) : null,
    user: null,
  };
}

/** A response as it is now, with what is said so far. */
export function responseNow(run: HttpRun, answer: Answer): object {
  const { end, text } = answer;
  const status = !end ? 'in_progress' : statusOf(answer) === 'completed' ? 'completed' : 'incomplete';
  return responseObject(run, answer, text === '' ? [] : [outputMessage(run, 1, status, text)]);
}

function responseUsage({ inputTokens, outputTokens, totalTokens }: TokenUsage) {
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: totalTokens,
  };
}
