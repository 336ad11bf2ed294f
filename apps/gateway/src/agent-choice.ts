import { type AiSdkAgentConfig, modelEndpoint } from '@openclaw/agent-ai-sdk/config';
import type { Agent } from '@openclaw/plugin-sdk';
import type { Config } from './config-schema.ts';
import { ExitCode, StartError } from './exit.ts';
import type { Flags } from './flags.ts';
import { plainAddress } from './plain-address.ts';

/** Which agent the worker runs. Plain data, since it crosses into the worker. */
export type AgentChoice = { kind: 'demo' } | { kind: 'model'; config: AiSdkAgentConfig; about: string };

/**
 * Chooses by what flags, configuration and environment name; the demo agent where none names a model. Throws a
 * {@link StartError} when only half of what a model needs is given.
 */
export function chooseAgent(
  configured: Config['agent'],
  flags: Pick<Flags, 'agentUrl' | 'agentModel' | 'agentKey'>,
  env: Readonly<Record<string, string | undefined>>,
): AgentChoice {
  if (flags.agentUrl !== undefined && !/^https?:\/\/\S+$/.test(flags.agentUrl)) {
    throw new StartError(
      ExitCode.usage,
      `--agent-url "${flags.agentUrl}" is not an http(s) address such as http://127.0.0.1:11434/v1.`,
    );
  }
  const config = {
    ...configured,
    ...(flags.agentUrl === undefined ? {} : { baseUrl: flags.agentUrl }),
    ...(flags.agentModel === undefined ? {} : { model: flags.agentModel }),
    ...(flags.agentKey === undefined ? {} : { apiKey: flags.agentKey }),
  } as AiSdkAgentConfig;
  const endpoint = modelEndpoint(config, env);
  if (endpoint)
    return {
      kind: 'model',
      config,
      about: `${endpoint.model ?? 'the first model'} at ${endpoint.baseUrl === undefined ? 'its own address' : plainAddress(endpoint.baseUrl)}`,
    };
  if (config.model ?? config.apiKey) {
    throw new StartError(
      ExitCode.config,
      `The agent has a ${config.model ? 'model' : 'key'} but no address. Give --agent-url, or agent.provider in the configuration.`,
    );
  }
  return { kind: 'demo' };
}

/** Loads the code of the chosen agent, and no other. `env` is the one that it was chosen with. */
export async function loadAgent(
  choice: AgentChoice,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Agent> {
  if (choice.kind === 'demo') {
    const { demoAgent } = await import('./demo-agent.ts');
    return demoAgent();
  }
  const { aiSdkAgent } = await import('@openclaw/agent-ai-sdk');
  return aiSdkAgent(choice.config, env);
}
