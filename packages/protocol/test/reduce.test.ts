import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AgentPayload,
  DeltaMismatchError,
  type EventFrame,
  emptyState,
  type Message,
  maxStreamFrameBytes,
  mergeDeltas,
  reduce,
  type SessionState,
} from '../src/wire.ts';

const stream = 'session:agent:main:main';
const base = { runId: 'r', ts: 5, sessionKey: 'agent:main:main', sessionId: 's', agentId: 'main' };
const entry = { key: 'agent:main:main', sessionId: 's', agentId: 'main', createdAt: 1, updatedAt: 1 };

let seq = 0;
function agent(part: { stream: string; data: object }, runId = 'r') {
  return { event: 'agent', payload: { ...base, runId, seq: ++seq, ...part } };
}
function delta(itemId: string, at: number, text: string, extra: object = {}) {
  return agent({ stream: 'assistant', data: { itemId, at, delta: text, ...extra } });
}
function fold(events: { event: string; payload: unknown }[]): SessionState {
  return events.reduce((state, event) => reduce(state, event), emptyState(stream) as SessionState);
}
function message(id: string, text: string): { event: string; payload: unknown } {
  const row: Message = { id, role: 'user', content: [{ type: 'text', text }], timestamp: 9 };
  return { event: 'session.message', payload: { ...base, messageSeq: Number(id), message: row } };
}

describe("a session's state", () => {
  test('a run goes from queued to its end, with its parts in between', () => {
    const events = [
      { event: 'session.created', payload: { entry } },
      agent({ stream: 'lifecycle', data: { phase: 'queued' } }),
      agent({ stream: 'lifecycle', data: { phase: 'start', startedAt: 7, attempt: 1 } }),
      delta('r:1', 0, 'Hel'),
      delta('r:1', 3, 'lo'),
      agent({ stream: 'tool', data: { phase: 'start', toolCallId: 't', name: 'clock', args: {}, safe: true } }),
      agent({ stream: 'tool', data: { phase: 'result', toolCallId: 't', name: 'clock', result: 'noon' } }),
      agent({ stream: 'usage', data: { outputTokens: 2 } }),
    ];
    const run = fold(events).runs[0];
    expect(run).toMatchObject({ runId: 'r', status: 'running', attempt: 1, startedAt: 7, usage: { outputTokens: 2 } });
    expect(run?.parts).toEqual([
      { kind: 'text', itemId: 'r:1', start: 0, text: 'Hello' },
      { kind: 'tool', toolCallId: 't', name: 'clock', safe: true, phase: 'result', args: {}, result: 'noon' },
    ]);
    const ended = fold([...events, agent({ stream: 'lifecycle', data: { phase: 'end' } })]);
    expect(ended.runs).toEqual([]);
    expect(ended.entry?.updatedAt).toBe(5);
  });

  test('a delta that overlaps is cut, one that is known is ignored, one beyond the part is a mismatch (S12)', () => {
    const start = fold([agent({ stream: 'lifecycle', data: { phase: 'queued' } }), delta('r:1', 0, 'abc')]);
    expect(reduce(start, delta('r:1', 1, 'bcd')).runs[0]?.parts).toEqual([
      { kind: 'text', itemId: 'r:1', start: 0, text: 'abcd' },
    ]);
    expect(reduce(start, delta('r:1', 0, 'ab')).runs[0]?.parts).toEqual(start.runs[0]?.parts);
    expect(() => reduce(start, delta('r:1', 4, 'x'))).toThrow(DeltaMismatchError);
    expect(reduce(start, delta('r:1', 0, 'new', { replace: true })).runs[0]?.parts).toEqual([
      { kind: 'text', itemId: 'r:1', start: 0, text: 'new' },
    ]);
  });

  test('a long part keeps its end and its whole length, so that later deltas still fit', () => {
    const events = [agent({ stream: 'lifecycle', data: { phase: 'queued' } })];
    for (let at = 0; at < 30_000; at += 100) events.push(delta('r:1', at, 'x'.repeat(100)));
    const part = fold(events).runs[0]?.parts[0];
    expect(part).toMatchObject({ kind: 'text' });
    if (part?.kind !== 'text') throw new Error('expected text');
    expect(part.start + part.text.length).toBe(30_000);
    expect(part.text.length).toBeLessThanOrEqual(8_000);
  });

  test('at most 50 messages are kept, long ones cut with a mark', () => {
    const state = fold(
      Array.from({ length: 60 }, (_, index) => message(String(index + 1), index === 59 ? 'y'.repeat(9_000) : 'hi')),
    );
    expect([state.messages.length, state.messageCount, state.messages[0]?.id]).toEqual([50, 60, '11']);
    expect(state.messages.at(-1)?.content).toEqual([{ type: 'text', text: 'y'.repeat(2_000), cut: true }]);
  });

  test('a state fits one frame, however much happened', () => {
    const events = [
      { event: 'session.created', payload: { entry } },
      agent({ stream: 'lifecycle', data: { phase: 'queued' } }),
    ];
    for (let index = 0; index < 80; index++) {
      events.push(message(String(index + 1), 'm'.repeat(4_000)) as never);
      events.push(delta(`r:${index}`, 0, 'd'.repeat(5_000)));
      events.push(
        agent({
          stream: 'tool',
          data: { phase: 'start', toolCallId: `t${index}`, name: 'n', args: { text: 'a'.repeat(9_000) } },
        }),
      );
      events.push({
        event: 'session.input',
        payload: {
          ...base,
          runId: `q${index % 32}`,
          phase: 'queued',
          mode: 'followup',
          message: {
            id: `q${index % 32}`,
            role: 'user',
            content: [{ type: 'text', text: 'q'.repeat(5_000) }],
            timestamp: 1,
          },
        },
      } as never);
    }
    expect(JSON.stringify(fold(events)).length).toBeLessThan(maxStreamFrameBytes);
  });

  test('what waits is queued and taken; a reset empties the transcript and keeps the runs', () => {
    const row = { id: 'q', role: 'user', content: [], timestamp: 1 };
    const queued = fold([
      agent({ stream: 'lifecycle', data: { phase: 'queued' } }),
      message('1', 'hi'),
      { event: 'session.input', payload: { ...base, runId: 'q', phase: 'queued', mode: 'collect', message: row } },
    ]);
    expect(queued.inputs).toEqual([{ runId: 'q', mode: 'collect', message: row }]);
    expect(reduce(queued, { event: 'session.input', payload: { ...base, runId: 'q', phase: 'taken' } }).inputs).toEqual(
      [],
    );
    const reset = reduce(queued, { event: 'session.reset', payload: { entry } });
    expect([reset.messages, reset.messageCount, reset.runs.length]).toEqual([[], 0, 1]);
  });

  test('an unknown event changes nothing', () => {
    const state = emptyState(stream);
    expect(reduce(state, { event: 'plugin.whatever', payload: {} })).toBe(state);
  });
});

describe('merged deltas (I7)', () => {
  test('any merging of a run gives the state of one by one, also for a reader in the middle', () => {
    const script = fc.array(
      fc.record({
        part: fc.constantFrom('r:1', 'r:2'),
        text: fc.oneof(
          fc.string({ minLength: 1, maxLength: 6, unit: 'binary' }),
          fc.nat(3_000).map((length) => 'z'.repeat(length + 1)),
        ),
      }),
      { minLength: 1, maxLength: 30 },
    );
    fc.assert(
      fc.property(script, fc.infiniteStream(fc.boolean()), fc.nat(), (pieces, coins, start) => {
        const lengths: Record<string, number> = {};
        const frames = pieces.map(({ part, text }, index): EventFrame => {
          const at = lengths[part] ?? 0;
          lengths[part] = at + text.length;
          const payload = {
            ...base,
            seq: index + 1,
            stream: 'assistant',
            data: { itemId: part, at, delta: text },
          } as AgentPayload;
          return { type: 'event', event: 'agent', payload, stream, offset: index + 2 };
        });
        const merged: EventFrame[] = [];
        for (const frame of frames) {
          const last = merged.at(-1);
          const joined = last && coins.next().value ? mergeDeltas(last, frame) : undefined;
          if (joined) merged[merged.length - 1] = joined;
          else merged.push(frame);
        }
        const opened = fold([agent({ stream: 'lifecycle', data: { phase: 'queued' } })]);
        const whole = frames.reduce((state, frame) => reduce(state, frame), opened);
        // A reader that has applied the first frames one by one goes on with the merged ones that reach beyond them.
        const have = start % (frames.length + 1);
        let state = frames.slice(0, have).reduce((left, frame) => reduce(left, frame), opened);
        let last = have + 1;
        for (const frame of merged) {
          if ((frame.offset as number) <= last) continue;
          expect(frame.from ?? frame.offset).toBeLessThanOrEqual(last + 1);
          state = reduce(state, frame);
          last = frame.offset as number;
        }
        expect(state).toEqual(whole);
      }),
      { numRuns: 1_000, seed: 20_261_122 },
    );
  });

  test('a replacement is never merged', () => {
    const one: EventFrame = { type: 'event', event: 'agent', stream, offset: 1, payload: delta('r:1', 0, 'a').payload };
    const two: EventFrame = {
      type: 'event',
      event: 'agent',
      stream,
      offset: 2,
      payload: delta('r:1', 1, 'b', { replace: true }).payload,
    };
    expect(mergeDeltas(one, two)).toBeUndefined();
    expect(mergeDeltas(two, { ...one, offset: 3 })).toBeUndefined();
  });
});

describe('the state of work, index and approvals', () => {
  test('work is what no agent settled', () => {
    const requested = { ...base, attempt: 1, requestedAt: 3 };
    let state = reduce(emptyState('agent:main'), { event: 'run.requested', payload: requested });
    state = reduce(state, { event: 'run.started', payload: { runId: 'r', instance: 'i', attempt: 1, local: true } });
    state = reduce(state, { event: 'run.steer', payload: { runId: 'r', inputId: 'x', text: 'left' } });
    expect(state).toMatchObject({ runs: [{ runId: 'r', instance: 'i', steers: [{ inputId: 'x', text: 'left' }] }] });
    const again = reduce(state, { event: 'run.requested', payload: { ...requested, attempt: 2 } });
    expect(again).toMatchObject({ runs: [{ runId: 'r', attempt: 2, steers: [{ inputId: 'x' }] }] });
    expect((again as { runs: { instance?: string }[] }).runs[0]?.instance).toBeUndefined();
    expect(reduce(again, { event: 'run.finished', payload: { runId: 'r' } })).toEqual({ kind: 'agent', runs: [] });
  });

  test('the index has the newest sessions first, and approvals only those that wait', () => {
    const index = reduce(emptyState('system'), {
      event: 'sessions.changed',
      payload: { sessionKey: entry.key, reason: 'create', ts: 1, entry },
    });
    expect(index).toEqual({ kind: 'system', sessions: [{ entry, hasActiveRun: false }] });
    expect(
      reduce(index, { event: 'sessions.changed', payload: { sessionKey: entry.key, reason: 'delete', ts: 2 } }),
    ).toEqual({ kind: 'system', sessions: [] });
    const asked = reduce(emptyState('approvals'), {
      event: 'approval.requested',
      payload: { approvalId: 'a', runId: 'r' },
    });
    expect(reduce(asked, { event: 'approval.resolved', payload: { approvalId: 'a' } })).toEqual({
      kind: 'approvals',
      open: [],
    });
  });
});
