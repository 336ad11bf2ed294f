import { settle, VirtualClock } from '@openclaw/protocol/testing';
import { expect, test } from 'vitest';
import { type Door, openDoor } from './door-fixture.ts';

const hourMs = 3_600_000;

/** A clock that can go on by hours without a turn for each of their timers. */
class LeapingClock extends VirtualClock {
  leapMs = 0;

  override elapsed(): number {
    return super.elapsed() + this.leapMs;
  }

  override now(): number {
    return super.now() + this.leapMs;
  }
}

/** Asks, and takes it back: the run has ended then. */
async function ask(door: Door, body: object): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const asked = { model: 'openclaw', input: 'Is it so?', background: true, ...body };
  const answer = await door.fetch('/v1/responses', { method: 'POST', headers, body: JSON.stringify(asked) });
  const { id } = (await answer.json()) as { id: string };
  await door.fetch(`/v1/responses/${id}/cancel`, { method: 'POST', headers, body: '{}' });
}

async function keys(door: Door, archived: boolean): Promise<string[]> {
  const { payload } = await (await door.dial()).ask('sessions.list', { archived });
  return payload.sessions.map(({ key }: { key: string }) => key).sort();
}

test('the session of a request that named none is put away, and erased when the ledger has forgotten the request', async () => {
  const clock = new LeapingClock();
  const door = await openDoor({ openAi: { responses: true } }, { clock });
  await ask(door, {});
  await ask(door, {});
  await ask(door, { user: 'ada' });
  const own = await keys(door, true);
  expect(own).toEqual([expect.stringMatching(/^agent:main:openai:/), expect.stringMatching(/^agent:main:openai:/)]);
  expect(await keys(door, false)).toEqual(['agent:main:openai:ada']);
  const kept = own[1] ?? '';
  await (await door.dial()).ask('sessions.patch', { key: kept, archived: false });
  clock.leapMs = 50 * hourMs;
  await clock.advance(hourMs);
  await ask(door, { user: 'ada' });
  await settle(20);
  expect(await keys(door, true)).toEqual([]);
  expect(await keys(door, false)).toEqual([kept, 'agent:main:openai:ada'].sort());
});
