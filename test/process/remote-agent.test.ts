import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '@openclaw/client';
import { expect, onTestFinished, test, vi } from 'vitest';
import { demo } from './chosen-agent.ts';
import { RemoteAgents, type RemoteOptions } from './remote-agents.ts';
import { ResumedStream } from './resumed-stream.ts';
import { countTo, textOf } from './words.ts';

const slow = { timeout: 60_000 };

async function open(options: RemoteOptions) {
  const remote = await RemoteAgents.open(options);
  onTestFinished(() => remote.station.dispose());
  const seen = new ResumedStream(remote.station, 'main');
  await seen.until(() => seen.rows.length > 0);
  return { remote, station: remote.station, seen, client: remote.station.client() };
}

const attempts = (seen: ResumedStream, runId: string) =>
  seen
    .partsOf(runId)
    .flatMap((part) => (part.stream === 'lifecycle' && part.data.phase === 'start' ? [part.data.attempt] : []));

test(
  'an agent process carries its run over a killed gateway: it goes on from what was acknowledged, attempt unchanged',
  slow,
  async () => {
    const { remote, station, seen, client } = await open({ agent: demo });
    const agent = await remote.start();
    const run = client.session('main').send('count to 100');
    for (const units of [30, 130]) {
      await seen.until(() => seen.textOf(run.id).length >= units);
      await station.restart();
    }
    expect(textOf(await run.final)).toBe(countTo(100));
    await seen.until(() => seen.terminalsOf(run.id).length > 0);
    expect(agent.hasExited).toBe(false);
    expect(new Set(attempts(seen, run.id))).toEqual(new Set([1]));
    expect(seen.textOf(run.id)).toBe(countTo(100));
    expect(seen.terminalsOf(run.id)).toEqual(['end']);
    // What the agent said again was taken once: n = 1, 2, 3, … without a gap.
    const emits = seen.partsOf(run.id).flatMap(({ n }) => (n === undefined ? [] : [n]));
    expect(emits).toEqual(emits.map((_, index) => index + 1));
    expect(seen.partsOf(run.id).some((part) => part.stream === 'assistant' && part.data.replace)).toBe(false);
    expect(seen.isWhole).toBe(true);
    expect(seen.resets).toHaveLength(1);
  },
);

test(
  'a run whose agent process was killed waits for its grace, then the next instance goes on with it',
  slow,
  async () => {
    const { remote, seen, client } = await open({ agent: demo, graceMs: 1_500 });
    const agent = await remote.start();
    const run = client.session('main').send('count to 100');
    await seen.until(() => seen.textOf(run.id).length >= 40);
    await agent.kill();
    await remote.start();
    expect(textOf(await run.final)).toBe(countTo(100));
    await seen.until(() => seen.terminalsOf(run.id).length > 0);
    expect(attempts(seen, run.id)).toEqual([1, 2]);
    expect(seen.textOf(run.id)).toBe(countTo(100));
    expect(seen.isWhole).toBe(true);
  },
);

test(
  'an agent that can’t continue ends what another one began as interrupted, once, and takes the next run',
  slow,
  async () => {
    const { remote, seen, client } = await open({ agent: { kind: 'forgetful' }, graceMs: 300 });
    const agent = await remote.start();
    const run = client.session('main').send('count to 100');
    const next = client.session('main').send('count to 3');
    await seen.until(() => seen.textOf(run.id).length >= 40);
    await agent.kill();
    await remote.start();
    await expect(run.final).rejects.toMatchObject({ code: 'INTERRUPTED', details: { reason: 'interrupted' } });
    expect(textOf(await next.final)).toBe(countTo(3));
    await seen.until(() => seen.terminalsOf(next.id).length > 0);
    expect(seen.terminalsOf(run.id)).toEqual(['interrupted']);
    expect(seen.isWhole).toBe(true);
  },
);

test(
  'of two instances one works at a time, and the other takes over at once when an idle one leaves',
  slow,
  async () => {
    const { remote, station, seen, client } = await open({ agent: demo });
    const first = await remote.start();
    const second = remote.launch();
    const run = client.session('main').send('count to 40');
    expect(textOf(await run.final)).toBe(countTo(40));
    await seen.until(() => seen.terminalsOf(run.id).length > 0);
    expect(attempts(seen, run.id)).toEqual([1]);
    expect(second.output).toBe('');
    // A direct look at the refusal: what to do is told, and it is not fatal.
    const { token } = await remote.admin('tokens.create', { role: 'agent', id: 'main' });
    const third = await station.reader({ token, role: 'agent' });
    const { error } = await third.request('agent.attach', { instance: 'a-third-instance', resumable: true });
    expect(error).toMatchObject({ code: 'UNAVAILABLE', retryable: true, retryAfterMs: expect.any(Number) });
    expect(third.end).toBeUndefined();
    first.signal('SIGTERM');
    expect(await first.exited).toEqual({ code: 0, signal: null });
    await second.printed(/ready/);
    expect(textOf(await client.session('main').send('count to 4').final)).toBe(countTo(4));
  },
);

test('a token of the role agent is good for its own agent and nothing else', slow, async () => {
  const { remote, station } = await open({ agent: demo });
  const { token } = await remote.admin('tokens.create', { role: 'agent', id: 'main' });
  await station.restart();
  const agent = connect({ url: station.url, token, role: 'agent' });
  onTestFinished(() => agent.close());
  await expect(agent.request('agent.attach', { instance: 'instance-1', resumable: true })).resolves.toMatchObject({
    agentId: 'main',
  });
  await expect(agent.request('sessions.list', {})).rejects.toMatchObject({ code: 'FORBIDDEN' });
  const reading = async () => {
    for await (const item of agent.stream('session:main').events()) return item;
  };
  await expect(reading()).rejects.toMatchObject({ code: 'FORBIDDEN' });
  const disguised = connect({ url: station.url, token: station.token, role: 'agent' });
  onTestFinished(() => disguised.close());
  await expect(disguised.request('agent.attach', { instance: 'instance-2', resumable: true })).rejects.toBeDefined();
});

test('the words of a deleted session leave its agent’s work and the approvals too', slow, async () => {
  const { remote, station, client } = await open({ agent: { kind: 'conformance' } });
  await remote.start();
  const canary = 'CANARY-5be2';
  const listening = client.session('secret').send('listen');
  for await (const part of listening) if (part.type === 'text') break;
  client
    .session('secret')
    .send(`${canary} steers`, { queueMode: 'steer' })
    .final.catch(() => undefined);
  expect(textOf(await listening.final)).toContain(canary);
  const asking = client.session('secret').send('ask', { idempotencyKey: `${canary}-as-a-key` });
  for await (const part of asking) {
    if (part.type !== 'approval' || part.decision) continue;
    await part.approve();
  }
  await asking.final;
  const holding = () =>
    readdirSync(station.stateDirectory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .filter((entry) => {
        try {
          return readFileSync(join(entry.parentPath, entry.name)).includes(`${canary} steers`);
        } catch {
          return false;
        }
      })
      .map(({ name }) => name);
  expect(holding()).not.toEqual([]);
  await remote.admin('sessions.delete', { key: 'secret' });
  await vi.waitFor(() => expect(holding()).toEqual([]), { timeout: 15_000, interval: 200 });
  // The agent, who was live on its stream, works on.
  expect(textOf(await client.session('other').send('say so').final)).toBe('so');
});
