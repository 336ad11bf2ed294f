import { type AgentPayload, emptySession, type SessionState } from '@openclaw/protocol';
import { settle } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import type { CommittedEvent } from '../src/streams/committed-event.ts';
import { Committer } from '../src/streams/committer.ts';
import type { EventStore } from '../src/streams/event-store.ts';
import { memoryStore } from '../src/streams/memory-store.ts';
import { type LogRecord, StreamLog } from '../src/streams/stream-log.ts';

const name = 'session:agent:main:main';

async function logOn(store: EventStore, ringRecords = 8) {
  const contents = await store.open();
  const committer = new Committer({ store });
  const log = new StreamLog({ store, committer, elapsed: () => 0, ringRecords });
  log.load(contents.heads);
  const seen: CommittedEvent[] = [];
  const deleted: string[] = [];
  log.listen({ committed: (_stream, events) => seen.push(...events), deleted: (stream) => deleted.push(stream.name) });
  return { log, committer, seen, deleted };
}

function delta(seq: number, at: number, text: string): AgentPayload {
  const base = { runId: 'r', seq, ts: 0, sessionKey: 'agent:main:main', sessionId: 's', agentId: 'main' };
  return { ...base, stream: 'assistant', data: { itemId: 'r:1', at, delta: text } };
}

const queued = { ...delta(1, 0, ''), stream: 'lifecycle', data: { phase: 'queued' } };

describe('the log', () => {
  test('gives contiguous offsets, encodes each event once, and shows nothing before its commit', async () => {
    const { log, committer, seen } = await logOn(memoryStore());
    const stream = await log.open(name);
    expect([log.append(stream, 'agent', queued), log.append(stream, 'agent', delta(2, 0, 'Hé'))]).toEqual([1, 2]);
    expect(stream.committedHead).toBe(0);
    expect(await log.read(stream, 0)).toEqual([]);
    await committer.idle();
    expect(seen.map(({ offset }) => offset)).toEqual([1, 2]);
    const page = (await log.read(stream, 0)) as LogRecord[];
    expect(page[1]?.frame).toBe(seen[1]?.frame);
    expect(JSON.parse(page[1]?.frame.text ?? '')).toEqual({
      type: 'event',
      event: 'agent',
      payload: delta(2, 0, 'Hé'),
      stream: name,
      offset: 2,
    });
  });

  test('gives a stream to those who ask in the order of their asking, also while it is brought into memory', async () => {
    const store = memoryStore();
    const { log, committer } = await logOn(store);
    log.append(await log.open(name), 'agent', queued);
    await committer.idle();
    log.evict(-1, () => false);
    for (const each of [name, 'session:agent:main:new']) {
      const order: number[] = [];
      const asked: Promise<unknown>[] = [];
      for (let turn = 0; turn < 12; turn++) {
        asked.push(log.open(each).then(() => order.push(turn)));
        if (turn % 3 === 0) await Promise.resolve();
      }
      await Promise.all(asked);
      expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    }
  });

  test('reads what left the ring from the store, in one order', async () => {
    const { log, committer } = await logOn(memoryStore(), 4);
    const stream = await log.open(name);
    log.append(stream, 'agent', queued);
    for (let index = 0; index < 20; index++) log.append(stream, 'agent', delta(index + 2, index, 'x'));
    await committer.idle();
    const offsets: number[] = [];
    for (;;) {
      const page = await log.read(stream, offsets.at(-1) ?? 0, 3);
      if (page.length === 0) break;
      offsets.push(...page.map(({ offset }) => offset));
    }
    expect(offsets).toEqual(Array.from({ length: 21 }, (_, index) => index + 1));
  });

  test('a failed commit takes head, state and ring back', async () => {
    const inner = memoryStore();
    let isFailing = false;
    const store: EventStore = {
      ...inner,
      open: () => inner.open(),
      readState: (stream) => inner.readState(stream),
      read: (stream, options) => inner.read(stream, options),
      commit: (batch) => (isFailing ? Promise.reject(new Error('no space')) : inner.commit(batch)),
    };
    const { log, committer, seen } = await logOn(store);
    const stream = await log.open(name);
    log.append(stream, 'agent', queued);
    await committer.idle();
    isFailing = true;
    log.append(stream, 'agent', delta(2, 0, 'lost'));
    await settle();
    await committer.idle();
    expect([stream.head, stream.committedHead, stream.ring.length, seen.length]).toEqual([1, 1, 1, 1]);
    isFailing = false;
    log.append(stream, 'agent', delta(2, 0, 'kept'));
    await committer.idle();
    expect(stream.head).toBe(2);
    expect((stream.state as SessionState).runs[0]?.parts).toEqual([
      { kind: 'text', itemId: 'r:1', start: 0, text: 'kept' },
    ]);
  });

  test('a stream comes back with its epoch, head and state', async () => {
    const store = memoryStore();
    const first = await logOn(store);
    const stream = await first.log.open(name);
    first.log.append(stream, 'agent', queued);
    first.log.append(stream, 'agent', delta(2, 0, 'Hello'));
    await first.committer.idle();
    await first.log.checkpoint();
    first.log.append(stream, 'agent', delta(3, 5, ' you'));
    await first.committer.idle();
    await store.close();
    const second = await logOn(store);
    const again = await second.log.open(name);
    expect([again.epoch, again.head]).toEqual([stream.epoch, 3]);
    expect(again.state).toEqual(stream.state);
  });

  test('a deleted stream is erased, its readers are told, and its name is a new stream afterwards', async () => {
    const store = memoryStore();
    const { log, committer, deleted } = await logOn(store);
    const stream = await log.open(name);
    log.append(stream, 'agent', queued);
    await committer.idle();
    log.append(stream, 'agent', delta(2, 0, 'gone'));
    log.delete(stream);
    const next = await log.open(name);
    expect(next.epoch).not.toBe(stream.epoch);
    expect(next.state).toEqual(emptySession);
    log.append(next, 'agent', queued);
    await committer.idle();
    expect(deleted).toEqual([name]);
    expect(log.headOf(name)?.head).toBe(1);
    const stored = await store.read(name, { after: 0, maxCount: 10, maxBytes: 1_000_000 });
    expect(stored).toHaveLength(1);
    expect(Buffer.from(stored[0]?.bytes ?? []).toString()).not.toContain('gone');
  });
});
