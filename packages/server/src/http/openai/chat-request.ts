import { z } from 'zod';
import { messageContent, readContent, type Turn } from './content-parts.ts';
import { badRequest } from './problem.ts';
import { type Asked, maxMessages, refuseTools, splitTurns } from './request.ts';

/**
 * The body of `POST /v1/chat/completions` as far as it is read. Fields that only tune a model (`temperature`, `top_p`,
 * `max_tokens`, `stop`, `seed`, penalties, …) are taken and have no effect: the agent has its own settings.
 */
export const chatRequest = z.looseObject({
  model: z.string().min(1).max(256),
  messages: z
    .array(
      z.looseObject({
        role: z.enum(['system', 'developer', 'user', 'assistant', 'tool', 'function']),
        content: messageContent,
        tool_calls: z.array(z.unknown()).nullish(),
      }),
    )
    .min(1)
    .max(maxMessages),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  user: z.string().max(256).nullish(),
  n: z.int().nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().nullish(),
  tools: z.array(z.unknown()).nullish(),
  functions: z.array(z.unknown()).nullish(),
  response_format: z.looseObject({ type: z.string() }).nullish(),
  modalities: z.array(z.string()).nullish(),
});

/** What a chat request asks; throws a 400 for what the gateway can't do. */
export function readChat(body: z.output<typeof chatRequest>): Asked & { includesUsage: boolean } {
  refuseTools(body.tools, body.functions);
  if ((body.n ?? 1) !== 1) throw badRequest('`n` has to be 1: a run has one answer.');
  if (body.logprobs || body.top_logprobs) throw badRequest('`logprobs` are not supported; leave the field out.');
  if ((body.response_format?.type ?? 'text') !== 'text')
    throw badRequest('`response_format` has to be text: the agent answers in words.');
  if (body.modalities?.some((modality) => modality !== 'text')) throw badRequest('`modalities` has to be ["text"].');
  return {
    model: body.model,
    user: body.user ?? undefined,
    ...splitTurns(body.messages.map(readMessage)),
    isStreaming: body.stream === true,
    includesUsage: body.stream_options?.include_usage === true,
  };
}

function readMessage(
  { role, content, tool_calls }: z.output<typeof chatRequest>['messages'][number],
  index: number,
): Turn {
  if (role === 'tool' || role === 'function' || tool_calls?.length)
    throw badRequest(`/messages/${index}: tool calls of the caller's are not supported; leave these messages out.`);
  return { role: role === 'developer' ? 'system' : role, ...readContent(content, `/messages/${index}/content`) };
}
