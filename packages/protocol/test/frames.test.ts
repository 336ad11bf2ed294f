import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { closeAction, closeReason, decodeFrame, v4CloseCode } from '../src/wire.ts';

describe('the envelope', () => {
  test('takes the three kinds of frame', () => {
    for (const frame of [
      { type: 'req', id: '1', method: 'health', params: {}, traceparent: '00-a-b-01' },
      { type: 'res', id: '1', ok: true, payload: {} },
      { type: 'event', event: 'tick', payload: { ts: 1 }, seq: 1 },
    ]) {
      expect(decodeFrame(JSON.stringify(frame))).toEqual({ ok: true, frame });
    }
  });

  test.each([
    ['{', 'not-json', 'the message is not JSON'],
    ['[]', 'not-a-frame', 'at root: must be object'],
    ['{"type":"req","id":"","method":"x"}', 'not-a-frame', 'at /id: must be a non-empty string'],
    ['{"type":"req","id":7,"method":"x"}', 'not-a-frame', 'at /id: must be a non-empty string'],
    ['{"type":"req","id":"1"}', 'not-a-frame', 'at /method: must be a non-empty string'],
    ['{"type":"req","id":"1","method":"x","extra":1}', 'not-a-frame', "at root: unexpected property 'extra'"],
    ['{"type":"nope"}', 'not-a-frame', 'at /type: must be one of req, res, event'],
    [
      '{"type":"req","id":"1","method":"x","params":{"__proto__":{}}}',
      'unsafe',
      "at root: the key '__proto__' is not allowed",
    ],
  ])('refuses %s and says why', (text, problem, reason) => {
    expect(decodeFrame(text)).toMatchObject({ ok: false, problem, reason });
  });

  test('names the id of what it refuses, so that the answer can', () => {
    expect(decodeFrame('{"type":"req","id":7,"method":"x"}')).toMatchObject({ id: 7 });
  });

  test('refuses documents that are too deep or too wide', () => {
    const deep = `{"type":"req","id":"1","method":"x","params":${'['.repeat(70)}${']'.repeat(70)}}`;
    expect(decodeFrame(deep)).toMatchObject({ problem: 'unsafe', reason: 'at root: nested deeper than 64' });
    const wide = JSON.stringify({
      type: 'req',
      id: '1',
      method: 'x',
      params: Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [`k${index}`, 0])),
    });
    expect(decodeFrame(wide)).toMatchObject({ problem: 'unsafe', reason: 'at root: more than 10000 keys' });
  });

  test('never throws, whatever comes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json({ maxDepth: 8 })), (text) => {
        expect(typeof decodeFrame(text).ok).toBe('boolean');
      }),
      { numRuns: 500 },
    );
  });
});

describe('close codes', () => {
  test('unknown codes go by their class', () => {
    expect([1006, 1012, 4000, 4150, 3999].map(closeAction)).toEqual(Array(5).fill('resume'));
    expect([4201, 4299].map(closeAction)).toEqual(['wait', 'wait']);
    expect([4401, 4499].map(closeAction)).toEqual(['fatal', 'fatal']);
    expect([1002, 1008, 1009, 4001].map(closeAction)).toEqual(Array(4).fill('refused'));
  });

  test('a v4 connection gets only codes that it knows', () => {
    const pairs = [
      [4101, 1008],
      [4102, 1012],
      [4103, 1001],
      [4201, 1013],
      [4413, 1009],
      [4426, 1002],
      [4409, 1008],
      [1012, 1012],
    ];
    expect(pairs.map(([code]) => v4CloseCode(code as number))).toEqual(pairs.map(([, code]) => code));
  });

  test('a reason is cut to 123 bytes between characters', () => {
    const reason = closeReason('ä'.repeat(100));
    expect(new TextEncoder().encode(reason).length).toBe(122);
    expect(reason).toBe('ä'.repeat(61));
    expect(closeReason('short')).toBe('short');
  });
});
