import type { RunPart } from '@openclaw/protocol';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readJournal, unrepeatableCalls } from '../src/journal.ts';
import { type AgentPart, notice, step, text, thinking, toolResult, toolStart, usage } from '../src/part.ts';
import { PartWriter } from '../src/part-writer.ts';

type Written = Exclude<AgentPart, { type: 'end' | 'fail' }>;

function write(writer: PartWriter, ...parts: AgentPart[]): RunPart[] {
  return parts.flatMap((part) => writer.write(part as Written));
}

/** What a reader has of each text part after all deltas, empty parts left out. */
function texts(parts: readonly RunPart[]): Record<string, string> {
  const said: Record<string, string> = {};
  for (const { stream, data } of parts) {
    if (stream !== 'assistant' && stream !== 'thinking') continue;
    const before = said[data.itemId] ?? '';
    if (!data.replace) expect(data.at).toBe(before.length);
    said[data.itemId] = data.replace ? data.delta : before + data.delta;
  }
  return Object.fromEntries(Object.entries(said).filter(([, words]) => words !== ''));
}

/** True when encoding the text loses nothing: no half of a surrogate pair stands alone. */
const isWhole = (words: string) => new TextDecoder().decode(new TextEncoder().encode(words)) === words;

const call = { toolCallId: 'tool-1', name: 'clock', safe: true };

describe('a first attempt', () => {
  test('text of one kind continues its part and counts UTF-16 units', () => {
    expect(write(new PartWriter(), thinking('hm'), 'He', text('llo '), '👋', '!')).toEqual([
      { stream: 'thinking', data: { itemId: 'thinking-1', at: 0, delta: 'hm' } },
      { stream: 'assistant', data: { itemId: 'text-1', at: 0, delta: 'He' } },
      { stream: 'assistant', data: { itemId: 'text-1', at: 2, delta: 'llo ' } },
      { stream: 'assistant', data: { itemId: 'text-1', at: 6, delta: '👋' } },
      { stream: 'assistant', data: { itemId: 'text-1', at: 8, delta: '!' } },
    ]);
  });

  test('text after a tool or a notice begins a new part; usage does not end one', () => {
    const parts = write(
      new PartWriter(),
      'a',
      usage({ inputTokens: 1 }),
      'b',
      notice('short'),
      'c',
      toolStart(call),
      'd',
    );
    expect(texts(parts)).toEqual({ 'text-1': 'ab', 'text-2': 'c', 'text-3': 'd' });
  });

  test('a named part is continued and replaced by its name', () => {
    const parts = write(
      new PartWriter(),
      text('plan: ', { id: 'plan' }),
      'answer',
      text('sleep', { id: 'plan' }),
      text('plan: work', { id: 'plan', replace: true }),
      text(' hard', { id: 'plan' }),
    );
    expect(texts(parts)).toEqual({ plan: 'plan: work hard', 'text-1': 'answer' });
  });

  test('a long text goes in several deltas, never cut inside a surrogate pair', () => {
    const words = `a${'👋'.repeat(40_000)}`;
    const parts = write(new PartWriter(), words);
    expect(parts.length).toBeGreaterThan(2);
    expect(texts(parts)).toEqual({ 'text-1': words });
    for (const { data } of parts) expect((data as { delta: string }).delta).toSatisfy(isWhole);
  });

  test('a huge tool result is cut with a mark', () => {
    const [, result] = write(new PartWriter(), toolStart(call), toolResult(call, { rows: 'x'.repeat(500_000) }));
    const said = result?.stream === 'tool' ? String(result.data.result) : '';
    expect(said.length).toBeGreaterThan(40_000);
    expect(said.length).toBeLessThan(60_000);
    expect(said).toMatch(/… \(\d+ more characters were cut\)$/);
  });
});

describe('a continued attempt', () => {
  const first = (...parts: AgentPart[]) => write(new PartWriter(), ...parts);

  test('that says the same again sends only what goes beyond', () => {
    const said = first(thinking('hm'), toolStart(call), toolResult(call, 12), 'one two ');
    const writer = new PartWriter(readJournal(said));
    const again = write(writer, thinking('hm'), toolStart(call), toolResult(call, 12), 'one ', 'two three', ' four');
    expect(again).toEqual([
      { stream: 'assistant', data: { itemId: 'text-1', at: 8, delta: 'three' } },
      { stream: 'assistant', data: { itemId: 'text-1', at: 13, delta: ' four' } },
    ]);
    expect(writer.settle()).toEqual([]);
  });

  test('that says something else sets the open part anew, once', () => {
    const writer = new PartWriter(readJournal(first('Hello wor')));
    expect(write(writer, 'Hello', ' there', '!')).toEqual([
      { stream: 'assistant', data: { itemId: 'text-1', at: 0, delta: 'Hello there', replace: true } },
      { stream: 'assistant', data: { itemId: 'text-1', at: 11, delta: '!' } },
    ]);
  });

  test('that says less shortens the open part', () => {
    const writer = new PartWriter(readJournal(first('Hello wor')));
    expect(texts([...first('Hello wor'), ...write(writer, 'Hello', step())])).toEqual({ 'text-1': 'Hello' });
  });

  test('keeps finished steps and numbers its parts after them', () => {
    const said = first(thinking('a'), 'b', step(), thinking('c'), 'half of');
    const writer = new PartWriter(readJournal(said));
    const again = [...write(writer, 'the whole'), ...writer.settle()];
    expect(again.map(({ stream, data }) => [stream, (data as { itemId: string }).itemId])).toEqual([
      ['assistant', 'text-2'],
      ['thinking', 'thinking-2'],
    ]);
    expect(texts([...said, ...again])).toEqual({ 'thinking-1': 'a', 'text-1': 'b', 'text-2': 'the whole' });
  });

  test('that keeps the open step goes on after it', () => {
    const said = first('looking', toolStart(call));
    const writer = new PartWriter(readJournal(said));
    writer.keepOpenStep();
    const again = write(writer, toolStart(call), toolResult(call, 1), step(), 'found');
    expect(again.map(({ stream }) => stream)).toEqual(['tool', 'item', 'assistant']);
    expect(texts([...said, ...again])).toEqual({ 'text-1': 'looking', 'text-2': 'found' });
  });

  test('ends a tool that was not taken up again with an error', () => {
    const writer = new PartWriter(readJournal(first(toolStart(call))));
    expect(writer.settle()).toMatchObject([
      { stream: 'tool', data: { phase: 'result', toolCallId: 'tool-1', isError: true } },
    ]);
  });

  test('does not say a notice twice', () => {
    const writer = new PartWriter(readJournal(first(notice('old messages left out'), 'a')));
    expect(write(writer, notice('old messages left out'), 'a')).toEqual([]);
  });

  test('for every pair of attempts the reader ends with what the second one said', () => {
    const word = fc.constantFrom('a', 'b', 'ab', 'abc', '👋');
    const part: fc.Arbitrary<AgentPart> = fc.oneof(
      { weight: 5, arbitrary: word },
      { weight: 2, arbitrary: word.map((words) => thinking(words)) },
      { weight: 1, arbitrary: fc.constant(notice('n')) },
    );
    void fc.assert(
      fc.property(fc.array(part), fc.array(part), fc.array(part), (kept, open, again) => {
        const prefix = kept.length > 0 ? [...kept, step()] : [];
        const said = first(...prefix, ...open);
        const writer = new PartWriter(readJournal(said));
        const joined = texts([...said, ...write(writer, ...again), ...writer.settle()]);
        expect(joined).toEqual(texts(first(...prefix, ...again)));
      }),
      { numRuns: 500 },
    );
  });
});

describe('unfinished tools', () => {
  const start = (safe: boolean): RunPart => ({
    stream: 'tool',
    data: { phase: 'start', toolCallId: 'x', name: 'mail', safe },
  });
  const asked: RunPart = {
    stream: 'approval',
    data: { phase: 'requested', approvalId: 'r:x', title: 'mail?', toolCallId: 'x' },
  };

  test('that are not safe can not be repeated', () => {
    expect(unrepeatableCalls(readJournal([start(false)])).map(({ name }) => name)).toEqual(['mail']);
    expect(unrepeatableCalls(readJournal([start(true)]))).toEqual([]);
  });

  test('that waited for a person were not at work', () => {
    expect(unrepeatableCalls(readJournal([start(false), asked]))).toEqual([]);
    const allowed: RunPart = {
      stream: 'approval',
      data: { ...asked.data, phase: 'resolved', decision: 'allow' } as never,
    };
    expect(unrepeatableCalls(readJournal([start(false), asked, allowed]))).toHaveLength(1);
  });
});
