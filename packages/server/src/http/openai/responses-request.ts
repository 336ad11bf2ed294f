import { z } from 'zod';
import { messageContent, readContent, type Turn } from './content-parts.ts';
import { badRequest } from './problem.ts';
import { type Asked, maxMessages, refuseTools, splitTurns } from './request.ts';

const inputItem = z.looseObject({
  type: z.string().default('message'),
  role: z.enum(['system', 'developer', 'user', 'assistant']).optional(),
  content: messageContent,
});

/**
 * The body of `POST /v1/responses` as far as it is read. Fields that only tune a model, `metadata` and `store` are taken and
 * have no effect.
 */
export const responsesRequest = z.looseObject({
  model: z.string().min(1).max(256),
  input: z.union([z.string(), z.array(inputItem).min(1).max(maxMessages)]),
  instructions: z.string().nullish(),
  previous_response_id: z.string().max(256).nullish(),
  stream: z.boolean().nullish(),
  background: z.boolean().nullish(),
  user: z.string().max(256).nullish(),
  tools: z.array(z.unknown()).nullish(),
  top_logprobs: z.int().nullish(),
  text: z.looseObject({ format: z.looseObject({ type: z.string() }).nullish() }).nullish(),
  conversation: z.unknown().optional(),
  prompt: z.unknown().optional(),
});

/** What a request asks; throws a 400 for what the gateway can't do. */
export function readResponses(
  body: z.output<typeof responsesRequest>,
): Asked & { previousId: string | undefined; isBackground: boolean } {
  refuseTools(body.tools);
  if (body.top_logprobs) throw badRequest('`top_logprobs` are not supported; leave the field out.');
  if ((body.text?.format?.type ?? 'text') !== 'text')
    throw badRequest('`text.format` has to be text: the agent answers in words.');
  if (body.conversation) throw badRequest('`conversation` is not supported; use `previous_response_id` or `user`.');
  if (body.prompt) throw badRequest('`prompt` is not supported; send the text itself.');
  const instructions: Turn[] = body.instructions ? [{ role: 'system', text: body.instructions, attachments: [] }] : [];
  const input: Turn[] =
    typeof body.input === 'string'
      ? [{ role: 'user', text: body.input, attachments: [] }]
      : body.input.flatMap((item, index) => readItem(item, index));
  return {
    model: body.model,
    user: body.user ?? undefined,
    ...splitTurns([...instructions, ...input]),
    isStreaming: body.stream === true,
    isBackground: body.background === true,
    previousId: body.previous_response_id ?? undefined,
  };
}

function readItem({ type, role, content }: z.output<typeof inputItem>, index: number): Turn[] {
  // Clients send back what they got, and thoughts are never sent.
  if (type === 'reasoning') return [];
  if (type !== 'message')
    throw badRequest(`/input/${index}: items of type '${type.slice(0, 64)}' are not supported; send messages.`);
  if (role === undefined) throw badRequest(`/input/${index}: 'role' is missing.`);
  return [{ role: role === 'developer' ? 'system' : role, ...readContent(content, `/input/${index}/content`) }];
}
