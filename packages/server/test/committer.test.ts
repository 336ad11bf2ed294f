import { isGatewayError } from '@openclaw/protocol';
import { settle } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { Committer } from '../src/streams/committer.ts';
import type { CommitBatch, EventStore } from '../src/streams/event-store.ts';
import { memoryStore } from '../src/streams/memory-store.ts';

/** A store whose commits the test settles by hand. */
function heldStore() {
  const held: { batch: CommitBatch; resolve: () => void; reject: (error: Error) => void }[] = [];
  const store: EventStore = {
    ...memoryStore(),
    commit: (batch) => new Promise((resolve, reject) => held.push({ batch, resolve, reject })),
  };
  return { store, held };
}

describe('the group commit', () => {
  test('what nothing changed leaves at once', () => {
    const committer = new Committer({ store: heldStore().store });
    let isOut = false;
    committer.release(() => {
      isOut = true;
    });
    expect(isOut).toBe(true);
  });

  test('changes of one tick make one batch, and nothing leaves before it is committed', async () => {
    const { store, held } = heldStore();
    const committer = new Committer({ store });
    const out: string[] = [];
    committer.change(() => {}).documents.push({ kind: 'a', id: '1', value: '1' });
    committer.release(() => out.push('first'));
    committer.change(() => {}).documents.push({ kind: 'a', id: '2', value: '2' });
    committer.release(() => out.push('second'));
    await settle();
    expect(held).toHaveLength(1);
    expect(held[0]?.batch.documents.map(({ id }) => id)).toEqual(['1', '2']);
    expect(out).toEqual([]);
    held[0]?.resolve();
    await settle();
    expect(out).toEqual(['first', 'second']);
    expect(committer.commitCount).toBe(1);
  });

  test('what changes while a commit is under way waits for the next one', async () => {
    const { store, held } = heldStore();
    const committer = new Committer({ store });
    const out: string[] = [];
    committer.change(() => {});
    await settle();
    committer.change(() => {});
    committer.release(() => out.push('later'));
    await settle();
    expect(held).toHaveLength(1);
    held[0]?.resolve();
    await settle();
    expect(held).toHaveLength(2);
    expect(out).toEqual([]);
    held[1]?.resolve();
    await settle();
    expect(out).toEqual(['later']);
  });

  test('a release made by a release comes after those that waited before it', async () => {
    const { store, held } = heldStore();
    const committer = new Committer({ store });
    const out: string[] = [];
    committer.change(() => {});
    committer.release(() => {
      out.push('a');
      committer.release(() => out.push('c'));
    });
    committer.release(() => out.push('b'));
    await settle();
    held[0]?.resolve();
    await settle();
    expect(out).toEqual(['a', 'b', 'c']);
  });

  test('a failed commit takes memory back, newest change first, and tells everyone who waited', async () => {
    const { store, held } = heldStore();
    const committer = new Committer({ store });
    const undone: string[] = [];
    const failures: unknown[] = [];
    committer.change(() => undone.push('one'));
    committer.change(() => undone.push('two'));
    committer.release(
      () => undone.push('never'),
      (error) => failures.push(error),
    );
    await settle();
    committer.change(() => undone.push('three'));
    committer.release(
      () => undone.push('never'),
      (error) => failures.push(error),
    );
    held[0]?.reject(new Error('disk full'));
    await settle();
    expect(undone).toEqual(['three', 'two', 'one']);
    expect(failures.map((error) => isGatewayError(error) && [error.code, error.retryAfterMs])).toEqual([
      ['UNAVAILABLE', 1_000],
      ['UNAVAILABLE', 1_000],
    ]);
    expect(committer.failure?.message).toBe('disk full');
    committer.change(() => {});
    await settle();
    held[1]?.resolve();
    await settle();
    expect(committer.failure).toBeUndefined();
  });

  test('idle resolves when the last commit is through', async () => {
    const { store, held } = heldStore();
    const committer = new Committer({ store });
    committer.change(() => {});
    let isIdle = false;
    const idle = committer.idle().then(() => {
      isIdle = true;
    });
    await settle();
    expect(isIdle).toBe(false);
    held[0]?.resolve();
    await idle;
    expect(isIdle).toBe(true);
  });
});
