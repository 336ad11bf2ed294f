import type { RunPart } from '@openclaw/protocol';
import { seededRandom, VirtualClock } from '@openclaw/protocol/testing';
import { expect, test } from 'vitest';
import { V4Projection } from '../src/projection/v4-projection.ts';
import type { CommittedEvent } from '../src/streams/committed-event.ts';
import { joined, type RecordingPeer, recordingPeer, scriptedRun } from './projection-peer.ts';

const scheduleCount = 400;
const alphabet = ['a', 'bc', 'é', '🙂', '\n', 'word ', ''];

/** What a part of a run comes to, and the whole answer, by the simplest possible reading. */
class Expected {
  readonly texts = new Map<string, string>();
  say(key: string, words: string, isReplacing: boolean): void {
    this.texts.set(key, isReplacing ? words : (this.texts.get(key) ?? '') + words);
  }
  get answer(): string {
    return [...this.texts].flatMap(([key, text]) => (key.startsWith('assistant') ? text : [])).join('');
  }
}

function piecesOf(peer: RecordingPeer, stream: string, itemId: string) {
  return peer
    .payloads('agent', stream)
    .filter(({ data }) => data.itemId === itemId)
    .map(({ data }) => data as { delta: string; text: string; replace?: boolean });
}

function expectFaithful(peer: RecordingPeer, expected: Expected): void {
  for (const [key, text] of expected.texts) {
    const [stream, itemId] = key.split(' ') as [string, string];
    expect(joined(piecesOf(peer, stream, itemId))).toBe(text);
  }
  const deltas = peer.payloads('chat').filter(({ state }) => state === 'delta');
  const final = peer.payloads('chat').find(({ state }) => state === 'final');
  expect(joined(deltas.map(({ deltaText: delta, replace }) => ({ delta, replace })))).toBe(expected.answer);
  expect(final.message?.content[0].text ?? '').toBe(expected.answer);
  let soFar = '';
  for (const { deltaText, replace, message } of deltas) {
    soFar = replace ? deltaText : soFar + deltaText;
    expect(message.content[0].text).toBe(soFar);
  }
  for (const event of ['agent', 'chat']) {
    const seqs = peer.payloads(event).map(({ seq }) => seq as number);
    expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
  }
}

async function schedule(seed: number): Promise<void> {
  const random = seededRandom(seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  const clock = new VirtualClock();
  const projection = new V4Projection({ clock, journalOf: (): RunPart[] => [] });
  const peers = [recordingPeer(), recordingPeer({ caps: ['tool-events'] }), recordingPeer()];
  for (const peer of peers) projection.join(peer);
  const run = scriptedRun('run-1');
  const expected = new Expected();
  let batch: CommittedEvent[] = [run.lifecycle({ phase: 'start', attempt: 1 })];
  const commit = () => {
    projection.publish(batch);
    batch = [];
  };
  for (let step = 0; step < 60; step++) {
    const choice = random();
    if (choice < 0.6) {
      const stream = random() < 0.8 ? ('assistant' as const) : ('thinking' as const);
      const itemId = pick(['one', 'two', 'three']);
      const isReplacing = random() < 0.1;
      const words = isReplacing
        ? pick(['', 'anew ', `${expected.texts.get(`${stream} ${itemId}`) ?? ''}more`])
        : pick(alphabet);
      expected.say(`${stream} ${itemId}`, words, isReplacing);
      batch.push((stream === 'assistant' ? run.text : run.thinking)(itemId, words, isReplacing));
    } else if (choice < 0.68) batch.push(run.tool({ phase: 'start', toolCallId: `t${step}`, name: 'look' }));
    else if (choice < 0.78) {
      const peer = pick(peers);
      peer.queuedBytes = peer.queuedBytes > 0 ? 0 : 2 * 1024 * 1024;
      if (peer.queuedBytes === 0 && random() < 0.8) projection.drained(peer);
    } else if (choice < 0.9) await clock.advance(Math.floor(random() * 150));
    if (random() < 0.7) commit();
  }
  batch.push(run.lifecycle({ phase: 'end' }));
  commit();
  for (const peer of peers) expectFaithful(peer, expected);
  expect(clock.timerCount).toBe(0);
}

test(`in ${scheduleCount} random schedules every peer, slow or not, ends with the text of the log`, async () => {
  for (let seed = 1; seed <= scheduleCount; seed++) {
    await schedule(seed).catch((error: unknown) => {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    });
  }
});
