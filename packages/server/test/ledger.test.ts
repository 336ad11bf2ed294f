import { settle } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { hashParams, Ledger } from '../src/dispatch/ledger.ts';
import { Committer } from '../src/streams/committer.ts';
import { memoryStore } from '../src/streams/memory-store.ts';

async function ledgerOnMemory() {
  const store = memoryStore();
  await store.open();
  const committer = new Committer({ store });
  return { store, committer, ledger: new Ledger({ committer, now: () => 1_000 }) };
}

const request = { principal: 'token:shared', method: 'chat.send', key: 'k1', paramsHash: 'h1', runId: 'k1' };

describe('the ledger (S18)', () => {
  test('a key is taken once; the same request attaches, then gets the stored answer', async () => {
    const { ledger } = await ledgerOnMemory();
    const first = ledger.claim(request);
    expect(first.kind).toBe('claimed');
    expect(ledger.claim(request).kind).toBe('running');
    if (first.kind === 'claimed') ledger.finish(first.row, '{"payload":{"ok":true}}');
    const again = ledger.claim(request);
    expect(again.kind).toBe('done');
    expect(again.kind === 'done' && again.row.answer).toBe('{"payload":{"ok":true}}');
  });

  test('the same key with other params is a conflict', async () => {
    const { ledger } = await ledgerOnMemory();
    ledger.claim(request);
    expect(ledger.claim({ ...request, paramsHash: 'h2' }).kind).toBe('conflict');
  });

  test("a key that names another principal's run is a conflict", async () => {
    const { ledger } = await ledgerOnMemory();
    ledger.claim(request);
    expect(ledger.claim({ ...request, principal: 'device:other' }).kind).toBe('conflict');
  });

  test('what is refused before the claim leaves no row', async () => {
    const { ledger } = await ledgerOnMemory();
    const admit = () => {
      throw new Error('draining');
    };
    expect(() => ledger.claim({ ...request, admit })).toThrow('draining');
    expect(ledger.size).toBe(0);
    expect(ledger.claim(request).kind).toBe('claimed');
    expect(ledger.claim({ ...request, admit }).kind).toBe('running');
  });

  test('rows come back from the store, and old ones are forgotten', async () => {
    const { ledger, committer, store } = await ledgerOnMemory();
    const claim = ledger.claim(request);
    if (claim.kind === 'claimed') ledger.finish(claim.row, '{"payload":{}}');
    await settle();
    await committer.idle();
    await store.close();
    const reopened = new Ledger({ committer, now: () => 2_000 });
    reopened.load((await store.open()).ledger);
    expect(reopened.claim(request).kind).toBe('done');
    reopened.prune(1_001, 0);
    expect(reopened.size).toBe(0);
    expect(reopened.ofRun('k1')).toBeUndefined();
  });

  test('the hash is of what identifies a request, whatever the order of its fields', () => {
    const a = hashParams({ sessionKey: 'main', message: 'hi', idempotencyKey: 'x' });
    const b = hashParams({ message: 'hi', sessionKey: 'main', idempotencyKey: 'y', agentId: undefined });
    expect(a).toBe(b);
    expect(hashParams({ sessionKey: 'main', message: 'ho' })).not.toBe(a);
  });
});
