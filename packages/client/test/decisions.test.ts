import type { AgentPayload, StreamEventFrame } from '@openclaw/protocol';
import { mergeDeltas } from '@openclaw/protocol';
import { seededRandom } from '@openclaw/protocol/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backoffMs } from '../src/backoff.ts';
import { type Phase, transition } from '../src/connection-state.ts';
import { applyFrame, type Bookmark } from '../src/cursor.ts';

describe('backoff (S24)', () => {
  test.each([0, 3, 10])('of attempt %i is uniform within its bounds', (attempt) => {
    const random = seededRandom(attempt + 1);
    const ceiling = Math.min(15_000, 250 * 2 ** attempt);
    const samples = Array.from({ length: 20_000 }, () => (backoffMs(attempt, random) - 100) / ceiling).sort(
      (a, b) => a - b,
    );
    expect(samples[0]).toBeGreaterThanOrEqual(0);
    expect(samples.at(-1)).toBeLessThan(1);
    // Kolmogorov-Smirnov at p = 0.01.
    const distance = Math.max(...samples.map((sample, index) => Math.abs(sample - (index + 0.5) / samples.length)));
    expect(distance).toBeLessThan(1.63 / Math.sqrt(samples.length));
  });

  test('never comes before what the gateway asked for', () => {
    expect(backoffMs(0, () => 0, 4_000)).toBe(4_000);
    expect(backoffMs(0, () => 0.5, 5_000)).toBe(5_125);
  });
});

describe('transition', () => {
  const phases: Phase[] = [
    'idle',
    'dialing',
    'handshaking',
    'resuming',
    'live',
    'probing',
    'backoff',
    'offline',
    'closed',
    'failed',
  ];

  test('closed is final, and failed can only be closed', () => {
    for (const type of ['start', 'challenge', 'hello', 'resumed', 'doubt', 'answer', 'due', 'close', 'fail'] as const) {
      expect(transition('closed', type)).toBeUndefined();
      expect(transition('failed', type)).toBe(type === 'close' ? 'closed' : undefined);
    }
  });

  test('a loss means something only while there is a socket', () => {
    const lost = phases.filter((phase) => transition(phase, 'lost') === 'backoff');
    expect(lost).toEqual(['dialing', 'handshaking', 'resuming', 'live', 'probing']);
  });
});

function delta(offset: number, at: number, text: string, itemId: string): StreamEventFrame {
  const payload = { runId: 'r', stream: 'assistant', data: { itemId, at, delta: text } } as unknown as AgentPayload;
  return { type: 'event', event: 'agent', payload, stream: 's', offset };
}

const start: Bookmark = { stream: 's', epoch: 'e', offset: 0, open: {} };

describe('applying a frame (S12)', () => {
  test('a frame is applied iff from ≤ last+1 ≤ offset', () => {
    fc.assert(
      fc.property(fc.nat(20), fc.integer({ min: 1, max: 20 }), fc.nat(10), (last, from, length) => {
        const offset = from + length;
        const frame: StreamEventFrame = { type: 'event', event: 'x', payload: {}, stream: 's', offset, from };
        const { verdict } = applyFrame({ ...start, offset: last }, frame);
        const expected = offset <= last ? 'known' : from > last + 1 ? 'gap' : 'applied';
        expect(verdict).toBe(expected);
      }),
    );
  });

  test('however deltas are merged, repeated and resumed, the text comes out once and whole', () => {
    const pieces = fc.array(
      fc.record({ text: fc.string({ minLength: 1, maxLength: 4 }), item: fc.constantFrom('a', 'b') }),
      {
        minLength: 1,
        maxLength: 20,
      },
    );
    fc.assert(
      fc.property(pieces, fc.array(fc.nat(20), { maxLength: 12 }), (parts, cuts) => {
        const lengths: Record<string, number> = {};
        const log = parts.map(({ text, item }, index) => {
          const at = lengths[item] ?? 0;
          lengths[item] = at + text.length;
          return delta(index + 1, at, text, item);
        });
        let cursor = start;
        const texts: Record<string, string> = {};
        const feed = (frame: StreamEventFrame) => {
          const applied = applyFrame(cursor, frame);
          if (applied.verdict !== 'applied') return;
          cursor = JSON.parse(JSON.stringify(applied.cursor)) as Bookmark;
          const { data } = applied.frame.payload as { data: { itemId: string; delta: string } };
          texts[data.itemId] = (texts[data.itemId] ?? '') + data.delta;
        };
        // Deliveries of stretches that overlap at random, each merged as far as it can be, then the whole.
        for (const cut of cuts) {
          const first = Math.min(cut, cursor.offset);
          let merged = log[first];
          for (const next of log.slice(first + 1, cut)) {
            const joined: StreamEventFrame | undefined =
              merged && (mergeDeltas(merged, next) as StreamEventFrame | undefined);
            if (!joined && merged) feed(merged);
            merged = joined ?? next;
          }
          if (merged) feed(merged);
        }
        for (const frame of log) feed(frame);
        for (const item of ['a', 'b']) {
          const whole = parts
            .filter((part) => part.item === item)
            .map(({ text }) => text)
            .join('');
          expect(texts[item] ?? '').toBe(whole);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('a delta that begins beyond what is there is a gap; a part set anew is not', () => {
    const at = { ...start, offset: 1, open: { 'r assistant a': 2 } };
    expect(applyFrame(at, delta(2, 5, 'x', 'a')).verdict).toBe('gap');
    const anew = delta(2, 0, 'new', 'a');
    (anew.payload as { data: { replace?: true } }).data.replace = true;
    expect(applyFrame(at, anew)).toMatchObject({ verdict: 'applied', cursor: { open: { 'r assistant a': 3 } } });
  });

  test('the end of a run takes its parts out of the bookmark', () => {
    const end = { runId: 'r', stream: 'lifecycle', data: { phase: 'end' } };
    const frame: StreamEventFrame = { type: 'event', event: 'agent', payload: end, stream: 's', offset: 1 };
    expect(applyFrame({ ...start, open: { 'r assistant a': 2, 'q assistant a': 1 } }, frame)).toMatchObject({
      cursor: { offset: 1, open: { 'q assistant a': 1 } },
    });
  });
});
