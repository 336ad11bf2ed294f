import { type Agent, defineAgent } from '@openclaw/plugin-sdk';
import { conformanceAgent } from '@openclaw/plugin-sdk/testing';
import { demoAgent } from '../../apps/gateway/src/demo-agent.ts';

/** Which agent a test runs in a worker or process of its own: plain data, since it crosses into that. */
export type AgentChoice =
  | { kind: 'conformance' }
  | { kind: 'demo' }
  /** On a model's address, with tools that are programs. */
  | { kind: 'model'; url: string; tools?: object[] }
  /** Says numbers, and can't go on with what another one began. */
  | { kind: 'forgetful' };

export async function chosenAgent(choice: AgentChoice): Promise<Agent> {
  switch (choice.kind) {
    case 'conformance':
      return conformanceAgent();
    case 'demo':
      return demoAgent({ paceMs: 10 });
    case 'model': {
      const { aiSdkAgent } = await import('@openclaw/agent-ai-sdk');
      const { url, tools = [] } = choice;
      return aiSdkAgent({
        provider: 'openai-compatible',
        baseUrl: url,
        model: 'test',
        apiKey: 'none',
        tools: tools as never,
        maxRetries: 0,
      });
    }
    case 'forgetful': {
      const { run } = demoAgent({ paceMs: 10 });
      return defineAgent({ run, resumable: false });
    }
  }
}
