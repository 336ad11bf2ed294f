import assert from 'node:assert/strict';
import {
  all,
  append,
  batch,
  byStream,
  ledgerRow,
  medium,
  opened,
  plain,
  record,
  reopen,
  type StoreConformanceCase,
} from './conformance-case.ts';
import type { EventRecord, LedgerRow } from './event-store.ts';
import { mediaConformance } from './media-conformance.ts';

export type { StoreConformanceCase };

/**
 * What every {@link EventStore} must do. Loop over it in the test runner of your choice:
 * `for (const { name, run } of storeConformance) test(name, () => run(makeStore))`.
 * Each case opens the stores that it makes, and closes them, also when it fails.
 */
export const storeConformance: readonly StoreConformanceCase[] = [
  opened('a new store is empty and continuous', async (_store, contents) => {
    assert.deepEqual(contents, { heads: [], ledger: [], documents: [], isContinuous: true });
  }),

  opened('records come back with the bytes, offsets, ranges and marks that they were committed with', async (store) => {
    const records = [
      record(1, { keep: 'message' }),
      record(4, { from: 2 }),
      record(5, { keep: 'fact' }),
      record(6, { bytes: Buffer.from('üñí☃') }),
    ];
    await store.commit(batch({ appends: [{ stream: 'session:a', epoch: 'e1', records }] }));
    assert.deepEqual(plain(await store.read('session:a', all)), plain(records));
  }),

  opened(
    'a page holds what follows a position, within its count and its bytes, and at least one record',
    async (store) => {
      await store.commit(append('session:a', 'e1', 1, 5));
      const size = record(1).bytes.length;
      const offsets = async (after: number, maxCount: number, maxBytes: number) =>
        (await store.read('session:a', { after, maxCount, maxBytes })).map(({ offset }) => offset);
      assert.deepEqual(await offsets(2, 10, 1e6), [3, 4, 5]);
      assert.deepEqual(await offsets(0, 2, 1e6), [1, 2]);
      assert.deepEqual(await offsets(0, 10, size * 3), [1, 2, 3]);
      assert.deepEqual(await offsets(0, 10, 1), [1]);
      assert.deepEqual(await offsets(5, 10, 1e6), []);
      assert.deepEqual(await store.read('session:unknown', all), []);
    },
  ),

  opened('a position inside a range gets the range', async (store) => {
    const records = [record(4, { from: 1 }), record(5)];
    await store.commit(batch({ appends: [{ stream: 'session:a', epoch: 'e1', records }] }));
    const page = await store.read('session:a', { ...all, after: 2 });
    assert.deepEqual(plain(page), plain(records));
  }),

  opened('one commit appends to many streams, and to one stream more than once', async (store) => {
    await store.commit(
      batch({
        appends: [
          { stream: 'session:a', epoch: 'e1', records: [record(1)] },
          { stream: 'system', epoch: 'e2', records: [record(1)] },
          { stream: 'session:a', epoch: 'e1', records: [record(2)] },
        ],
      }),
    );
    assert.equal((await store.read('session:a', all)).length, 2);
    assert.equal((await store.read('system', all)).length, 1);
  }),

  opened('commits that are called without waiting take effect in the order of the calls', async (store) => {
    await Promise.all([
      store.commit(append('session:a', 'e1', 1, 2)),
      store.commit({ ...append('session:a', 'e1', 3, 3), durable: true }),
      store.commit(append('session:a', 'e1', 4, 9)),
    ]);
    assert.deepEqual(
      (await store.read('session:a', all)).map(({ offset }) => offset),
      [1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
  }),

  opened('a batch with an append that does not follow the head is refused whole', async (store) => {
    await store.commit(append('session:a', 'e1', 1, 2));
    for (const [from, to] of [
      [2, 2],
      [4, 4],
    ] as const) {
      const wrong = append('session:a', 'e1', from, to);
      const both = batch({
        appends: [{ stream: 'session:b', epoch: 'e1', records: [record(1)] }, ...wrong.appends],
        documents: [{ kind: 'k', id: 'i', value: '1' }],
        ledger: [ledgerRow('key')],
      });
      await assert.rejects(store.commit(both));
    }
    assert.deepEqual(await store.read('session:b', all), []);
    await store.commit(append('session:a', 'e1', 3, 3));
    const { heads, documents, ledger } = await reopen(store);
    assert.deepEqual(heads, [{ stream: 'session:a', epoch: 'e1', head: 3, low: 1 }]);
    assert.deepEqual([documents, ledger], [[], []]);
  }),

  opened('all that was committed is there after a close and an open, and it is continuous', async (store) => {
    await store.commit({
      ...append('session:a', 'e1', 1, 3),
      ledger: [ledgerRow('running'), { ...ledgerRow('done'), answer: '{"payload":1}', runId: 'r1', endedAt: 7 }],
      documents: [{ kind: 'device', id: 'd1', value: '{"a":1}' }],
      durable: true,
    });
    await store.commit(append('system', 'e2', 1, 1));
    const contents = await reopen(store);
    assert.equal(contents.isContinuous, true);
    assert.deepEqual(byStream(contents.heads), [
      { stream: 'session:a', epoch: 'e1', head: 3, low: 1 },
      { stream: 'system', epoch: 'e2', head: 1, low: 1 },
    ]);
    assert.deepEqual(
      contents.ledger.sort((a, b) => (a.key < b.key ? -1 : 1)),
      [{ ...ledgerRow('done'), answer: '{"payload":1}', runId: 'r1', endedAt: 7 }, ledgerRow('running')],
    );
    assert.deepEqual(contents.documents, [{ kind: 'device', id: 'd1', value: '{"a":1}' }]);
    assert.deepEqual(plain(await store.read('session:a', all)), plain([record(1), record(2), record(3)]));
    await store.commit(append('session:a', 'e1', 4, 4));
  }),

  opened('the latest ledger row of an identity wins, also within one commit', async (store) => {
    await store.commit(batch({ ledger: [ledgerRow('k'), { ...ledgerRow('k'), answer: '1', endedAt: 5 }] }));
    await store.commit(batch({ ledger: [{ ...ledgerRow('k'), answer: '2', endedAt: 6 }] }));
    const { ledger } = await reopen(store);
    assert.deepEqual(ledger, [{ ...ledgerRow('k'), answer: '2', endedAt: 6 }]);
  }),

  opened('identities that differ in one part only are different rows', async (store) => {
    const rows = [
      ledgerRow('k'),
      { ...ledgerRow('k'), principal: 'p2' },
      { ...ledgerRow('k'), method: 'agent' },
      { ...ledgerRow('k2') },
    ];
    await store.commit(batch({ ledger: rows }));
    assert.equal((await reopen(store)).ledger.length, 4);
  }),

  opened(
    'ledger rows that ended too long ago are forgotten, those of channel.receive by their own limit',
    async (store) => {
      const rows: LedgerRow[] = [
        { ...ledgerRow('old'), answer: '1', endedAt: 10 },
        { ...ledgerRow('new'), answer: '1', endedAt: 30 },
        ledgerRow('running'),
        { ...ledgerRow('old'), method: 'channel.receive', answer: '1', endedAt: 10 },
        { ...ledgerRow('oldest'), method: 'channel.receive', answer: '1', endedAt: 4 },
      ];
      await store.commit(batch({ ledger: rows }));
      await store.pruneLedger(20, 5);
      const left = (await reopen(store)).ledger.map(({ method, key }) => `${method} ${key}`).sort();
      assert.deepEqual(left, ['channel.receive old', 'chat.send new', 'chat.send running']);
    },
  ),

  opened('a document is replaced by its latest value and deleted by null', async (store) => {
    await store.commit(
      batch({
        documents: [
          { kind: 'token', id: 'a', value: '1' },
          { kind: 'token', id: 'b', value: '1' },
        ],
      }),
    );
    await store.commit(
      batch({
        documents: [
          { kind: 'token', id: 'a', value: null },
          { kind: 'token', id: 'b', value: '2' },
        ],
      }),
    );
    assert.deepEqual((await reopen(store)).documents, [{ kind: 'token', id: 'b', value: '2' }]);
  }),

  opened('a new epoch goes on with the numbering, by an append and by renewEpoch', async (store) => {
    await store.commit(append('session:a', 'e1', 1, 2));
    await store.commit(append('session:a', 'e2', 3, 3));
    await store.renewEpoch('session:a', 'e3');
    await store.renewEpoch('session:unknown', 'e3');
    assert.deepEqual((await reopen(store)).heads, [{ stream: 'session:a', epoch: 'e3', head: 3, low: 1 }]);
    await store.commit(append('session:a', 'e3', 4, 4));
    assert.equal((await store.read('session:a', all)).length, 4);
  }),

  opened('readMessages gives the newest messages before an offset, oldest first', async (store) => {
    const records = [1, 2, 3, 4, 5, 6].map((offset) =>
      record(offset, offset % 2 === 0 ? { keep: 'message' } : offset === 3 ? { keep: 'fact' } : {}),
    );
    await store.commit(batch({ appends: [{ stream: 'session:a', epoch: 'e1', records }] }));
    const offsets = async (before: number, maxCount: number, maxBytes = 1e6) =>
      (await store.readMessages('session:a', { before, maxCount, maxBytes })).map(({ offset }) => offset);
    assert.deepEqual(await offsets(100, 10), [2, 4, 6]);
    assert.deepEqual(await offsets(6, 10), [2, 4]);
    assert.deepEqual(await offsets(100, 2), [4, 6]);
    assert.deepEqual(await offsets(100, 10, 1), [6]);
    assert.deepEqual(await offsets(100, 10, record(6).bytes.length * 2), [4, 6]);
    assert.deepEqual(await store.readMessages('session:unknown', { before: 9, maxCount: 9, maxBytes: 9 }), []);
    await reopen(store);
    assert.deepEqual(await offsets(6, 1), [4]);
  }),

  opened('trim drops what lies below low, except what is kept, and low never goes back', async (store) => {
    const records = [
      record(1, { keep: 'message' }),
      record(2),
      record(3, { keep: 'fact' }),
      record(6, { from: 4 }),
      record(7),
    ];
    await store.commit(batch({ appends: [{ stream: 'session:a', epoch: 'e1', records }] }));
    await store.trim('session:a', 5);
    await store.trim('session:a', 2);
    await store.trim('session:unknown', 2);
    const left = [records[0], records[2], records[3], records[4]] as EventRecord[];
    assert.deepEqual(plain(await store.read('session:a', all)), plain(left));
    assert.deepEqual((await reopen(store)).heads, [{ stream: 'session:a', epoch: 'e1', head: 7, low: 5 }]);
    assert.deepEqual(plain(await store.read('session:a', all)), plain(left));
    await store.trim('session:a', 99);
    assert.equal((await reopen(store)).heads[0]?.low, 8);
    await store.commit(append('session:a', 'e1', 8, 8));
    assert.deepEqual((await store.read('session:a', { ...all, after: 7 })).length, 1);
  }),

  opened('an erasing trim drops what is kept too, and the state goes on', async (store) => {
    const records = [record(1, { keep: 'message' }), record(2, { keep: 'fact' }), record(3), record(4)];
    await store.commit(batch({ appends: [{ stream: 'session:a', epoch: 'e1', records }] }));
    await store.checkpoint([{ stream: 'session:a', offset: 4, state: { kind: 'plain' } }]);
    await store.commit(append('session:a', 'e1', 5, 6));
    await store.trim('session:a', 5, { isErasing: true });
    await store.scrub();
    for (const isReopened of [false, true]) {
      if (isReopened)
        assert.deepEqual((await reopen(store)).heads, [{ stream: 'session:a', epoch: 'e1', head: 6, low: 5 }]);
      assert.deepEqual(plain(await store.read('session:a', all)), plain([record(5), record(6)]));
      assert.deepEqual(await store.readMessages('session:a', { before: 9, maxCount: 9, maxBytes: 1e6 }), []);
      const { offset, state, records: later } = await store.readState('session:a');
      assert.deepEqual({ offset, state }, { offset: 4, state: { kind: 'plain' } });
      assert.deepEqual(plain(later), plain([record(5), record(6)]));
    }
    await store.commit(append('session:a', 'e1', 7, 7));
    assert.deepEqual(plain(await store.read('session:a', { ...all, after: 6 })), plain([record(7)]));
  }),

  opened('rewrite replaces records by others for the same offsets', async (store) => {
    await store.commit(append('session:a', 'e1', 1, 6));
    const merged = [record(4, { from: 2 }), record(5)];
    await store.rewrite('session:a', 2, 5, merged);
    const expected = plain([record(1), ...merged, record(6)]);
    assert.deepEqual(plain(await store.read('session:a', all)), expected);
    await reopen(store);
    assert.deepEqual(plain(await store.read('session:a', all)), expected);
  }),

  opened('rewrite refuses records for other offsets, and cutting a range in two', async (store) => {
    const records = [record(1), record(4, { from: 2 }), record(5)];
    await store.commit(batch({ appends: [{ stream: 'session:a', epoch: 'e1', records }] }));
    await assert.rejects(store.rewrite('session:a', 1, 4, [record(3, { from: 1 })]));
    await assert.rejects(store.rewrite('session:a', 1, 4, [record(1), record(4)]));
    await assert.rejects(store.rewrite('session:a', 3, 5, [record(5, { from: 3 })]));
    await assert.rejects(store.rewrite('session:a', 5, 9, [record(9, { from: 5 })]));
    await assert.rejects(store.rewrite('session:unknown', 1, 1, [record(1)]));
    assert.deepEqual(plain(await store.read('session:a', all)), plain(records));
  }),

  opened('a state is given back with the records after it, and a newer one replaces it', async (store) => {
    await store.commit(append('session:a', 'e1', 1, 4));
    assert.deepEqual(await store.readState('session:unknown'), { offset: 0, records: [] });
    const before = await store.readState('session:a');
    assert.deepEqual([before.offset, before.state, before.records.length], [0, undefined, 4]);
    await store.checkpoint([{ stream: 'session:a', offset: 2, state: { kind: 'plain' } }]);
    await store.checkpoint([{ stream: 'session:a', offset: 3, state: { kind: 'agent', runs: [] } }]);
    await store.checkpoint([{ stream: 'session:a', offset: 2, state: { kind: 'plain' } }]);
    await store.checkpoint([{ stream: 'session:unknown', offset: 2, state: { kind: 'plain' } }]);
    await store.commit(append('session:a', 'e1', 5, 5));
    for (const again of [false, true]) {
      if (again) await reopen(store);
      const { offset, state, records } = await store.readState('session:a');
      assert.deepEqual([offset, state], [3, { kind: 'agent', runs: [] }]);
      assert.deepEqual(plain(records), plain([record(4), record(5)]));
    }
  }),

  opened('commits go on while a checkpoint is taken', async (store) => {
    await store.commit(append('session:a', 'e1', 1, 400));
    const taken = store.checkpoint([{ stream: 'session:a', offset: 400, state: { kind: 'plain' } }]);
    for (let offset = 401; offset <= 420; offset++) await store.commit(append('session:a', 'e1', offset, offset));
    await taken;
    const page = await store.read('session:a', { after: 0, maxCount: 1000, maxBytes: 1e9 });
    assert.deepEqual(plain(page), plain(Array.from({ length: 420 }, (_, index) => record(index + 1))));
  }),

  opened('a deleted stream is gone with its state; the same name later is a new stream', async (store) => {
    await store.commit(append('session:a', 'e1', 1, 3));
    await store.commit(append('session:b', 'e1', 1, 1));
    await store.checkpoint([{ stream: 'session:a', offset: 3, state: { kind: 'agent', runs: [] } }]);
    await store.commit(batch({ deletes: ['session:a', 'session:unknown'] }));
    assert.deepEqual(await store.read('session:a', all), []);
    assert.deepEqual(await store.readState('session:a'), { offset: 0, records: [] });
    await store.commit(append('session:a', 'e9', 1, 1));
    await store.scrub();
    const { heads } = await reopen(store);
    assert.deepEqual(byStream(heads), [
      { stream: 'session:a', epoch: 'e9', head: 1, low: 1 },
      { stream: 'session:b', epoch: 'e1', head: 1, low: 1 },
    ]);
    assert.deepEqual((await store.readState('session:a')).state, undefined);
  }),

  opened('deletes come before appends, so that a key is deleted and made anew in one commit', async (store) => {
    const shared = medium('session:a', 'old bytes');
    await store.commit({ ...append('session:a', 'e1', 1, 3), media: [shared] });
    const fresh = medium('session:a', 'new bytes');
    await store.commit({ ...append('session:a', 'e2', 1, 1), deletes: ['session:a'], media: [fresh] });
    for (const again of [false, true]) {
      if (again) assert.deepEqual((await reopen(store)).heads, [{ stream: 'session:a', epoch: 'e2', head: 1, low: 1 }]);
      assert.equal((await store.read('session:a', all)).length, 1);
      assert.equal(await store.readMedia(shared.id, 0, 9), undefined);
      assert.equal((await store.readMedia(fresh.id, 0, 9))?.sizeBytes, 9);
    }
  }),

  opened('a medium that is deleted and named again in one commit stays', async (store) => {
    const kept = medium('session:a', 'the same bytes');
    await store.commit({ ...append('session:a', 'e1', 1, 1), media: [kept] });
    await store.commit({ ...append('session:a', 'e2', 1, 1), deletes: ['session:a'], media: [kept] });
    await store.scrub();
    assert.equal((await store.readMedia(kept.id, 0, 99))?.sizeBytes, 14);
  }),

  opened('after close every call rejects', async (store) => {
    await store.commit(append('session:a', 'e1', 1, 1));
    await store.close();
    await assert.rejects(store.commit(append('session:a', 'e1', 2, 2)));
    await assert.rejects(store.read('session:a', all));
    await assert.rejects(store.readState('session:a'));
    await assert.rejects(store.scrub());
    await store.close();
  }),

  ...mediaConformance,
];
