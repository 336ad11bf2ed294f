import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startModel } from './model.ts';
import { ResumedStream } from './resumed-stream.ts';
import { Station, type StationOptions } from './station.ts';
import { countTo, textOf } from './words.ts';

const slow = { timeout: 60_000 };

async function open(options?: StationOptions) {
  const station = await Station.open(options);
  onTestFinished(() => station.dispose());
  const seen = new ResumedStream(station, 'main');
  await seen.until(() => seen.rows.length > 0);
  return { station, seen };
}

/** The messages of people, in the order of the transcript. */
const said = (seen: ResumedStream) =>
  seen.events.flatMap(({ event, payload }) => {
    const { message } = (payload ?? {}) as { message?: { role: string; content: { type: string; text?: string }[] } };
    return event === 'session.message' && message?.role === 'user' ? [textOf(message)] : [];
  });

test(
  'a keyed request whose answer a kill swallowed is executed once, and answered when it is sent again',
  slow,
  async () => {
    const { station, seen } = await open();
    const send = { sessionKey: 'main', message: 'count to 20', idempotencyKey: 'swallowed' };
    const first = await station.reader();
    // No answer is waited for: the kill comes when the event is seen, and the answer with it is thrown away.
    void first.request('chat.send', send).catch(() => undefined);
    await seen.until(() => said(seen).length > 0);
    await station.restart();
    const again = await station.reader();
    const answer = await again.request('chat.send', send);
    expect(answer).toMatchObject({ ok: true, payload: { runId: 'swallowed', replayed: true } });
    await seen.until(() => seen.terminalsOf('swallowed').length > 0);
    expect(seen.terminalsOf('swallowed')).toEqual(['end']);
    await station.restart();
    const late = await (await station.reader()).request('chat.send', send);
    expect(late.payload).toEqual({ runId: 'swallowed', status: 'ok', replayed: true });
    const other = await (await station.reader()).request('chat.send', { ...send, message: 'count to 21' });
    expect(other).toMatchObject({
      ok: false,
      error: { code: 'INVALID_REQUEST', details: { code: 'IDEMPOTENCY_CONFLICT' } },
    });
    expect(said(seen)).toEqual(['count to 20']);
    expect(seen.isWhole).toBe(true);
  },
);

test('messages that are sent while the gateway is down are delivered once, in order', slow, async () => {
  const { station, seen } = await open();
  const client = station.client();
  await client.request('ping');
  await station.kill();
  const runs = ['count to 3', 'count to 4', 'count to 5'].map((text) => client.session('main').send(text));
  const created = client.request('sessions.create', { key: 'made-offline', label: 'made offline' });
  await station.start();
  expect(await Promise.all(runs.map(async ({ final }) => textOf(await final)))).toEqual([3, 4, 5].map(countTo));
  expect(await created).toMatchObject({ ok: true, key: 'agent:main:made-offline' });
  const last = runs.at(-1)?.id as string;
  await seen.until(() => seen.terminalsOf(last).length > 0);
  expect(said(seen)).toEqual(['count to 3', 'count to 4', 'count to 5']);
  expect(runs.map(({ id }) => seen.terminalsOf(id))).toEqual([['end'], ['end'], ['end']]);
});

test('messages that wait behind a run outlive a kill, each in its mode', slow, async () => {
  const { station, seen } = await open();
  const client = station.client();
  const session = client.session('main');
  const active = session.send('count to 40');
  await seen.until(() => seen.textOf(active.id).length > 10);
  const followup = session.send('count to 3', { queueMode: 'followup' });
  const collected = [session.send('count', { queueMode: 'collect' }), session.send('to 6', { queueMode: 'collect' })];
  const steering = session.send('count to 7', { queueMode: 'steer' });
  const queued = () => seen.events.filter(({ payload }) => payload?.phase === 'queued').length;
  await seen.until(() => queued() === 4);
  await station.restart();
  expect(textOf(await active.final)).toBe(countTo(40));
  expect(textOf(await followup.final)).toBe(countTo(3));
  // The demo agent takes no steering in: the message has its turn as a run of its own.
  expect(textOf(await steering.final)).toBe(countTo(7));
  const together = await Promise.all(collected.map(({ final }) => final));
  expect(new Set(together.map(({ runId }) => runId)).size).toBe(1);
  await seen.until(() => seen.terminalsOf(steering.id).length > 0);
  expect(said(seen)).toEqual(['count to 40', 'count to 3', 'count', 'to 6', 'count to 7']);

  const endless = session.send('count to 10000');
  endless.final.catch(() => undefined);
  await seen.until(() => seen.textOf(endless.id).length > 10);
  const interrupting = session.send('count to 9', { queueMode: 'interrupt' });
  await seen.until(() => seen.terminalsOf(endless.id).length > 0);
  await station.restart();
  expect(textOf(await interrupting.final)).toBe(countTo(9));
  await expect(endless.final).rejects.toMatchObject({ code: 'ABORTED' });
  await seen.until(() => seen.terminalsOf(interrupting.id).length > 0);
  expect([endless, interrupting].map(({ id }) => seen.terminalsOf(id))).toEqual([['aborted'], ['end']]);
  expect(seen.isWhole).toBe(true);
  expect(seen.resets).toHaveLength(1);
});

test('an aborted run stays aborted after a kill, and an abort sent again is answered as before', slow, async () => {
  const { station, seen } = await open();
  const client = station.client();
  const run = client.session('main').send('count to 10000');
  run.final.catch(() => undefined);
  await seen.until(() => seen.textOf(run.id).length > 10);
  const params = { sessionKey: 'main', runId: run.id };
  const aborted = await client.request('chat.abort', params, { idempotencyKey: 'abort-1' });
  expect(aborted).toMatchObject({ aborted: true, runIds: [run.id] });
  await station.restart();
  expect(await client.request('chat.abort', params, { idempotencyKey: 'abort-1' })).toMatchObject({ aborted: true });
  expect(await client.request('chat.abort', params)).toMatchObject({ aborted: false });
  expect(textOf(await client.session('main').send('count to 2').final)).toBe(countTo(2));
  expect(seen.terminalsOf(run.id)).toEqual(['aborted']);
});

/** The program on a model, with a tool that must not be repeated and one that may. */
async function openOnModel() {
  const model = await startModel();
  onTestFinished(() => model.stop());
  const directory = mkdtempSync(join(tmpdir(), 'gateway-tools-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const log = join(directory, 'log');
  const script = (word: string, waitMs: number) =>
    `require('fs').appendFileSync(${JSON.stringify(log)}, '${word}\\n'); setTimeout(() => process.stdout.write('${word}'), ${waitMs})`;
  const tool = (name: string, word: string, waitMs: number, rest: object) => ({
    name,
    description: name,
    command: [process.execPath, '-e', script(word, waitMs)],
    ...rest,
  });
  const tools = [
    tool('look', 'found it', 1_000, { safe: true }),
    tool('write', 'written', 0, { needsApproval: true }),
    tool('pay', 'paid', 1_000, { needsApproval: false }),
  ];
  model.mock.on(
    { userMessage: 'pay', hasToolResult: false },
    { content: '', toolCalls: [{ id: 'c', name: 'pay', arguments: '{}' }] },
  );
  model.mock.on({ userMessage: 'pay', hasToolResult: true }, { content: 'It is paid.' });
  const config = { agent: { provider: 'openai-compatible', baseUrl: model.url, model: 'test', apiKey: 'none', tools } };
  const opened = await open({ config });
  const carriedOut = () => {
    try {
      return readFileSync(log, 'utf8').trim().split('\n');
    } catch {
      return [];
    }
  };
  return { ...opened, carriedOut };
}

test('an approval that waits outlives a kill, and any other client may answer it', slow, async () => {
  const { station, seen, carriedOut } = await openOnModel();
  const client = station.client();
  const run = client.session('main').send('ask me');
  await seen.until(() => seen.partsOf(run.id).some(({ stream }) => stream === 'approval'));
  await station.restart();
  const other = await station.reader();
  const { payload } = await other.request('approvals.list', {});
  const [approval] = (payload as { approvals: { approvalId: string; runId: string }[] }).approvals;
  expect(approval).toMatchObject({ runId: run.id, title: expect.any(String) });
  const answer = { id: approval?.approvalId, decision: 'allow', idempotencyKey: 'my-decision' };
  expect(await other.request('approvals.resolve', answer)).toMatchObject({ ok: true });
  await station.restart();
  expect(textOf(await run.final)).toContain('You said allow.');
  const again = await station.reader();
  expect(await again.request('approvals.resolve', answer)).toMatchObject({ ok: true, payload: { replayed: true } });
  expect(await again.request('approvals.resolve', { ...answer, idempotencyKey: 'another' })).toMatchObject({
    ok: false,
    error: { code: 'APPROVAL_NOT_FOUND' },
  });
  expect(carriedOut()).toEqual(['written']);
  expect(seen.isWhole).toBe(true);
});

test('a kill in the middle of a tool call: a safe tool is called again, another one never', slow, async () => {
  const { station, seen, carriedOut } = await openOnModel();
  const client = station.client();
  const isCalled = (runId: string) => () => seen.partsOf(runId).some(({ stream }) => stream === 'tool');
  const safe = client.session('main').send('steps please');
  await seen.until(isCalled(safe.id));
  await station.restart();
  expect(textOf(await safe.final)).toMatch(/^I look\. .*It is there\. word1 .* word60$/s);
  const unsafe = client.session('main').send('pay now');
  await seen.until(isCalled(unsafe.id));
  // Begun, as the log of the tool says, when the gateway dies.
  while (!carriedOut().includes('paid')) await new Promise((resolve) => setTimeout(resolve, 20));
  await station.restart();
  await expect(unsafe.final).rejects.toMatchObject({ code: 'INTERRUPTED', message: expect.stringContaining('pay') });
  expect(carriedOut().filter((word) => word === 'paid')).toEqual(['paid']);
  expect(seen.terminalsOf(safe.id)).toEqual(['end']);
});
