export { type AiSdkAgent, aiSdkAgent } from './agent.ts';
export { type AiSdkAgentConfig, type Environment, type ModelEndpoint, modelEndpoint, type Provider } from './config.ts';
export type { McpServer } from './mcp-tools.ts';
export type { AgentTool, CommandTool, ParametersSchema, ToolSituation } from './tool.ts';
