import { GatewayError, type RunPart } from '@openclaw/protocol';
import { settle, VirtualClock } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { EmitWindow } from '../src/emit-window.ts';

interface Sent {
  n: number;
  parts: RunPart[];
  signal: AbortSignal;
  ok: (n?: number, expected?: number) => void;
  fail: (error: unknown) => void;
}

function windowUnderTest({ n = 0 } = {}) {
  const clock = new VirtualClock();
  const sent: Sent[] = [];
  const ends: string[] = [];
  const window = new EmitWindow({
    n,
    clock,
    defer: (task) => setImmediate(task),
    send: (number, parts, signal) =>
      new Promise((resolve, fail) => {
        sent.push({
          n: number,
          parts,
          signal,
          fail,
          ok: (acked = number, expected) => resolve({ n: acked, expected }),
        });
      }),
    ended: () => ends.push('ended'),
    refused: () => ends.push('refused'),
  });
  let at = 0;
  const say = (words: string) => {
    window.push([{ stream: 'assistant', data: { itemId: 'text-1', at, delta: words } }]);
    at += words.length;
  };
  return { clock, sent, ends, window, say, numbers: () => sent.map((emit) => emit.n) };
}

/** A value that is big enough to be an emit of its own. */
const notice: RunPart = { stream: 'usage', data: { provider: 'x'.repeat(40_000) } };

describe('emits', () => {
  test('of one tick go as one, adjacent deltas joined', async () => {
    const { window, sent, say } = windowUnderTest({ n: 7 });
    window.attach();
    for (const words of ['a', 'b', 'c']) say(words);
    await settle();
    expect(sent.map(({ n, parts }) => [n, parts])).toEqual([
      [8, [{ stream: 'assistant', data: { itemId: 'text-1', at: 0, delta: 'abc' } }]],
    ]);
  });

  test('on their way at a time stay below what the gateway takes without an answer, however much is said at once', async () => {
    const { window, sent, say } = windowUnderTest();
    window.attach();
    // Six bytes each in JSON.
    for (let count = 0; count < 40; count++) say('\u0001'.repeat(10_000));
    let unanswered = 0;
    for (let answered = 0; answered < 40; ) {
      await settle();
      const waiting = sent.slice(answered);
      if (waiting.length === 0) break;
      const bytes = waiting.reduce((sum, { parts }) => sum + JSON.stringify(parts).length, 0);
      unanswered = Math.max(unanswered, bytes);
      waiting[0]?.ok();
      answered++;
    }
    expect(unanswered).toBeLessThan(1_048_576);
    expect(sent.flatMap(({ parts }) => parts).length).toBeGreaterThan(10);
  });

  test('wait without a connection, and go out when there is one', async () => {
    const { window, say, numbers } = windowUnderTest();
    say('a');
    await settle();
    expect(numbers()).toEqual([]);
    window.attach();
    await settle();
    expect(numbers()).toEqual([1]);
  });

  test('that are unacknowledged go out again, in order and with their numbers, after a reconnect', async () => {
    const { window, sent, say, numbers } = windowUnderTest();
    window.attach();
    for (const words of ['a', 'b', 'c']) {
      say(words);
      await settle();
    }
    sent[0]?.ok();
    await settle();
    window.detach();
    expect(sent[1]?.signal.aborted).toBe(true);
    say('d');
    await settle();
    window.attach();
    await settle();
    expect(numbers()).toEqual([1, 2, 3, 2, 3, 4]);
    expect(sent[3]?.parts).toEqual(sent[1]?.parts);
  });

  test('are held back beyond 8 on their way, and joined meanwhile', async () => {
    const { window, sent, say, numbers } = windowUnderTest();
    window.attach();
    for (let count = 0; count < 50; count++) {
      say('x');
      await settle(1);
    }
    expect(numbers()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    sent[0]?.ok();
    await settle();
    expect(sent[8]?.parts).toEqual([{ stream: 'assistant', data: { itemId: 'text-1', at: 8, delta: 'x'.repeat(42) } }]);
  });

  test('that the gateway wants again from a number go out again from there', async () => {
    const { window, clock, sent, say, numbers } = windowUnderTest();
    window.attach();
    for (const words of ['a', 'b', 'c']) {
      say(words);
      await settle();
    }
    sent[0]?.ok();
    sent[2]?.fail(new GatewayError('INVALID_REQUEST', 'a jump', { details: { expected: 2 } }));
    await clock.advance(1_000);
    expect(numbers()).toEqual([1, 2, 3, 2, 3]);
    sent[3]?.ok();
    sent[4]?.ok();
    await window.drained();
  });

  test('that were refused for a while go out again after the time the gateway gave', async () => {
    const { window, clock, sent, say, numbers } = windowUnderTest();
    window.attach();
    say('a');
    await settle();
    sent[0]?.fail(new GatewayError('UNAVAILABLE', 'the disk is full', { retryable: true, retryAfterMs: 5_000 }));
    await clock.advance(4_999);
    expect(numbers()).toEqual([1]);
    await clock.advance(1);
    expect(numbers()).toEqual([1, 1]);
  });

  test('stop for good when the run has ended', async () => {
    const { window, sent, say, ends, numbers } = windowUnderTest();
    window.attach();
    say('a');
    await settle();
    sent[0]?.fail(new GatewayError('RUN_ENDED', 'aborted'));
    await window.drained();
    say('b');
    await settle();
    expect(numbers()).toEqual([1]);
    expect(ends).toEqual(['ended']);
  });

  test('that are refused for good are given back, and can be replaced under the same number', async () => {
    const { window, sent, say, ends } = windowUnderTest();
    window.attach();
    say('a');
    await settle();
    say('b');
    await settle();
    sent[0]?.fail(new GatewayError('INVALID_REQUEST', 'at /parts/0: must be object'));
    await settle();
    expect(ends).toEqual(['refused']);
    window.replaceAll([{ stream: 'lifecycle', data: { phase: 'error' } }]);
    await settle();
    expect(sent.at(-1)).toMatchObject({ n: 1, parts: [{ stream: 'lifecycle' }] });
  });
});

describe('back-pressure', () => {
  test('asks the agent to wait while too much is unacknowledged', async () => {
    const { window, sent } = windowUnderTest();
    window.attach();
    for (let count = 0; count < 20; count++) window.push([notice]);
    let hasRoom = false;
    const room = window.room().then(() => {
      hasRoom = true;
    });
    await settle();
    expect(hasRoom).toBe(false);
    for (let index = 0; index < sent.length; index++) {
      sent[index]?.ok();
      await settle();
    }
    await room;
    expect(hasRoom).toBe(true);
    const bytes = sent.map(({ parts }) => JSON.stringify(parts).length);
    expect(Math.max(...bytes)).toBeLessThan(256 * 1024);
  });
});

describe('signs of life', () => {
  test('are empty emits with number 0, sent only when nothing else is on its way', async () => {
    const { window, sent, say, numbers } = windowUnderTest();
    window.keepAlive();
    window.attach();
    window.keepAlive();
    expect(sent.map(({ n, parts }) => [n, parts])).toEqual([[0, []]]);
    say('a');
    await settle();
    window.keepAlive();
    expect(numbers()).toEqual([0, 1]);
  });
});
