import { type AgentPart, text, thinking, type Usage } from '@openclaw/plugin-sdk';
import type { LanguageModel, LanguageModelUsage, ModelMessage, ToolSet } from 'ai';
import type { ModelEndpoint } from './config.ts';
import { cutOff, modelFailure } from './model-failure.ts';

/** A tool call that the model asked for. */
export interface ModelCall {
  toolCallId: string;
  toolName: string;
  input: unknown;
  /** Why the call can't be carried out as it stands. */
  problem?: string;
}

/** What one model call gave. */
export interface StepOutcome {
  /** As the next call repeats it, with what the provider wants to see again. */
  answer: ModelMessage;
  calls: ModelCall[];
  finishReason: string;
  usage: LanguageModelUsage;
}

/** What one model call takes. */
export interface StepInput {
  endpoint: ModelEndpoint;
  model: LanguageModel;
  instructions: string | undefined;
  messages: ModelMessage[];
  tools: ToolSet;
  reasoning: 'none' | 'minimal' | 'low' | 'medium' | 'high' | undefined;
  maxOutputTokens: number | undefined;
  maxRetries: number;
  signal: AbortSignal;
  /** The trace that the run belongs to, passed on to the model's server. */
  traceparent: string | undefined;
  /** Names of calls that the run has used: some servers count from 0 at every answer. */
  usedCallIds: Set<string>;
}

type AssistantContent = Exclude<Extract<ModelMessage, { role: 'assistant' }>['content'], string>;

/**
 * One model call: yields thinking and text as they come, returns the whole. Tools are not executed here. Throws
 * `ModelFailure`, also when the answer ends before the model says that it is done; returns undefined when aborted.
 */
export async function* modelStep(input: StepInput): AsyncGenerator<AgentPart, StepOutcome | undefined, void> {
  const { endpoint, signal, usedCallIds } = input;
  const { streamText } = await import('ai');
  // Its warnings go to the console, which is the gateway's log; whoever wants them sets this to true.
  (globalThis as { AI_SDK_LOG_WARNINGS?: unknown }).AI_SDK_LOG_WARNINGS ??= false;
  const content: AssistantContent = [];
  const calls: ModelCall[] = [];
  const open = new Map<string, Extract<AssistantContent[number], { type: 'text' | 'reasoning' }>>();
  try {
    const { stream } = streamText({
      model: input.model,
      messages: input.messages,
      tools: input.tools,
      maxRetries: input.maxRetries,
      abortSignal: signal,
      // Errors come as parts; the default would write them to the console.
      onError: () => undefined,
      ...(input.traceparent ? { headers: { traceparent: input.traceparent } } : {}),
      ...(input.instructions ? { instructions: input.instructions } : {}),
      ...(input.maxOutputTokens ? { maxOutputTokens: input.maxOutputTokens } : {}),
      ...(input.reasoning ? { reasoning: input.reasoning } : {}),
    });
    for await (const part of stream) {
      switch (part.type) {
        case 'reasoning-start':
        case 'text-start': {
          const block = { type: part.type === 'text-start' ? ('text' as const) : ('reasoning' as const), text: '' };
          open.set(part.id, block);
          content.push(block);
          break;
        }
        case 'reasoning-delta':
        case 'text-delta': {
          const block = open.get(part.id);
          if (block) block.text += part.text;
          yield part.type === 'text-delta' ? text(part.text) : thinking(part.text);
          break;
        }
        case 'reasoning-end':
        case 'text-end': {
          const block = open.get(part.id);
          if (block && part.providerMetadata) block.providerOptions = part.providerMetadata;
          break;
        }
        case 'tool-call': {
          const { toolName, input: args, providerMetadata } = part;
          const toolCallId = unusedId(part.toolCallId, usedCallIds);
          const isInvalid = 'invalid' in part && part.invalid === true;
          const problem = isInvalid ? messageOf((part as { error?: unknown }).error) : undefined;
          calls.push({ toolCallId, toolName, input: args, ...(problem === undefined ? {} : { problem }) });
          // An unreadable input is a string, which providers would refuse to see again.
          const shown = typeof args === 'object' && args !== null ? args : {};
          content.push({
            type: 'tool-call',
            toolCallId,
            toolName,
            input: shown,
            ...(providerMetadata ? { providerOptions: providerMetadata } : {}),
          });
          break;
        }
        case 'error':
          throw part.error;
        case 'abort':
          return undefined;
        case 'finish-step': {
          const { finishReason, rawFinishReason, usage } = part;
          if (finishReason === 'other' && rawFinishReason === undefined && calls.length === 0)
            throw cutOff('it ended without saying why');
          const kept = content.filter((block) => isRepeatable(block, endpoint.provider));
          return { answer: { role: 'assistant', content: kept }, calls, finishReason, usage };
        }
        default:
          break;
      }
    }
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error instanceof Error && error.name === 'ModelFailure' ? error : modelFailure(error, endpoint);
  }
  if (signal.aborted) return undefined;
  throw cutOff('it ended early');
}

/** Adds what is known; what a server leaves out stays unknown. */
export function addUsage(total: Usage, { inputTokens, outputTokens }: LanguageModelUsage): Usage {
  const sum = { ...total };
  if (inputTokens !== undefined) sum.inputTokens = (total.inputTokens ?? 0) + inputTokens;
  if (outputTokens !== undefined) sum.outputTokens = (total.outputTokens ?? 0) + outputTokens;
  if (sum.inputTokens !== undefined && sum.outputTokens !== undefined)
    sum.totalTokens = sum.inputTokens + sum.outputTokens;
  return sum;
}

/** Empty text is refused by providers, and so is thinking that Anthropic did not sign. */
function isRepeatable(block: AssistantContent[number], provider: ModelEndpoint['provider']): boolean {
  if (block.type === 'text') return block.text !== '';
  return block.type !== 'reasoning' || provider !== 'anthropic' || block.providerOptions !== undefined;
}

function unusedId(wanted: string, used: Set<string>): string {
  const base = (wanted === '' ? 'call' : wanted).slice(0, 240);
  let id = base;
  for (let count = 2; used.has(id); count++) id = `${base}-${count}`;
  used.add(id);
  return id;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
