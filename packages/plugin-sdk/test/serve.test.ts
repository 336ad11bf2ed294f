import { GatewayError, type RequestFrame } from '@openclaw/protocol';
import { seededRandom, settle, VirtualClock } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { type Agent, defineAgent, type Serving, serve, toolStart } from '../src/index.ts';
import { conformanceAgent, spoken } from '../src/testing.ts';
import { FakeGateway } from './fake-gateway.ts';

function setup(agent?: (clock: VirtualClock) => Agent) {
  const clock = new VirtualClock();
  const gateway = new FakeGateway(clock);
  const start = (options: { instance?: string } = {}): Serving =>
    serve(
      agent?.(clock) ?? conformanceAgent({ clock }),
      { dialer: gateway.dial },
      { clock, random: () => 0.5, ...options },
    );
  const methodsAsked = () => gateway.requests.map(({ method }) => method);
  const emitted = (runId: string) =>
    gateway.requests.flatMap((frame) => {
      const params = frame.params as { runId?: string; n?: number };
      return frame.method === 'run.emit' && params.runId === runId ? [params.n as number] : [];
    });
  return { clock, gateway, start, methodsAsked, emitted };
}

describe('attaching', () => {
  test('comes after every hello, before anything else of the agent', async () => {
    const { clock, gateway, start, methodsAsked } = setup();
    const serving = start();
    await clock.advance(100);
    await serving.ready;
    const runId = await gateway.send('count 5000');
    await clock.advance(100);
    gateway.requests.length = 0;
    gateway.crash();
    await clock.advance(5_000);
    expect(methodsAsked().slice(0, 3)).toEqual(['connect', 'agent.attach', 'streams.subscribe']);
    expect(serving.runCount).toBe(1);
    await gateway.abort(runId);
    await serving.close();
  });

  test('names the instance, the same on every connection', async () => {
    const { clock, gateway, start } = setup();
    const serving = start();
    await clock.advance(100);
    gateway.crash();
    await clock.advance(5_000);
    const params = gateway.requests
      .filter(({ method }) => method === 'agent.attach')
      .map((frame) => frame.params as { instance: string });
    expect(params).toHaveLength(2);
    expect(params[0]).toMatchObject({ resumable: true, name: 'Conformance agent' });
    expect(params[0]?.instance).toBe(params[1]?.instance);
    expect(params[0]?.instance.length).toBeGreaterThanOrEqual(16);
    await serving.close();
  });

  test('is tried again while another instance holds the agent', async () => {
    const { clock, gateway, start } = setup();
    const first = start();
    await clock.advance(100);
    const second = start();
    await clock.advance(20_000);
    await first.close();
    gateway.giveUp();
    await clock.advance(20_000);
    await second.ready;
    await second.close();
  });

  test('that is refused for good ends the serving with the reason', async () => {
    const { clock, gateway, start } = setup();
    gateway.onRequest = ({ method }) => {
      if (method === 'connect')
        throw new GatewayError('FORBIDDEN', 'The token is not known; make one with tokens.create.');
    };
    const serving = start();
    await clock.advance(1_000);
    await expect(serving.ready).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(await serving.closed).toMatchObject({ code: 'FORBIDDEN' });
  });
});

describe('a connection that breaks', () => {
  test('does not stop a run, and what it said meanwhile arrives in order, once', async () => {
    const { clock, gateway, start, emitted } = setup();
    const serving = start();
    await clock.advance(100);
    const runId = await gateway.send('count 60');
    await clock.advance(100);
    gateway.crash();
    await clock.advance(60_000);
    const parts = await gateway.ended(runId);
    expect(spoken(parts, 'assistant')).toBe(Array.from({ length: 60 }, (_, index) => `${index + 1} `).join(''));
    expect(gateway.requests.filter(({ method }) => method === 'run.start')).toHaveLength(1);
    const numbers = emitted(runId);
    expect(Math.max(...numbers)).toBe(new Set(numbers).size);
    await serving.close();
  });

  test('before the answer to run.start claims the run again', async () => {
    const { clock, gateway, start } = setup();
    let crashes = 0;
    gateway.onRequest = ({ method }) => {
      if (method === 'run.start' && crashes++ === 0) gateway.crash();
    };
    const serving = start();
    await clock.advance(100);
    const runId = await gateway.send('say hello');
    await clock.advance(10_000);
    expect(spoken(await gateway.ended(runId), 'assistant')).toBe('hello');
    await serving.close();
  });

  test('forever, of a transport that can not be dialed again, ends the serving', async () => {
    const clock = new VirtualClock();
    const gateway = new FakeGateway(clock);
    const serving = serve(conformanceAgent({ clock }), gateway.dial(), { clock });
    await clock.advance(100);
    await serving.ready;
    gateway.crash();
    await clock.advance(100);
    expect(await serving.closed).toMatchObject({ code: 'CLOSED' });
  });

  test('at any request costs nothing, over many seeds', async () => {
    const longText = Array.from({ length: 40 }, (_, index) => `${index + 1} `).join('');
    for (let seed = 1; seed <= 30; seed++) {
      const { clock, gateway, start } = setup();
      const random = seededRandom(seed);
      let isStormy = true;
      gateway.onRequest = () => {
        if (isStormy && random() < 0.08) gateway.crash();
      };
      let serving = start();
      await clock.advance(100);
      const runIds = [await gateway.send('count 40'), await gateway.send('steps 5'), await gateway.send('count 40')];
      for (let turn = 0; turn < 6; turn++) {
        await clock.advance(random() * 300);
        if (random() < 0.4) {
          await serving.close();
          gateway.giveUp();
          serving = start();
        }
      }
      isStormy = false;
      await clock.advance(120_000);
      const said = await Promise.all(runIds.map(async (runId) => spoken(await gateway.ended(runId), 'assistant')));
      expect([seed, ...said]).toEqual([
        seed,
        longText,
        'step 1: 1; step 2: 4; step 3: 9; step 4: 16; step 5: 25; ',
        longText,
      ]);
      await serving.close();
    }
  }, 60_000);
});

describe('a run', () => {
  test('gives a sign of life every 60 s while it says nothing', async () => {
    const { clock, gateway, start, emitted } = setup();
    const serving = start();
    await clock.advance(100);
    const runId = await gateway.send('listen');
    for (let second = 0; second < 200; second++) {
      gateway.tick();
      await clock.advance(1_000);
    }
    expect(emitted(runId).filter((n) => n === 0)).toHaveLength(3);
    await serving.close();
  });

  test('stops when the gateway says that it has ended, and frees its place', async () => {
    let stopped: unknown;
    const { clock, gateway, start } = setup(() =>
      defineAgent({
        async *run({ signal }) {
          yield 'working';
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
          stopped = signal.reason;
        },
      }),
    );
    const serving = start();
    await clock.advance(100);
    const runId = await gateway.send('x');
    await clock.advance(100);
    await gateway.abort(runId);
    await clock.advance(100);
    expect(stopped).toBeInstanceOf(Error);
    expect(serving.runCount).toBe(0);
    await serving.close();
  });

  test('whose part the gateway refuses ends as failed with its words, even when it had ended by itself', async () => {
    const { clock, gateway, start } = setup(() =>
      defineAgent({
        async *run() {
          yield 'before';
          yield toolStart({ toolCallId: '', name: 'nameless' });
        },
      }),
    );
    const serving = start();
    await clock.advance(100);
    const runId = await gateway.send('x');
    await clock.advance(1_000);
    const parts = await gateway.ended(runId);
    expect(parts).toHaveLength(1);
    expect(parts[0]).toMatchObject({ data: { phase: 'error', error: expect.stringContaining('toolCallId') } });
    expect(serving.runCount).toBe(0);
    await serving.close();
  });

  test('of an agent that is not resumable is not continued by the next instance', async () => {
    const { clock, gateway, start } = setup((time) => ({ ...conformanceAgent({ clock: time }), resumable: false }));
    const first = start();
    await clock.advance(100);
    const runId = await gateway.send('count 60');
    await clock.advance(100);
    await first.close();
    gateway.giveUp();
    const second = start();
    await clock.advance(1_000);
    expect((await gateway.ended(runId)).at(-1)).toMatchObject({ data: { phase: 'error', reason: 'interrupted' } });
    await second.close();
  });

  test('of a fast agent waits for the gateway instead of piling up', async () => {
    let count = 0;
    const { clock, gateway, start } = setup(() =>
      defineAgent({
        async *run() {
          for (; count < 100_000; count++) yield 'x'.repeat(1_000);
        },
      }),
    );
    const held: RequestFrame[] = [];
    gateway.onRequest = (frame) => {
      if (frame.method === 'run.emit') {
        held.push(frame);
        throw new GatewayError('UNAVAILABLE', 'busy', { retryable: true, retryAfterMs: 60_000 });
      }
    };
    const serving = start();
    await clock.advance(100);
    await gateway.send('x');
    await clock.advance(1_000);
    await settle(50);
    expect(count).toBeLessThan(2_000);
    expect(held.length).toBeLessThanOrEqual(64);
    await serving.close();
  });
});

describe('closing', () => {
  test('lets runs end when it is given the time', async () => {
    const { clock, gateway, start } = setup();
    const serving = start();
    await clock.advance(100);
    const runId = await gateway.send('count 60');
    await clock.advance(50);
    const closing = serving.close({ drainMs: 10_000 });
    await clock.advance(1_000);
    await closing;
    expect((await gateway.parts(runId)).at(-1)).toMatchObject({ data: { phase: 'end' } });
    expect(await serving.closed).toBeUndefined();
  });

  test('leaves no timer behind', async () => {
    const { clock, gateway, start } = setup();
    const serving = start();
    await clock.advance(100);
    await gateway.send('listen');
    await clock.advance(100);
    await serving.close();
    await clock.advance(5_000);
    expect(clock.timerCount).toBe(0);
  });
});
