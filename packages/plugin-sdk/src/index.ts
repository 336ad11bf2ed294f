export {
  type Agent,
  type AgentDefinition,
  type AgentModel,
  type ApprovalRequest,
  type Call,
  DeniedError,
  defineAgent,
  type MediaReference,
  type RunContext,
  type Steer,
} from './agent.ts';
export { type Journal, type JournalPart, messageText } from './journal.ts';
export {
  type AgentPart,
  type ErrorKind,
  end,
  fail,
  notice,
  step,
  type TextOptions,
  type ToolCall,
  text,
  thinking,
  toolResult,
  toolStart,
  toolUpdate,
  type Usage,
  usage,
} from './part.ts';
export { type ServeOptions, type ServeTarget, type Serving, serve, servePort } from './serve.ts';
