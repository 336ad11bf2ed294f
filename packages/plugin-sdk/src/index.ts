export {
  type Agent,
  type AgentDefinition,
  type AgentModel,
  type ApprovalRequest,
  type Call,
  defineAgent,
  DeniedError,
  type MediaReference,
  type RunContext,
  type Steer,
} from './agent.ts';
export {
  type AgentPart,
  end,
  type ErrorKind,
  fail,
  notice,
  step,
  text,
  type TextOptions,
  thinking,
  type ToolCall,
  toolResult,
  toolStart,
  toolUpdate,
  type Usage,
  usage,
} from './part.ts';
export { serve, type ServeOptions, servePort, type ServeTarget, type Serving } from './serve.ts';
export { type Journal, type JournalPart, messageText } from './journal.ts';
