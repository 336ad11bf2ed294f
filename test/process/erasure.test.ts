import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { ResumedStream } from './resumed-stream.ts';
import { Station } from './station.ts';
import { textOf } from './words.ts';

const slow = { timeout: 60_000 };
const canary = 'CANARY-a81d07';

/** The files of a directory in which a text lies, in plain or in base64, each with how often. */
function filesWith(directory: string, text: string): string[] {
  const spellings = [text, ...[0, 1, 2].map((lead) => base64Core(text, lead))];
  return readdirSync(directory, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    if (!entry.isFile()) return [];
    const path = join(entry.parentPath, entry.name);
    let bytes: Buffer;
    try {
      bytes = readFileSync(path);
    } catch {
      return [];
    }
    let count = entry.name.includes(text) ? 1 : 0;
    for (const spelling of spellings) {
      for (let at = bytes.indexOf(spelling); at >= 0; at = bytes.indexOf(spelling, at + 1)) count++;
    }
    return count === 0 ? [] : [`${entry.name}: ${count}`];
  });
}

/** What base64 makes of a text that `lead` other bytes precede, without the ends that depend on its neighbours. */
function base64Core(text: string, lead: number): string {
  return Buffer.from(' '.repeat(lead) + text)
    .toString('base64')
    .slice(lead === 0 ? 0 : 4, -4);
}

/** Fills a session with the canary wherever a client can put it. */
async function fillSecret(station: Station): Promise<void> {
  const client = station.client({ token: station.token, scopes: ['operator.admin'] });
  const key = 'secret';
  await client.request('sessions.create', { key, label: `${canary} label` });
  const attachments = [
    { type: 'file', mimeType: 'text/plain', fileName: `${canary}.txt`, content: btoa(`${canary} `.repeat(500)) },
  ];
  const first = client.session(key).send(`${canary} says hello`, { attachments });
  expect(textOf(await first.final)).not.toBe('');
  await client.session(key).send(`${canary} `.repeat(20_000)).final;
  const open = client.session(key).send(`${canary} count to 10000`);
  open.final.catch(() => undefined);
  for await (const part of open) if (part.type === 'text') break;
  client
    .session(key)
    .send(`${canary} waits`)
    .final.catch(() => undefined);
  await client.request('sessions.patch', { key, label: `${canary} is my label now`, model: `${canary}-model` });
  await client.request('ping');
  client.close();
}

test('after sessions.delete no file of the state directory holds a word of the session', slow, async () => {
  const station = await Station.open();
  onTestFinished(() => station.dispose());
  const client = station.client({ token: station.token, scopes: ['operator.admin'] });
  const kept = new ResumedStream(station, 'kept');
  await kept.until(() => kept.rows.length > 0);
  await client.session('kept').send('count to 5').final;
  await client.request('sessions.patch', { key: 'kept', label: 'the label that stays' });
  await fillSecret(station);
  expect(filesWith(station.stateDirectory, canary)).not.toEqual([]);
  const deleted = await client.request('sessions.delete', { key: 'secret' });
  expect(deleted).toMatchObject({ deleted: true });
  await vi.waitFor(() => expect(filesWith(station.stateDirectory, canary)).toEqual([]), {
    timeout: 15_000,
    interval: 200,
  });
  // Nothing comes back with a checkpoint, a restart or a stop, and what is not deleted is as it was.
  await station.restart();
  expect(filesWith(station.stateDirectory, canary)).toEqual([]);
  const { sessions } = await client.request('sessions.list', {});
  expect(sessions.map(({ key, label }) => [key, label])).toEqual([['agent:main:kept', 'the label that stays']]);
  const last = client.session('kept').send('count to 3');
  await last.final;
  await kept.until(() => kept.terminalsOf(last.id).length > 0);
  expect(kept.isWhole).toBe(true);
  expect(kept.resets).toHaveLength(1);
  expect(await station.stop()).toEqual({ code: 0, signal: null });
  expect(filesWith(station.stateDirectory, canary)).toEqual([]);
});

test(
  'a kill right after the answer of sessions.delete brings nothing back, and the erasure is finished',
  slow,
  async () => {
    const station = await Station.open();
    onTestFinished(() => station.dispose());
    await fillSecret(station);
    const client = station.client({ token: station.token, scopes: ['operator.admin'] });
    await client.request('sessions.delete', { key: 'secret' });
    await station.restart();
    expect((await client.request('sessions.list', {})).sessions).toEqual([]);
    await vi.waitFor(() => expect(filesWith(station.stateDirectory, canary)).toEqual([]), {
      timeout: 30_000,
      interval: 250,
    });
  },
);

test('a deleted session’s requests, sent again, are answered as before, without its entry', slow, async () => {
  const station = await Station.open();
  onTestFinished(() => station.dispose());
  const client = station.client({ token: station.token, scopes: ['operator.admin'] });
  const create = { key: 'notes', label: 'first' };
  const made = await client.request('sessions.create', create, { idempotencyKey: 'create-1' });
  await client.request('sessions.patch', { key: 'notes', label: 'second' }, { idempotencyKey: 'patch-1' });
  const again = await client.request('sessions.create', create, { idempotencyKey: 'create-1' });
  expect(again).toMatchObject({ ok: true, key: made.key, sessionId: made.sessionId, entry: { label: 'second' } });
  await station.restart();
  expect(await client.request('sessions.create', create, { idempotencyKey: 'create-1' })).toEqual(again);
  await client.request('sessions.delete', { key: 'notes' });
  const gone = await client.request('sessions.create', create, { idempotencyKey: 'create-1' });
  expect(gone).toMatchObject({ ok: true, key: made.key, sessionId: made.sessionId });
  expect(gone).not.toHaveProperty('entry');
  expect((await client.request('sessions.list', {})).sessions).toEqual([]);
});

test('the state directory is for its owner alone: 0700, its directories 0700, its files 0600', slow, async () => {
  const station = await Station.open();
  onTestFinished(() => station.dispose());
  const client = station.client();
  const attachments = [{ mimeType: 'text/plain', fileName: 'a.txt', content: btoa('hello') }];
  await client.session('main').send('hello', { attachments }).final;
  const modes = () =>
    readdirSync(station.stateDirectory, { recursive: true, withFileTypes: true }).map((entry) => {
      const { mode } = statSync(join(entry.parentPath, entry.name));
      return [entry.name, `${entry.isDirectory() ? 'directory' : 'file'} ${(mode & 0o777).toString(8)}`] as const;
    });
  for (const stop of [async () => undefined, () => station.kill()]) {
    await stop();
    expect(`directory ${(statSync(station.stateDirectory).mode & 0o777).toString(8)}`).toBe('directory 700');
    expect(modes().length).toBeGreaterThan(4);
    expect(modes().filter(([, mode]) => mode !== 'directory 700' && mode !== 'file 600')).toEqual([]);
  }
});
