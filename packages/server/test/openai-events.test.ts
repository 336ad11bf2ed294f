import { seededRandom } from '@openclaw/protocol/testing';
import { expect, test } from 'vitest';
import type { AnswerStep } from '../src/http/openai/answer.ts';
import { AnswerText } from '../src/http/openai/answer-text.ts';
import type { HttpRun } from '../src/http/openai/http-runs.ts';
import { type ResponseEvent, ResponseEvents } from '../src/http/openai/response-events.ts';

const run = { runId: 'f'.repeat(32), model: 'openclaw', createdAtMs: 0, previousId: undefined } as unknown as HttpRun;

async function eventsOf(steps: AnswerStep[], startingAfter = 0): Promise<ResponseEvent[]> {
  const events = [];
  async function* given() {
    yield* steps;
  }
  for await (const event of new ResponseEvents(run, { startingAfter }).of(given())) events.push(event);
  return events;
}

/** What a reader has after some events: every delta in its message, and the events beside them. */
function readingOf(events: readonly ResponseEvent[]): { texts: Record<string, string>; others: unknown[] } {
  const texts: Record<string, string> = {};
  const others: unknown[] = [];
  for (const event of events) {
    if (event.type === 'response.output_text.delta') {
      const id = String(event.item_id);
      texts[id] = `${texts[id] ?? ''}${event.delta}`;
    } else others.push(event);
  }
  return { texts, others };
}

const end: AnswerStep = {
  kind: 'ended',
  answer: {
    text: '',
    isStarted: true,
    usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3 },
    end: { kind: 'answered', finish: 'stop' },
  },
};

/** The steps of an answer, in which each stretch of text is cut where `random` says. */
function cutSteps(steps: readonly AnswerStep[], random: () => number): AnswerStep[] {
  return steps.flatMap((step) => {
    if (step.kind !== 'more' || step.text.length < 2) return [step];
    const at = 1 + Math.floor(random() * (step.text.length - 1));
    return [
      { kind: 'more' as const, text: step.text.slice(0, at) },
      { kind: 'more' as const, text: step.text.slice(at) },
    ];
  });
}

test('numbers do not rest on how the text was cut, and from any of them on comes exactly the rest', async () => {
  const random = seededRandom(7);
  for (let round = 0; round < 60; round++) {
    const whole: AnswerStep[] = [];
    for (let count = Math.floor(random() * 5); count >= 0; count--) {
      const text = 'abcdefghij'.slice(0, 1 + Math.floor(random() * 10));
      whole.push(random() < 0.25 ? { kind: 'anew', text } : { kind: 'more', text });
    }
    whole.push(end);
    const all = await eventsOf(whole);
    const numbers = all.map((event) => event.sequence_number);
    expect(numbers.every((number, index) => index === 0 || number > (numbers[index - 1] as number))).toBe(true);
    for (let from = 0; from <= (numbers.at(-1) ?? 0) + 1; from++) {
      const seen = (await eventsOf(cutSteps(whole, random))).flatMap((event): ResponseEvent[] => {
        if (event.sequence_number <= from) return [event];
        const overshoot = event.sequence_number - from;
        const delta = event.type === 'response.output_text.delta' ? String(event.delta).slice(0, -overshoot) : '';
        return delta === '' ? [] : [{ ...event, delta, sequence_number: from }];
      });
      const rest = await eventsOf(cutSteps(whole, random), from);
      expect(readingOf([...seen, ...rest])).toEqual(readingOf(all));
    }
  }
});

test('the parts of an answer are one text with an empty line between them', () => {
  const answer = new AnswerText();
  expect(answer.add({ itemId: 'a', at: 0, delta: 'Let me look.' })).toEqual({ kind: 'more', text: 'Let me look.' });
  expect(answer.add({ itemId: 'b', at: 0, delta: '' })).toBeUndefined();
  expect(answer.add({ itemId: 'b', at: 0, delta: 'It' })).toEqual({ kind: 'more', text: '\n\nIt' });
  expect(answer.add({ itemId: 'b', at: 2, delta: ' rains.' })).toEqual({ kind: 'more', text: ' rains.' });
  expect(answer.text).toBe('Let me look.\n\nIt rains.');
});

test('a delta that overlaps what is there gives only its news', () => {
  const answer = new AnswerText();
  answer.add({ itemId: 'a', at: 0, delta: 'one ' });
  expect(answer.add({ itemId: 'a', at: 0, delta: 'one two' })).toEqual({ kind: 'more', text: 'two' });
});

test('a part that is replaced goes on when it begins the same, and is begun anew when not', () => {
  const answer = new AnswerText();
  answer.add({ itemId: 'a', at: 0, delta: 'one' });
  expect(answer.add({ itemId: 'a', at: 0, delta: 'one two', replace: true })).toEqual({ kind: 'more', text: ' two' });
  expect(answer.add({ itemId: 'a', at: 0, delta: 'one two', replace: true })).toBeUndefined();
  expect(answer.add({ itemId: 'a', at: 0, delta: 'three', replace: true })).toEqual({ kind: 'anew', text: 'three' });
  expect(answer.add({ itemId: 'a', at: 0, delta: '', replace: true })).toEqual({ kind: 'anew', text: '' });
  expect(answer.add({ itemId: 'b', at: 0, delta: 'four' })).toEqual({ kind: 'more', text: 'four' });
});

test('an earlier part that goes on makes the text anew, since it stands before the later one', () => {
  const answer = new AnswerText();
  answer.add({ itemId: 'a', at: 0, delta: 'one' });
  answer.add({ itemId: 'b', at: 0, delta: 'two' });
  expect(answer.add({ itemId: 'a', at: 3, delta: '!' })).toBeUndefined();
  expect(answer.text).toBe('one!\n\ntwo');
  expect(answer.show()).toEqual({ kind: 'anew', text: 'one!\n\ntwo' });
  expect(answer.show()).toBeUndefined();
});

test('what an earlier part says is shown alike, however it was cut', () => {
  const shownOf = (deltas: readonly { itemId: string; at: number; delta: string }[]) => {
    const answer = new AnswerText();
    const shown = [...deltas.map((delta) => answer.add(delta)), answer.show()];
    let length = 0;
    for (const growth of shown) length += growth ? growth.text.length + (growth.kind === 'anew' ? 1_000 : 0) : 0;
    return { text: answer.text, length };
  };
  const begun = [
    { itemId: 'a', at: 0, delta: 'one' },
    { itemId: 'b', at: 0, delta: 'two' },
  ];
  const whole = [...begun, { itemId: 'a', at: 3, delta: ' and' }, { itemId: 'b', at: 3, delta: ' more' }];
  const cut = [
    ...begun,
    { itemId: 'a', at: 3, delta: ' a' },
    { itemId: 'a', at: 5, delta: 'nd' },
    { itemId: 'b', at: 3, delta: ' m' },
    { itemId: 'b', at: 5, delta: 'ore' },
  ];
  expect(shownOf(cut)).toEqual(shownOf(whole));
  expect(shownOf(cut).text).toBe('one and\n\ntwo more');
});
