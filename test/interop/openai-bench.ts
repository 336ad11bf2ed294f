import { type AgentPart, end, type RunContext } from '@openclaw/plugin-sdk';
import OpenAI from 'openai';
import { onTestFinished } from 'vitest';
import { gate, scriptedAgent, startGateway, type TestGateway, type TestGatewayOptions } from '../gateway.ts';

/** A gateway with the whole API turned on, and OpenAI's own client pointed at it. Ended with the test. */
export interface OpenAiBench {
  readonly server: TestGateway;
  readonly client: OpenAI;
  readonly baseURL: string;
}

export async function openAiBench(options: TestGatewayOptions = {}): Promise<OpenAiBench> {
  const server = await startGateway({ openAi: { chatCompletions: true, responses: true }, ...options });
  onTestFinished(() => server.close());
  const baseURL = `http://127.0.0.1:${server.port}/v1`;
  return { server, baseURL, client: new OpenAI({ baseURL, apiKey: server.token, maxRetries: 0 }) };
}

/** An agent that says the first words, waits for the test, and says the rest. */
export function halting(
  first: readonly string[],
  rest: readonly string[],
): { agent: ReturnType<typeof scriptedAgent>; goOn: () => void; runs: RunContext[] } {
  const halt = gate();
  const runs: RunContext[] = [];
  async function* script(context: RunContext): AsyncIterable<AgentPart> {
    runs.push(context);
    yield* first;
    await Promise.race([
      halt.opened,
      new Promise<void>((resolve) => context.signal.addEventListener('abort', () => resolve(), { once: true })),
    ]);
    yield* rest;
    yield { type: 'usage', inputTokens: 3, outputTokens: 4 };
    yield end({ stopReason: 'stop' });
  }
  return { agent: scriptedAgent(script), goOn: () => halt.open(), runs };
}
