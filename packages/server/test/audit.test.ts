import type { AuditEntry, Params, Result } from '@openclaw/protocol';
import { VirtualClock } from '@openclaw/protocol/testing';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Call } from '../src/dispatch/method.ts';
import { auditMethods } from '../src/methods/audit.ts';
import { type AuditNote, AuditTrail } from '../src/streams/audit-trail.ts';
import { Committer } from '../src/streams/committer.ts';
import { Documents } from '../src/streams/documents.ts';
import type { CommitBatch } from '../src/streams/event-store.ts';
import { memoryStore } from '../src/streams/memory-store.ts';
import { Retention } from '../src/streams/retention.ts';
import { StreamLog } from '../src/streams/stream-log.ts';

const minuteMs = 60_000;

let clock: VirtualClock;
let committer: Committer;
let log: StreamLog;
let audit: AuditTrail;
let batches: CommitBatch[];
let written: AuditEntry[];

beforeEach(async () => {
  clock = new VirtualClock();
  batches = [];
  written = [];
  const store = memoryStore();
  const commit = store.commit.bind(store);
  store.commit = (batch) => {
    batches.push(batch);
    return commit(batch);
  };
  await store.open();
  committer = new Committer({ store });
  log = new StreamLog({ store, committer, elapsed: () => clock.elapsed() });
  audit = new AuditTrail({ log, clock, written: (entry) => written.push(entry) });
  await audit.start();
});

const refusal = (changes: Partial<AuditNote> = {}): AuditNote => ({
  action: 'connect.refused',
  actor: 'unknown',
  code: 'AUTH_TOKEN_MISMATCH',
  reason: 'gateway token mismatch',
  remoteIp: '192.0.2.1',
  ...changes,
});

async function entries(params: Params<'audit.entries'> = {}): Promise<Result<'audit.entries'>> {
  await committer.idle();
  const [method] = auditMethods({ log });
  return (await method?.handle(params, {} as Call)) as Result<'audit.entries'>;
}

const gist = ({ entries: list }: Result<'audit.entries'>) =>
  list.map(({ action, target, count }) => [action, target, count].filter((part) => part !== undefined).join(' '));

describe('the audit trail', () => {
  test('tells who did what to what, and when', async () => {
    audit.note({ action: 'token.created', actor: 'device:ab', target: 'agent/main', scopes: ['agent'] });
    await clock.advance(1_000);
    audit.note({ action: 'token.revoked', actor: 'token:shared', target: 'agent/main' });
    expect(await entries()).toEqual({
      entries: [
        { action: 'token.revoked', ts: 1_700_000_001_000, actor: 'token:shared', target: 'agent/main', offset: 2 },
        {
          action: 'token.created',
          ts: 1_700_000_000_000,
          actor: 'device:ab',
          target: 'agent/main',
          scopes: ['agent'],
          offset: 1,
        },
      ],
    });
  });

  test('is on the disk before the answer to what was done, and outlives retention', async () => {
    audit.note({ action: 'device.removed', actor: 'token:shared', target: 'ab' });
    await committer.idle();
    expect(batches).toMatchObject([{ durable: true, appends: [{ stream: 'audit', records: [{ keep: 'message' }] }] }]);
  });

  test('costs a stranger’s refusal no flush of the disk', async () => {
    audit.note(refusal());
    await committer.idle();
    expect(batches).toMatchObject([{ durable: false, appends: [{ stream: 'audit' }] }]);
    expect(batches[0]?.appends[0]?.records[0]).not.toHaveProperty('keep');
  });

  test('cuts what others say, and takes out what a terminal would act on', async () => {
    audit.note(refusal({ reason: `\u001b[2J\r\n${'x'.repeat(600)}`, target: 'a\u0000b' }));
    const [entry] = (await entries()).entries;
    expect(entry?.reason).toMatch(/^ \[2J {2}x+$/);
    expect(entry?.reason).toHaveLength(512);
    expect(entry?.target).toBe('a b');
  });
});

describe('refusals', () => {
  test('of one kind within a minute are one entry at once and one with their number', async () => {
    for (let index = 0; index < 1_000; index++) audit.note(refusal());
    expect(gist(await entries())).toEqual(['connect.refused']);
    await clock.advance(minuteMs);
    expect(gist(await entries())).toEqual(['connect.refused 999', 'connect.refused']);
  });

  test('begin anew after a minute', async () => {
    audit.note(refusal());
    await clock.advance(minuteMs);
    audit.note(refusal());
    expect(gist(await entries())).toEqual(['connect.refused', 'connect.refused']);
  });

  test('that differ in action, code or address are told apart', async () => {
    audit.note(refusal());
    audit.note(refusal({ action: 'http.refused' }));
    audit.note(refusal({ code: 'AUTH_PASSWORD_MISMATCH' }));
    audit.note(refusal({ remoteIp: '192.0.2.2' }));
    expect((await entries()).entries).toHaveLength(4);
  });

  test('that are joined do not say of all what is true of one', async () => {
    for (const target of ['one', 'one', 'two']) audit.note(refusal({ target }));
    await clock.advance(minuteMs);
    expect(gist(await entries())).toEqual(['connect.refused 2', 'connect.refused one']);
  });

  test('of a flood from everywhere are 60 entries a minute at most, and none is uncounted', async () => {
    const actions = ['connect.refused', 'http.refused', 'hook.refused', 'config.refused', 'pairing.requested'] as const;
    for (let minute = 1; minute <= 3; minute++) {
      for (let index = 0; index < 5_000; index++) {
        audit.note(refusal({ action: actions[index % 5] as 'connect.refused', remoteIp: `2001:db8::${index % 900}` }));
      }
      await clock.advance(minuteMs);
      expect(written.length).toBeLessThanOrEqual(60 * minute);
      expect(written.reduce((sum, { count = 1 }) => sum + count, 0)).toBe(5_000 * minute);
    }
    expect(written).toContainEqual(expect.objectContaining({ action: 'http.refused', reason: 'more refusals' }));
  });

  test('that are still counted are written when the gateway stops', async () => {
    for (let index = 0; index < 5; index++) audit.note(refusal());
    audit.flush();
    expect(gist(await entries())).toEqual(['connect.refused 4', 'connect.refused']);
    expect(clock.timerCount).toBe(0);
  });

  test('do not hold back what was done on purpose', async () => {
    for (let index = 0; index < 500; index++) audit.note(refusal({ remoteIp: `10.0.0.${index}` }));
    for (let index = 0; index < 100; index++) audit.note({ action: 'token.created', actor: 'token:shared' });
    expect((await entries({ actions: ['token.created'], limit: 500 })).entries).toHaveLength(100);
  });
});

describe('retention', () => {
  test('keeps refusals for 90 days, and what was done on purpose beyond that', async () => {
    const store = memoryStore();
    await store.open();
    const parts = { log, documents: new Documents(committer), clock, onWarning: () => undefined };
    const retention = new Retention({ ...parts, store });
    audit.note(refusal());
    audit.note({ action: 'token.created', actor: 'x', target: 'kept' });
    await committer.idle();
    await retention.sweep(() => false);
    await clock.advance(89 * 24 * 3_600_000);
    await retention.sweep(() => false);
    expect(gist(await entries())).toEqual(['token.created kept', 'connect.refused']);
    await clock.advance(2 * 24 * 3_600_000);
    audit.note(refusal());
    await committer.idle();
    await retention.sweep(() => false);
    expect(gist(await entries())).toEqual(['connect.refused', 'token.created kept']);
  });
});

describe('audit.entries', () => {
  const noteMany = async (count: number) => {
    for (let index = 1; index <= count; index++) {
      audit.note({ action: index % 100 === 0 ? 'token.revoked' : 'token.created', actor: 'x', target: String(index) });
      if (index % 1_000 === 0) await committer.idle();
    }
    await committer.idle();
  };

  test('goes back page by page without a gap or a repetition', async () => {
    await noteMany(2_345);
    const seen: number[] = [];
    let before: number | undefined;
    let pages = 0;
    do {
      const page = await entries({ limit: 500, ...(before === undefined ? {} : { before }) });
      seen.push(...page.entries.map(({ offset }) => offset));
      before = page.nextBefore;
      pages++;
    } while (before !== undefined);
    expect(seen).toEqual(Array.from({ length: 2_345 }, (_, index) => 2_345 - index));
    expect(pages).toBe(5);
  });

  test('picks actions', async () => {
    await noteMany(1_000);
    const { entries: list, nextBefore } = await entries({ actions: ['token.revoked'], limit: 4 });
    expect(list.map(({ target }) => target)).toEqual(['1000', '900', '800', '700']);
    const older = await entries({ actions: ['token.revoked'], limit: 100, before: nextBefore as number });
    expect(older.entries.map(({ target }) => target)).toEqual(['600', '500', '400', '300', '200', '100']);
    expect(older.nextBefore).toBeUndefined();
  });

  test('has what was done on purpose also after the refusals around it expired', async () => {
    audit.note(refusal());
    audit.note({ action: 'token.created', actor: 'x', target: 'kept' });
    await clock.advance(minuteMs);
    audit.note(refusal());
    await committer.idle();
    await log.trim(await log.open('audit'), 3);
    expect(gist(await entries())).toEqual(['connect.refused', 'token.created kept']);
    expect(gist(await entries({ before: 3 }))).toEqual(['token.created kept']);
  });

  test('of an empty trail is empty', async () => {
    expect(await entries()).toEqual({ entries: [] });
  });
});
