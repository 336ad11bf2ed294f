import { expect, test } from 'vitest';
import { v4Message } from '../src/projection/v4-message.ts';

const media = { id: 'f'.repeat(64), mimeType: 'image/png', sizeBytes: 3 };

test("a person's message has a string as content, the key with :user, and its files beside it", () => {
  const row = v4Message(
    {
      id: 'm1',
      role: 'user',
      content: [
        { type: 'text', text: 'Look at ' },
        { type: 'media', media },
        { type: 'text', text: 'this' },
      ],
      timestamp: 5,
      runId: 'run-1',
      idempotencyKey: 'run-1',
    },
    3,
  );
  expect(row).toEqual({
    role: 'user',
    content: 'Look at this',
    timestamp: 5,
    idempotencyKey: 'run-1:user',
    __openclaw: { id: 'm1', seq: 3, runId: 'run-1', recordTimestampMs: 5, media: [media] },
  });
});

test('an answer keeps its blocks and what is known of its model', () => {
  const content = [
    { type: 'thinking', thinking: 'Hm' },
    { type: 'text', text: 'Yes' },
  ] as const;
  const row = v4Message(
    {
      id: 'm2',
      role: 'assistant',
      content: [...content],
      timestamp: 6,
      runId: 'run-1',
      stopReason: 'stop',
      usage: { outputTokens: 2 },
      provider: 'fake',
      model: 'fake-1',
    },
    4,
  );
  expect(row).toEqual({
    role: 'assistant',
    content,
    timestamp: 6,
    usage: { outputTokens: 2 },
    stopReason: 'stop',
    provider: 'fake',
    model: 'fake-1',
    __openclaw: { id: 'm2', seq: 4, runId: 'run-1', recordTimestampMs: 6 },
  });
});

test('what the system says is a string, too', () => {
  expect(
    v4Message({ id: 'm', role: 'system', content: [{ type: 'text', text: 'Note' }], timestamp: 1 }, 1).content,
  ).toBe('Note');
});
