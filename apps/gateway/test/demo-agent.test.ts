import { rehearse } from '@openclaw/plugin-sdk/testing';
import type { RunPart } from '@openclaw/protocol';
import { settle, VirtualClock } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { demoAgent } from '../src/demo-agent.ts';

async function run(text: string, options: { journal?: readonly RunPart[]; ms?: number; paceMs?: number } = {}) {
  const clock = new VirtualClock();
  const { paceMs = 20, journal = [], ms = 1_000_000 } = options;
  const rehearsal = rehearse(demoAgent({ clock, paceMs }), { text, clock, journal });
  await clock.advance(ms);
  return rehearsal;
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1).join(' ');

describe('the demo agent', () => {
  test('says that no model is configured and how to set one', async () => {
    const said = await run('Plan my week', { ms: 5_000 });
    expect(await said.ended).toEqual({ phase: 'end' });
    expect(said.text).toContain('No model is configured');
    for (const way of ['--agent-url', '--agent-model', 'OPENAI_API_KEY', 'ANTHROPIC_API_KEY'])
      expect(said.text).toContain(way);
  });

  test('shows thinking, a safe tool call and text, in this order', async () => {
    const said = await run('hi', { ms: 5_000 });
    const order = said.parts.map(({ stream }) => stream).filter((stream, index, all) => stream !== all[index - 1]);
    expect(order).toEqual(['thinking', 'tool', 'assistant', 'usage', 'lifecycle']);
    expect(said.parts.find(({ stream }) => stream === 'tool')?.data).toMatchObject({
      phase: 'start',
      name: 'clock',
      safe: true,
    });
  });

  test('counts, one number every 20 ms', async () => {
    const clock = new VirtualClock();
    const said = rehearse(demoAgent({ clock }), { text: 'Please count to 200.', clock });
    await clock.advance(20 * 30);
    const early = said.text.length;
    expect(early).toBeGreaterThan(0);
    await clock.advance(20 * 10);
    expect(said.text).toBe(numbers(200).slice(0, said.text.length));
    expect(said.text.slice(early).trim().split(' ')).toHaveLength(10);
    await clock.advance(20 * 200);
    expect(said.text).toBe(numbers(200));
  });

  test('goes on where the journal ends, says nothing twice, and does not look at the clock again', async () => {
    const first = await run('count to 50', { ms: 20 * 40 });
    first.abort();
    const before = first.text;
    expect(before.length).toBeGreaterThan(5);
    const second = await run('count to 50', { journal: first.parts, ms: 20 * 45 });
    expect(await second.ended).toEqual({ phase: 'end' });
    expect(second.text).toBe(numbers(50));
    expect(second.parts.filter(({ stream }) => stream === 'tool' || stream === 'thinking')).toEqual([]);
    expect(second.parts.some(({ data }) => 'replace' in data)).toBe(false);
  });

  test('ends with the same words wherever it was cut', async () => {
    const whole = await run('count to 6', { ms: 2_000 });
    for (let cut = 1; cut < whole.parts.length; cut++) {
      const again = await run('count to 6', { journal: whole.parts.slice(0, cut), ms: 2_000 });
      expect(again.text).toBe(numbers(6));
      expect(await again.ended).toEqual({ phase: 'end' });
    }
  });

  test('stops when it is told to', async () => {
    const said = await run('count to 9999', { ms: 1_000 });
    said.abort();
    await settle();
    expect(await said.ended).toBeUndefined();
    expect(said.text.length).toBeLessThan(500);
  });

  test('counts no further than 10,000, and says so', async () => {
    const said = await run('count to 999999999', { ms: 20 * 10_100 });
    expect(await said.ended).toEqual({ phase: 'end' });
    expect(said.text).toMatch(/ 9999 10000 … and so on; 10000 is as far as I count\.$/);
  });
});
