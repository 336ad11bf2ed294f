import type { ModelMessage } from 'ai';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { estimateTokens, fitMessages } from '../src/budget.ts';
import { asCall, toolAnswer } from '../src/conversation.ts';

const said = (length: number): ModelMessage => ({ role: 'assistant', content: 'x'.repeat(length) });
const asked = (length: number): ModelMessage => ({ role: 'user', content: 'y'.repeat(length) });
const used = (id: string, length: number): ModelMessage[] => [
  { role: 'assistant', content: [asCall(id, 'tool', {})] },
  { role: 'tool', content: [toolAnswer(id, 'tool', 'z'.repeat(length))] },
];

function callIds(messages: readonly ModelMessage[], type: 'tool-call' | 'tool-result'): string[] {
  return messages.flatMap(({ content }) =>
    typeof content === 'string' ? [] : content.flatMap((part) => (part.type === type ? [part.toolCallId] : [])),
  );
}

describe('a conversation that is too long', () => {
  test('loses whole turns, oldest first', () => {
    const messages = [asked(400), said(400), asked(400), said(400), asked(40)];
    expect(fitMessages(messages, 300)).toMatchObject({ messages: messages.slice(2), droppedCount: 2 });
    expect(fitMessages(messages, 100)).toMatchObject({ messages: messages.slice(4), droppedCount: 4 });
    expect(fitMessages(messages, 10_000)).toMatchObject({ messages, droppedCount: 0, shortenedCount: 0 });
  });

  test('keeps the message to answer, however long', () => {
    const messages = [asked(400), said(400), asked(40_000)];
    expect(fitMessages(messages, 100).messages).toEqual(messages.slice(2));
  });

  test('of one long run loses tool answers, oldest first, but never the newest', () => {
    const messages = [asked(40), ...used('a', 4_000), ...used('b', 4_000), ...used('c', 4_000)];
    const { messages: kept, shortenedCount } = fitMessages(messages, 1_500);
    expect(shortenedCount).toBe(2);
    expect(kept).toHaveLength(messages.length);
    expect(kept.at(-1)).toEqual(messages.at(-1));
  });

  test('for every conversation: calls and answers stay together, the last turn stays, and the rest fits', () => {
    const turn = fc.array(fc.nat(3_000), { maxLength: 4 });
    void fc.assert(
      fc.property(
        fc.array(turn, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 50, max: 4_000 }),
        (turns, budget) => {
          const messages = turns.flatMap((lengths, index) => [
            asked(30),
            ...lengths.flatMap((length, at) => used(`${index}-${at}`, length)),
            said(100),
          ]);
          const { messages: kept, droppedCount } = fitMessages(messages, budget);
          expect(callIds(kept, 'tool-call')).toEqual(callIds(kept, 'tool-result'));
          expect(kept[0]?.role).toBe('user');
          expect(kept).toHaveLength(messages.length - droppedCount);
          const turnsKept = kept.filter(({ role }) => role === 'user').length;
          if (turnsKept > 1) expect(estimateTokens(kept)).toBeLessThanOrEqual(budget);
        },
      ),
    );
  });
});
