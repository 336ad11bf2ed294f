import type { Answer, AnswerStep, TokenUsage } from './answer.ts';
import type { EventSender } from './event-sender.ts';
import type { HttpRun } from './http-runs.ts';
import { failedRun, problemBody } from './problem.ts';

/** A finished answer as a chat completion; throws the problem when the run failed. */
export function chatCompletion(run: HttpRun, { text, usage, end }: Answer): object {
  if (end?.kind !== 'answered') throw failedRun(end?.message ?? 'The run has not ended.');
  return {
    ...head(run, 'chat.completion'),
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: text, refusal: null },
        logprobs: null,
        finish_reason: end.finish,
      },
    ],
    usage: chatUsage(usage),
  };
}

/**
 * Sends an answer as chat completion chunks. What is in the log already comes as one chunk, as it stands now. An answer that
 * is begun anew after some of it was sent can't be told in this protocol: the stream then ends with an error.
 */
export async function sendChat(
  sender: EventSender,
  run: HttpRun,
  steps: AsyncIterable<AnswerStep>,
  { includesUsage }: { includesUsage: boolean },
): Promise<void> {
  const chunk = (delta: object, finish: string | null = null) =>
    sender.send(
      JSON.stringify({
        ...head(run, 'chat.completion.chunk'),
        choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
        ...(includesUsage ? { usage: null } : {}),
      }),
    );
  const fail = async (message: string) => {
    await sender.send(JSON.stringify(problemBody({ message, type: 'api_error' })));
    sender.end();
  };
  await chunk({ role: 'assistant', content: '', refusal: null });
  let unsent = '';
  let hasSent = false;
  let isLive = false;
  const say = async () => {
    if (unsent === '') return;
    const content = unsent;
    unsent = '';
    hasSent = true;
    await chunk({ content });
  };
  for await (const step of steps) {
    switch (step.kind) {
      case 'more':
        unsent += step.text;
        if (isLive) await say();
        break;
      case 'anew':
        if (hasSent) {
          const told =
            'The agent began its answer anew, and part of the old one was sent. Send the request again with the same Idempotency-Key to get the new one.';
          await fail(told);
          return;
        }
        unsent = step.text;
        break;
      case 'head':
        isLive = true;
        await say();
        break;
      case 'ended': {
        const { end, usage } = step.answer;
        await say();
        if (end.kind === 'failed') {
          await fail(end.message);
          return;
        }
        await chunk({}, end.finish);
        if (includesUsage) {
          await sender.send(
            JSON.stringify({ ...head(run, 'chat.completion.chunk'), choices: [], usage: chatUsage(usage) }),
          );
        }
        await sender.send('[DONE]');
        sender.end();
      }
    }
  }
}

function head({ runId, model, createdAtMs }: HttpRun, object: string) {
  return { id: `chatcmpl-${runId}`, object, created: Math.floor(createdAtMs / 1_000), model };
}

function chatUsage({ inputTokens, outputTokens, totalTokens }: TokenUsage) {
  return { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: totalTokens };
}
