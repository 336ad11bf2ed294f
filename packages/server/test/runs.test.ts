import { type AgentPayload, type Message, memoryTransportPair, type SessionState } from '@openclaw/protocol';
import { settle, VirtualClock } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { createGateway, type EventStore, memoryStore } from '../src/index.ts';

/** A peer of a gateway in this process that speaks frames. */
class Wire {
  readonly frames: {
    type: string;
    id?: string;
    ok?: boolean;
    event?: string;
    payload?: never;
    error?: { code: string };
  }[] = [];
  readonly #send: (text: string) => void;
  #nextId = 0;

  constructor(send: (text: string) => void) {
    this.#send = send;
  }

  async request(method: string, params: object): Promise<{ ok: boolean; payload: never; error?: { code: string } }> {
    const id = String(++this.#nextId);
    this.#send(JSON.stringify({ type: 'req', id, method, params }));
    for (let turn = 0; turn < 200; turn++) {
      const answer = this.frames.find((frame) => frame.type === 'res' && frame.id === id);
      if (answer) return answer as never;
      await settle(1);
    }
    throw new Error(`no answer to ${method}`);
  }
}

const connectParams = {
  minProtocol: 4,
  maxProtocol: 4,
  client: { id: 't', version: '1', platform: 't', mode: 'backend' },
  caps: ['streams'],
};

async function gatewayOn(store: EventStore, clock = new VirtualClock(), agents = [{ id: 'main' }]) {
  const gateway = await createGateway({ auth: { mode: 'none' }, store, clock, agents });
  const join = async (identity: { role: 'operator' | 'agent'; id?: string; scopes?: string[] }) => {
    const [inside, outside] = memoryTransportPair();
    gateway.accept(inside, identity);
    const wire = new Wire((text) => outside.send(text));
    outside.open({ message: (text) => wire.frames.push(JSON.parse(text)), drained: () => {}, closed: () => {} });
    await wire.request('connect', { ...connectParams, role: identity.role });
    return wire;
  };
  const operator = await join({ role: 'operator', scopes: ['operator.admin'] });
  const attach = async (instance: string, resumable = true) => {
    const agent = await join({ role: 'agent', id: agents[0]?.id ?? 'main' });
    await agent.request('agent.attach', { instance, resumable });
    return agent;
  };
  return { gateway, clock, operator, attach, join };
}

function text(itemId: string, at: number, delta: string) {
  return { stream: 'assistant', data: { itemId, at, delta } };
}

const end = { stream: 'lifecycle', data: { phase: 'end' } };

describe('what a session keeps whole', () => {
  test('a long message that waits for a run is whole in the transcript, also after a restart', async () => {
    const store = memoryStore();
    const first = await gatewayOn(store);
    await first.attach('instance-one');
    const long = 'w'.repeat(20_000);
    await first.operator.request('chat.send', { sessionKey: 'main', message: 'go', idempotencyKey: 'r1' });
    await first.operator.request('chat.send', { sessionKey: 'main', message: long, idempotencyKey: 'r2' });
    await first.gateway.close();
    const second = await gatewayOn(store);
    await second.operator.request('chat.abort', { sessionKey: 'main', runId: 'r1' });
    const history = (await second.operator.request('chat.history', { sessionKey: 'main' })).payload as {
      messages: Message[];
    };
    const row = history.messages.find(({ id }) => id === 'r2');
    expect(row?.content).toEqual([{ type: 'text', text: long }]);
    await second.gateway.close();
  });

  test('an answer of many parts is whole in the journal of the next attempt', async () => {
    const store = memoryStore();
    const first = await gatewayOn(store);
    const agent = await first.attach('instance-one');
    await first.operator.request('chat.send', { sessionKey: 'main', message: 'go', idempotencyKey: 'r1' });
    await agent.request('run.start', { runId: 'r1' });
    for (let n = 1; n <= 12; n++) {
      await agent.request('run.emit', { runId: 'r1', n, parts: [text(`part-${n}`, 0, `${n}:${'x'.repeat(3_900)}`)] });
    }
    await first.gateway.close();
    const second = await gatewayOn(store);
    const next = await second.attach('instance-two');
    const started = (await next.request('run.start', { runId: 'r1' })).payload as {
      journal: AgentPayload[];
      journalNext?: number;
      n: number;
    };
    const journal = [...started.journal];
    for (let from = started.journalNext; from !== undefined; ) {
      const page = (await next.request('run.journal', { runId: 'r1', from })).payload as typeof started;
      journal.push(...page.journal);
      from = page.journalNext;
    }
    expect(started.n).toBe(12);
    expect(journal.map(({ data }) => ('itemId' in data ? data.itemId : ''))).toEqual(
      Array.from({ length: 12 }, (_, index) => `part-${index + 1}`),
    );
    await second.gateway.close();
  });
});

describe('a run that brings its agents down', () => {
  test('is given up after five attempts that said nothing, and goes on as long as each says something', async () => {
    const store = memoryStore();
    const { gateway, operator } = await gatewayOn(store);
    await operator.request('chat.send', { sessionKey: 'main', message: 'go', idempotencyKey: 'r1' });
    const attempt = async (instance: string, n?: number) => {
      const [inside, outside] = memoryTransportPair();
      gateway.accept(inside, { role: 'agent', id: 'main' });
      const agent = new Wire((text) => outside.send(text));
      outside.open({ message: (text) => agent.frames.push(JSON.parse(text)), drained: () => {}, closed: () => {} });
      await agent.request('connect', { ...connectParams, role: 'agent' });
      await agent.request('agent.attach', { instance, resumable: true });
      const started = await agent.request('run.start', { runId: 'r1' });
      if (n !== undefined) await agent.request('run.emit', { runId: 'r1', n, parts: [text('p', n - 1, 'x')] });
      outside.close(1000, 'crashed');
      await settle();
      return started.ok;
    };
    for (let n = 1; n <= 7; n++) expect(await attempt(`speaking-${n}`, n)).toBe(true);
    for (let index = 0; index < 5; index++) expect(await attempt(`silent-${index}`)).toBe(true);
    expect(await attempt('too-late')).toBe(false);
    const wait = await operator.request('agent.wait', { runId: 'r1', timeoutMs: 0 });
    expect(wait.payload).toMatchObject({ status: 'error', stopReason: 'interrupted' });
    await gateway.close();
  });
});

describe('who answers', () => {
  test('the first agent answers where none is named, whatever its name', async () => {
    const { gateway, operator } = await gatewayOn(memoryStore(), new VirtualClock(), [{ id: 'bob' }]);
    expect((await operator.request('chat.send', { sessionKey: 'main', message: 'hi', idempotencyKey: 'k' })).ok).toBe(
      true,
    );
    const listed = (await operator.request('sessions.list', {})).payload as { sessions: { key: string }[] };
    expect(listed.sessions.map(({ key }) => key)).toEqual(['agent:bob:main']);
    expect((await operator.request('sessions.delete', { key: 'main' })).error?.code).toBe('INVALID_REQUEST');
    await gateway.close();
  });

  test('a wall clock set forward executes nothing twice and denies nothing', async () => {
    const { gateway, clock, operator, attach } = await gatewayOn(memoryStore());
    const agent = await attach('instance-one');
    await operator.request('chat.send', { sessionKey: 'main', message: 'hi', idempotencyKey: 'k' });
    await agent.request('run.start', { runId: 'k' });
    await agent.request('run.emit', {
      runId: 'k',
      n: 1,
      parts: [{ stream: 'approval', data: { phase: 'requested', approvalId: 'a', title: 'May I?' } }],
    });
    await operator.request('chat.send', { sessionKey: 'other', message: 'quick', idempotencyKey: 'k2' });
    await operator.request('chat.abort', { sessionKey: 'other', runId: 'k2' });
    clock.wallOffsetMs += 49 * 3_600_000;
    await clock.advance(40_000);
    const waiting = (await operator.request('approvals.list', {})).payload as { approvals: unknown[] };
    expect(waiting.approvals).toHaveLength(1);
    const again = await operator.request('chat.send', { sessionKey: 'other', message: 'quick', idempotencyKey: 'k2' });
    expect(again.payload).toMatchObject({ status: 'timeout', replayed: true });
    await gateway.close();
  });
});

describe('subscribing', () => {
  test('unsubscribing right after subscribing leaves nothing subscribed', async () => {
    const { gateway, operator, join } = await gatewayOn(memoryStore());
    const reader = await join({ role: 'operator', scopes: ['operator.read'] });
    const both = [
      reader.request('streams.subscribe', { streams: [{ stream: 'session:main' }] }),
      reader.request('streams.unsubscribe', { streams: ['session:main'] }),
    ];
    await Promise.all(both);
    await operator.request('chat.send', { sessionKey: 'main', message: 'hi', idempotencyKey: 'k' });
    await settle();
    expect(reader.frames.filter(({ event }) => event === 'session.message')).toEqual([]);
    await gateway.close();
  });

  test('what a commit could not keep is shown to nobody', async () => {
    const inner = memoryStore();
    let isFailing = false;
    const commit = inner.commit.bind(inner);
    inner.commit = (batch) => (isFailing ? Promise.reject(new Error('no space left')) : commit(batch));
    const { gateway, operator, attach } = await gatewayOn(inner);
    const agent = await attach('instance-one');
    await operator.request('chat.send', { sessionKey: 'main', message: 'hi', idempotencyKey: 'k' });
    await agent.request('run.start', { runId: 'k' });
    await agent.request('run.emit', { runId: 'k', n: 1, parts: [text('p', 0, 'kept')] });
    isFailing = true;
    const refused = await agent.request('run.emit', { runId: 'k', n: 2, parts: [text('p', 4, ' lost'), end] });
    expect(refused.error?.code).toBe('UNAVAILABLE');
    isFailing = false;
    const history = (await operator.request('chat.history', { sessionKey: 'main' })).payload as {
      inFlightRun?: { text: string };
    };
    expect(history.inFlightRun?.text).toBe('kept');
    expect((await agent.request('run.emit', { runId: 'k', n: 2, parts: [text('p', 4, ' after all'), end] })).ok).toBe(
      true,
    );
    const reader = (await operator.request('streams.subscribe', { streams: [{ stream: 'session:main' }] })).payload;
    expect(reader).toMatchObject({ streams: [{ result: 'snapshot' }] });
    await settle();
    const reset = operator.frames.find(({ event }) => event === 'stream.reset')?.payload as unknown as {
      state: SessionState;
    };
    expect(reset.state.messages.at(-1)?.content).toEqual([{ type: 'text', text: 'kept after all' }]);
    await gateway.close();
  });
});
