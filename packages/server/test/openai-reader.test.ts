import { settle } from '@openclaw/protocol/testing';
import { expect, test } from 'vitest';
import { type AnswerStep, readAnswer } from '../src/http/openai/answer.ts';
import type { OpenRuns } from '../src/runs/open-runs.ts';
import { RunLostError, RunReader } from '../src/runs/run-reader.ts';
import type { SessionStream } from '../src/sessions/sessions.ts';
import { Committer } from '../src/streams/committer.ts';
import { memoryStore } from '../src/streams/memory-store.ts';
import { StreamLog } from '../src/streams/stream-log.ts';

/** A session's log with a reader; `open` holds the runs that are open. */
async function sessionLog({ ringRecords = 1_024 } = {}) {
  const store = memoryStore();
  const committer = new Committer({ store });
  const log = new StreamLog({ store, committer, elapsed: () => 0, ringRecords });
  await store.open();
  const open = new Set(['r1']);
  const openRuns = { get: (runId: string) => (open.has(runId) ? {} : undefined) } as unknown as OpenRuns;
  const reader = new RunReader({ log, openRuns });
  log.listen({ committed: (stream) => reader.changed(stream), deleted: (stream) => reader.changed(stream) });
  const stream = (await log.open('session:agent:main:main')) as SessionStream;
  let seq = 0;
  const append = (part: { stream: string; data: object }, runId = 'r1', options: { keep?: 'fact' } = {}) => {
    const payload = { runId, seq: ++seq, ts: 0, sessionKey: 'k', sessionId: 's', agentId: 'main', ...part };
    return log.append(stream, 'agent', payload, options);
  };
  const say = (itemId: string, at: number, delta: string, runId?: string) =>
    append({ stream: 'assistant', data: { itemId, at, delta } }, runId);
  const finish = (runId = 'r1') => {
    open.delete(runId);
    return append({ stream: 'lifecycle', data: { phase: 'end', stopReason: 'stop' } }, runId, { keep: 'fact' });
  };
  append({ stream: 'lifecycle', data: { phase: 'queued' } }, 'r1', { keep: 'fact' });
  append({ stream: 'lifecycle', data: { phase: 'queued' } }, 'r2', { keep: 'fact' });
  await committer.idle();
  return { store, committer, log, reader, stream, open, append, say, finish };
}

type Log = Awaited<ReturnType<typeof sessionLog>>;

/** Reads an answer in the background and keeps its steps. */
function reading({ reader, stream }: Log, signal = new AbortController().signal) {
  const steps: AnswerStep[] = [];
  const done = (async () => {
    for await (const step of readAnswer(reader, { runId: 'r1', stream, after: 0 }, signal)) steps.push(step);
  })();
  const text = () => steps.map((step) => (step.kind === 'more' ? step.text : '')).join('');
  return { steps, done, text };
}

test('a run is read while it is written, without what other runs say', async () => {
  const log = await sessionLog();
  const { steps, done, text } = reading(log);
  log.say('a', 0, 'one ');
  log.say('b', 0, 'not this', 'r2');
  await settle();
  expect(text()).toBe('one ');
  log.say('a', 4, 'two');
  log.finish();
  await done;
  expect(text()).toBe('one two');
  expect(steps.at(-1)).toMatchObject({ kind: 'ended', answer: { text: 'one two', end: { finish: 'stop' } } });
});

test('nothing is seen before its commit', async () => {
  const log = await sessionLog();
  const { text } = reading(log);
  await settle();
  log.say('a', 0, 'one');
  await Promise.resolve();
  expect(text()).toBe('');
  await log.committer.idle();
  await settle();
  expect(text()).toBe('one');
});

test('a finished run is read from the store as from memory, also when its deltas were merged', async () => {
  const log = await sessionLog({ ringRecords: 1 });
  const first = log.say('a', 0, 'one ');
  const last = log.say('a', 4, 'two');
  log.finish();
  await log.committer.idle();
  const [record] = await log.store.read(log.stream.name, { after: last - 1, maxCount: 1, maxBytes: 10_000 });
  const frame = JSON.parse(Buffer.from(record?.bytes ?? []).toString());
  frame.payload.data = { itemId: 'a', at: 0, delta: 'one two' };
  const bytes = Buffer.from(JSON.stringify({ ...frame, from: first }));
  await log.store.rewrite(log.stream.name, first, last, [{ offset: last, from: first, bytes }]);
  const { steps, done, text } = reading(log);
  await done;
  expect(text()).toBe('one two');
  expect(steps.at(-1)?.kind).toBe('ended');
});

test('a run whose deltas have expired has its answer from the transcript', async () => {
  const log = await sessionLog({ ringRecords: 1 });
  log.say('a', 0, 'one two');
  const content = [{ type: 'text', text: 'one two' }];
  const message = { id: 'r1:answer', role: 'assistant', content, timestamp: 0, runId: 'r1', usage: { inputTokens: 3 } };
  const payload = { sessionKey: 'k', sessionId: 's', agentId: 'main', messageSeq: 1, message };
  log.log.append(log.stream, 'session.message', payload, { keep: 'message' });
  log.finish();
  await log.committer.idle();
  await log.log.trim(log.stream, log.stream.head);
  const { steps, done, text } = reading(log);
  await done;
  expect(text()).toBe('one two');
  expect(steps.at(-1)).toMatchObject({ answer: { usage: { inputTokens: 3 }, end: { kind: 'answered' } } });
});

test('a session that is deleted ends the reading with words', async () => {
  const log = await sessionLog();
  const { steps, done } = reading(log);
  log.say('a', 0, 'one');
  await settle();
  log.log.delete(log.stream);
  await done;
  expect(steps.at(-1)).toMatchObject({
    kind: 'ended',
    answer: { text: 'one', end: { kind: 'failed', message: expect.stringContaining('deleted') } },
  });
});

test('a message that is dropped before its run counts as aborted', async () => {
  const log = await sessionLog();
  const { steps, done } = reading(log);
  log.log.append(log.stream, 'session.input', { sessionKey: 'k', sessionId: 's', runId: 'r1', phase: 'dropped' });
  await done;
  expect(steps.at(-1)).toMatchObject({ answer: { end: { kind: 'failed', isAborted: true } } });
});

test('a message that became part of another run is answered by that one', async () => {
  const log = await sessionLog();
  const { done, text } = reading(log);
  log.say('b', 0, 'before', 'r2');
  const taken = { sessionKey: 'k', sessionId: 's', runId: 'r1', phase: 'taken', into: 'r2' };
  log.log.append(log.stream, 'session.input', taken);
  log.open.add('r2');
  log.say('c', 0, 'after', 'r2');
  log.finish('r2');
  await done;
  expect(text()).toBe('after');
});

test('a run that is nowhere any more is not waited for', async () => {
  const log = await sessionLog();
  log.open.clear();
  const pages = log.reader.follow({ runId: 'r1', stream: log.stream, after: 0 }, new AbortController().signal);
  await pages.next();
  await expect(pages.next()).rejects.toBeInstanceOf(RunLostError);
});

test('who leaves is let go of at once', async () => {
  const log = await sessionLog();
  const leaver = new AbortController();
  const { steps, done } = reading(log, leaver.signal);
  await settle();
  leaver.abort();
  await done;
  expect(steps.map(({ kind }) => kind)).toEqual(['head']);
});

test('half of a character waits for the other half', async () => {
  const log = await sessionLog();
  const { steps, done } = reading(log);
  log.say('a', 0, 'x\ud83d');
  await settle();
  log.say('a', 2, '\ude00');
  log.finish();
  await done;
  expect(steps.flatMap((step) => (step.kind === 'more' ? [step.text] : []))).toEqual(['x', '😀']);
});
