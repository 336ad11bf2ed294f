import {
  type Agent,
  type AgentPart,
  DeniedError,
  defineAgent,
  end,
  fail,
  notice,
  type RunContext,
  step,
  toolResult,
  toolStart,
  type Usage,
  usage,
} from '@openclaw/plugin-sdk';
import { GatewayError } from '@openclaw/protocol/wire';
import type { ModelMessage, ToolResultPart, ToolSet } from 'ai';
import { fitMessages } from './budget.ts';
import { type AiSdkAgentConfig, type Environment, type ModelEndpoint, modelEndpoint } from './config.ts';
import { asCall, deniedAnswer, modelMessages, stepMessages, toolAnswer } from './conversation.ts';
import { inParallel } from './in-parallel.ts';
import { McpTools } from './mcp-tools.ts';
import { firstModel, languageModel } from './model.ts';
import { addUsage, type ModelCall, modelStep } from './model-step.ts';
import { type AgentTool, asAgentTool } from './tool.ts';

/** An agent with connections of its own: to MCP servers. */
export interface AiSdkAgent extends Agent {
  /** Ends MCP connections and the programs behind them. */
  close(): Promise<void>;
}

const defaultMaxSteps = 20;
const defaultContextTokens = 32_000;
const defaultMaxRetries = 2;

/**
 * An agent for any OpenAI-compatible endpoint, or Anthropic's. `env` completes the config (see {@link modelEndpoint}); pass
 * `process.env`. Throws `INVALID_REQUEST` when no model is configured.
 *
 * Resumable: finished steps of a run that a crash cut off are told to the model again with their tool results; tools of the
 * open step that were done are not done again; a step that had only words is asked for anew and replaces them.
 */
export function aiSdkAgent(config: AiSdkAgentConfig, env: Environment = {}): AiSdkAgent {
  const endpoint = modelEndpoint(config, env);
  if (!endpoint) {
    throw new GatewayError(
      'INVALID_REQUEST',
      'No model is configured. Give baseUrl and model, or set OPENAI_API_KEY, ANTHROPIC_API_KEY or OLLAMA_HOST.',
    );
  }
  const mcp = new McpTools(config.mcpServers);
  const own = (config.tools ?? []).map(asAgentTool);
  const names = [...new Set([...(endpoint.model ? [endpoint.model] : []), ...(config.models ?? [])])];
  const agent = defineAgent({
    ...(config.id ? { id: config.id } : {}),
    name: config.name ?? endpoint.model ?? 'Agent',
    resumable: true,
    models: names.map((id) => ({ id, name: id, provider: endpoint.provider })),
    run: (context) => answer(context, config, endpoint, own, mcp),
  });
  return { ...agent, close: () => mcp.close() };
}

async function* answer(
  context: RunContext,
  config: AiSdkAgentConfig,
  endpoint: ModelEndpoint,
  own: readonly AgentTool[],
  mcp: McpTools,
): AsyncGenerator<AgentPart, void, void> {
  const { journal, session, signal } = context;
  const { maxSteps = defaultMaxSteps, contextTokens = defaultContextTokens, maxRetries = defaultMaxRetries } = config;
  const { tools: remote, problems } = await mcp.load();
  for (const problem of problems) yield notice(problem);
  const tools = new Map([...remote, ...own].map((tool) => [tool.name, tool]));
  const chosen = session.model?.startsWith(`${endpoint.provider}/`)
    ? session.model.slice(endpoint.provider.length + 1)
    : session.model;
  const modelName = chosen ?? endpoint.model ?? (await firstModel(endpoint, signal));
  const model = await languageModel(endpoint, modelName);

  const history = await modelMessages(await conversation(context, contextTokens), context.readMedia);
  const said: ModelMessage[] = journal.steps.flatMap((parts) =>
    stepMessages(parts, (title) => toolByTitle(tools, title)?.name),
  );
  const usedCallIds = new Set(
    [...journal.steps.flat(), ...journal.open].flatMap((part) =>
      'toolCallId' in part && part.toolCallId ? [part.toolCallId] : [],
    ),
  );
  const openCalls = callsOfOpenStep(context, tools);
  for (const part of journal.open)
    if (part.type === 'steered' && part.text !== '') said.push({ role: 'user', content: part.text });
  if (openCalls.length > 0) {
    context.keepOpenStep();
    const words = journal.open.flatMap((part) =>
      part.type === 'text' ? [{ type: 'text' as const, text: part.text }] : [],
    );
    said.push({
      role: 'assistant',
      content: [...words, ...openCalls.map((call) => asCall(call.toolCallId, call.toolName, call.input))],
    });
    said.push({ role: 'tool', content: yield* carryOut(context, tools, openCalls) });
    yield step();
  }
  // Anthropic wants its thinking back, signed, before tool calls; a journal has no signatures.
  const isForeign = endpoint.provider === 'anthropic' && said.length > 0;

  let tokens: Usage = { provider: endpoint.provider, model: modelName };
  let hasToldDropped = false;
  let hasToldShortened = false;
  for (let count = journal.steps.length + (openCalls.length > 0 ? 1 : 0); count < maxSteps; count++) {
    for (const { text } of context.takeSteering()) said.push({ role: 'user', content: text });
    const { messages, droppedCount, shortenedCount } = fitMessages([...history, ...said], contextTokens);
    if (droppedCount > 0 && !hasToldDropped) {
      hasToldDropped = true;
      yield notice(
        `The conversation is longer than ${contextTokens} tokens: the ${droppedCount} oldest messages were not shown to the model.`,
      );
    }
    if (shortenedCount > 0 && !hasToldShortened) {
      hasToldShortened = true;
      yield notice('The run is long: earlier tool answers were not shown to the model again.');
    }
    const outcome = yield* modelStep({
      endpoint: { ...endpoint, model: modelName },
      model,
      instructions: config.instructions,
      messages,
      tools: await toolSet(tools),
      reasoning: isForeign ? undefined : reasoningOf(session.thinkingLevel),
      maxOutputTokens: config.maxOutputTokens,
      maxRetries,
      signal,
      traceparent: context.traceparent,
      usedCallIds,
    });
    if (!outcome) return;
    tokens = addUsage(tokens, outcome.usage);
    yield usage(tokens);
    said.push(outcome.answer);
    if (outcome.calls.length > 0) {
      said.push({ role: 'tool', content: yield* carryOut(context, tools, outcome.calls) });
      yield step();
      continue;
    }
    if (outcome.finishReason === 'content-filter') {
      yield fail('The model refused to answer this (content filter). Put it in other words.', { errorKind: 'refusal' });
      return;
    }
    if (outcome.finishReason === 'length')
      yield notice('The answer was cut: the model may not say more at once. Ask it to go on.');
    const steers = context.takeSteering();
    if (steers.length === 0) {
      yield end({ stopReason: outcome.finishReason });
      return;
    }
    for (const { text } of steers) said.push({ role: 'user', content: text });
    yield step();
  }
  yield notice(`Stopped after ${maxSteps} steps; say "go on" to continue.`);
  yield end({ stopReason: 'max_steps' });
}

/** Carries out the calls of one step, all at once; a call that fails or is denied is an answer too. */
async function* carryOut(
  context: RunContext,
  tools: ReadonlyMap<string, AgentTool>,
  calls: readonly ModelCall[],
): AsyncGenerator<AgentPart, ToolResultPart[], void> {
  return yield* inParallel(calls.map((call) => carryOutOne(context, tools.get(call.toolName), call)));
}

async function* carryOutOne(
  context: RunContext,
  tool: AgentTool | undefined,
  { toolCallId, toolName, input, problem }: ModelCall,
): AsyncGenerator<AgentPart, ToolResultPart, void> {
  if (!tool || problem !== undefined) {
    const error = problem ?? `There is no tool ${toolName} (any more).`;
    yield toolStart({ toolCallId, name: toolName, args: input, safe: true });
    yield toolResult({ toolCallId, name: toolName }, error, { isError: true });
    return toolAnswer(toolCallId, toolName, error, true);
  }
  const { title, safe = false, needsApproval, description } = tool;
  const { runId, signal } = context;
  const call = {
    toolCallId,
    name: toolName,
    args: input,
    safe,
    ...(title ? { title } : {}),
    ...(needsApproval ? { approval: { title: title ?? toolName, description } } : {}),
  };
  try {
    const result = yield* context.call(call, async () => tool.execute(input, { toolCallId, runId, signal }));
    return toolAnswer(toolCallId, toolName, result);
  } catch (error) {
    if (signal.aborted) throw error;
    if (error instanceof DeniedError) return deniedAnswer(toolCallId, toolName, error.by);
    return toolAnswer(toolCallId, toolName, error instanceof Error ? error.message : String(error), true);
  }
}

/** What the model had asked for in the step that a crash cut off: begun, done, or waiting for a person. */
function callsOfOpenStep({ journal: { open } }: RunContext, tools: ReadonlyMap<string, AgentTool>): ModelCall[] {
  const begun = new Set(open.flatMap((part) => (part.type === 'tool' ? [part.toolCallId] : [])));
  return open.flatMap((part): ModelCall[] => {
    if (part.type === 'tool') {
      const { toolCallId, name: toolName, args: input } = part;
      return [{ toolCallId, toolName, input, ...(part.isFinished ? {} : cutInput(input)) }];
    }
    if (part.type !== 'approval' || part.toolCallId === undefined || begun.has(part.toolCallId)) return [];
    const { toolCallId, args: input } = part;
    const tool = toolByTitle(tools, part.title);
    return tool ? [{ toolCallId, toolName: tool.name, input, ...cutInput(input) }] : [];
  });
}

/** Long arguments are cut where they are kept; a tool must not be given what is left of them. */
function cutInput(input: unknown): Pick<ModelCall, 'problem'> {
  if (typeof input !== 'string') return {};
  return { problem: 'The arguments were too long to be kept over a restart. Make the call again.' };
}

/** An approval names its tool by what the person saw; undefined when that is said of several. */
function toolByTitle(tools: ReadonlyMap<string, AgentTool>, shown: string): AgentTool | undefined {
  const [tool, ...others] = [...tools.values()].filter(({ title, name }) => (title ?? name) === shown);
  return others.length === 0 ? tool : undefined;
}

/** The conversation, with as many older pages as may fit. */
async function conversation(
  { messages, olderMessages }: RunContext,
  contextTokens: number,
): Promise<RunContext['messages']> {
  let all = messages;
  const size = (list: RunContext['messages']) => JSON.stringify(list).length / 4;
  while (size(all) < contextTokens) {
    const older = await olderMessages();
    if (older.length === 0) break;
    all = [...older, ...all];
  }
  return all;
}

async function toolSet(tools: ReadonlyMap<string, AgentTool>): Promise<ToolSet> {
  const { jsonSchema, tool } = await import('ai');
  const set: ToolSet = {};
  for (const { name, description, parameters = { type: 'object', properties: {} } } of tools.values()) {
    // Without `execute`: calls come back to be carried out here, with approval, abort and journal in one place.
    set[name] = tool({ description, inputSchema: jsonSchema(parameters) });
  }
  return set;
}

function reasoningOf(level: string | undefined): 'none' | 'minimal' | 'low' | 'medium' | 'high' | undefined {
  switch (level) {
    case 'off':
      return 'none';
    case 'minimal':
    case 'low':
    case 'medium':
    case 'high':
      return level;
    default:
      return undefined;
  }
}
