import { expect, test } from 'vitest';
import { makePartFold, type StreamedPart } from '../src/run-parts.ts';

const told = (parts: readonly StreamedPart[]) => {
  const texts = new Map<string, string>();
  for (const part of parts) if (part.type === 'text') texts.set(part.itemId, part.text);
  return [...texts.values()].join('');
};
const state = (...parts: { itemId: string; text: string }[]) => ({
  type: 'state' as const,
  reason: undefined,
  parts: parts.map((part) => ({ kind: 'text' as const, start: 0, ...part })),
});

test('an answer that ended out of sight completes what was told of it', () => {
  const fold = makePartFold(async () => 'allow');
  const parts = fold.tell(state({ itemId: 'one', text: 'First. ' }, { itemId: 'two', text: 'Sec' }));
  parts.push(...fold.finish('First. Second.'));
  expect(told(parts)).toBe('First. Second.');
});

test('what is known from the middle of an answer on is not told twice when it ended out of sight', () => {
  const fold = makePartFold(async () => 'allow');
  const parts = fold.tell(state({ itemId: 'two', text: 'Second. ' }, { itemId: 'three', text: 'Th' }));
  parts.push(...fold.finish('First. Second. Third.'));
  expect(told(parts)).toBe('Second. Third.');
});
