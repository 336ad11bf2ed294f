import { type Gateway as Client, connect } from '@openclaw/client';
import { type Serving, serve } from '@openclaw/plugin-sdk';
import {
  type ConformanceHarness,
  type ConformanceOperator,
  conformanceAgent,
  conformanceCases,
  conformancePrompts,
} from '@openclaw/plugin-sdk/testing';
import { memoryTransportPair, type RunPart } from '@openclaw/protocol';
import { createGateway } from '@openclaw/server';
import { describe, test } from 'vitest';

function operatorOf(client: Client): ConformanceOperator {
  const sessions = new Map<string, { parts: RunPart[]; wake: (() => void)[] }>();
  const keys = new Map<string, string>();
  let count = 0;
  const isOver = (parts: readonly RunPart[]) =>
    parts.some((p) => p.stream === 'lifecycle' && (p.data.phase === 'end' || p.data.phase === 'error'));
  const of = (runId: string) => sessions.get(runId) as { parts: RunPart[]; wake: (() => void)[] };
  const until = async (runId: string, is: (parts: readonly RunPart[]) => boolean) => {
    while (!is(of(runId).parts)) await new Promise<void>((resolve) => of(runId).wake.push(resolve));
  };
  return {
    async send(text) {
      const key = `c${++count}`;
      const session = client.session(key);
      const seen = { parts: [] as RunPart[], wake: [] as (() => void)[] };
      const iterator = session.events()[Symbol.asyncIterator]();
      await iterator.next();
      const run = session.send(text);
      run.final.catch(() => undefined);
      sessions.set(run.id, seen);
      keys.set(run.id, key);
      void (async () => {
        for (;;) {
          const { done, value } = await iterator.next();
          if (done) return;
          if (value.type === 'reset') {
            console.log('RESET', value.reason);
            continue;
          }
          if (value.event !== 'agent' || value.payload.runId !== run.id) continue;
          const { stream, data } = value.payload;
          if (stream === 'lifecycle' && data.phase !== 'end' && data.phase !== 'error') continue;
          seen.parts.push({ stream, data } as RunPart);
          for (const wake of seen.wake.splice(0)) wake();
        }
      })();
      return run.id;
    },
    parts: async (runId) => of(runId).parts,
    async ended(runId) {
      await until(runId, isOver);
      return of(runId).parts;
    },
    until,
    abort: async (runId) => void (await client.request('chat.abort', { sessionKey: keys.get(runId) as string, runId })),
    steer: async (runId, text) =>
      void (await client.request('chat.send', {
        sessionKey: keys.get(runId) as string,
        message: text,
        queueMode: 'steer',
      })),
    decide: async (id, decision) => void (await client.request('approvals.resolve', { id, decision })),
  };
}

describe.each(['memory', 'websocket'])('%s', (home) => {
  test.each(
    conformanceCases
      .filter(({ name }) => !name.includes('killed gateway') && !name.includes('gateway and agent'))
      .map((each) => [each.name, each] as const),
  )(
    '%s',
    async (_name, { run }) => {
      const gateway = await createGateway({
        auth: { mode: 'token', token: 'secret' },
        onWarning: (w: string, c: unknown) => console.log('WARN', w, c),
      } as never);
      const { port } = await gateway.listen({ port: 0 });
      const token = await gateway.createToken({ role: 'agent', id: 'main' });
      const client = connect({ url: `ws://127.0.0.1:${port}`, token: 'secret' });
      let serving: Serving | undefined;
      const harness: ConformanceHarness = {
        operator: operatorOf(client),
        prompts: conformancePrompts,
        async startAgent() {
          if (home === 'memory') {
            const [a, b] = memoryTransportPair();
            gateway.accept(a, { role: 'agent', id: 'main' });
            serving = serve(conformanceAgent(), b);
          } else serving = serve(conformanceAgent(), { url: `ws://127.0.0.1:${port}`, token });
          await serving.ready;
        },
        async killAgent() {
          await serving?.close();
        },
        async killGateway() {},
      };
      await harness.startAgent();
      await run(harness);
      await serving?.close();
      client.close();
      await gateway.close();
    },
    home === 'memory' ? 8000 : 60000,
  );
});
