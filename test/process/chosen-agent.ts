import { type Agent, defineAgent } from '@openclaw/plugin-sdk';
import { conformanceAgent } from '@openclaw/plugin-sdk/testing';
import { demoAgent, loadAgent, type AgentChoice as ProgramsChoice } from 'openclaw-ws-gateway/agents';

/** Which agent a test runs in memory, a worker or a process of its own: plain data, since it crosses into that. */
export type AgentChoice =
  | { kind: 'conformance' }
  /** The program's own: the demo agent, or one on a model's address. */
  | { kind: 'program'; choice: ProgramsChoice }
  /** Counts, and can't go on with what another one began. */
  | { kind: 'forgetful' };

export async function chosenAgent(choice: AgentChoice): Promise<Agent> {
  switch (choice.kind) {
    case 'conformance':
      return conformanceAgent();
    case 'program':
      return loadAgent(choice.choice, {});
    case 'forgetful':
      return defineAgent({ run: demoAgent().run });
  }
}

/** The demo agent. */
export const demo: AgentChoice = { kind: 'program', choice: { kind: 'demo' } };

/** The agent on a model's address, with tools that are programs. */
export function modelAgent(baseUrl: string, tools: readonly object[] = []): AgentChoice {
  const config = {
    provider: 'openai-compatible',
    baseUrl,
    model: 'test',
    apiKey: 'none',
    maxRetries: 0,
    tools,
  } as const;
  return { kind: 'program', choice: { kind: 'model', config: config as never, about: baseUrl } };
}
