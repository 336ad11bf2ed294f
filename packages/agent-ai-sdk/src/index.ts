export { aiSdkAgent, type AiSdkAgent } from './agent.ts';
export { type AiSdkAgentConfig, type Environment, modelEndpoint, type ModelEndpoint, type Provider } from './config.ts';
export { type AgentTool, type CommandTool, type ParametersSchema, type ToolSituation } from './tool.ts';
export { type McpServer } from './mcp-tools.ts';
