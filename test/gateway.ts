import {
  type Agent,
  type AgentPart,
  defineAgent,
  end,
  type RunContext,
  serve,
  step,
  thinking,
} from '@openclaw/plugin-sdk';
import { memoryTransportPair } from '@openclaw/protocol';
import { createGateway, type Gateway, type GatewayOptions } from '@openclaw/server';

/** The shared token of gateways in tests. */
export const testToken = 'test-token';

export interface TestGatewayOptions extends Partial<GatewayOptions> {
  /** The agent `main`, served in this process. Default {@link scriptedAgent}. */
  agent?: Agent;
}

export interface TestGateway {
  readonly gateway: Gateway;
  readonly port: number;
  /** `ws://127.0.0.1:<port>`. */
  readonly url: string;
  readonly token: string;
  /** Ends the agent, every connection and the gateway. */
  close(): Promise<void>;
}

/** A gateway on 127.0.0.1 and a free port, with an agent attached. Memory is its store unless another is given. */
export async function startGateway({
  agent = scriptedAgent(),
  ...options
}: TestGatewayOptions = {}): Promise<TestGateway> {
  const gateway = await createGateway({ auth: { mode: 'token', token: testToken }, ...options });
  const [inside, outside] = memoryTransportPair();
  gateway.accept(inside, { role: 'agent', id: agent.id });
  const serving = serve(agent, outside);
  await serving.ready;
  const { port } = await gateway.listen({ port: 0 });
  return {
    gateway,
    port,
    url: `ws://127.0.0.1:${port}`,
    token: testToken,
    async close() {
      await serving.close();
      await gateway.close();
    },
  };
}

/** What a step of a scripted run does: yields a part, or waits until a test lets it go on. */
export type Script = (context: RunContext) => AsyncIterable<AgentPart>;

/** An agent that thinks, looks something up, and says what it was told, in three words more; or follows a script of the test. */
export function scriptedAgent(script: Script = sayAgain): Agent {
  return defineAgent({ id: 'main', name: 'Scripted', resumable: true, run: script });
}

async function* sayAgain({ text, call }: RunContext): AsyncIterable<AgentPart> {
  yield thinking('What was said? ');
  yield* call({ name: 'look', args: { text }, safe: true }, () => ({ found: text.length }));
  yield step();
  for (const word of `You said: ${text}`.split(/(?<= )/)) yield word;
  yield { type: 'usage', inputTokens: 3, outputTokens: 4 };
  yield end({ stopReason: 'stop' });
}

/** A gate that a test opens, so that a run waits for the test and not for time. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}
