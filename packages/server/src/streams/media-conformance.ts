import assert from 'node:assert/strict';
import { append, batch, medium, opened, reopen, type StoreConformanceCase } from './conformance-case.ts';

/** What every store must do with media and uploads; part of `storeConformance`. */
export const mediaConformance: readonly StoreConformanceCase[] = [
  opened('media are paged by their hash, and shared by the streams that name them', async (store) => {
    const first = medium('session:a', 'shared picture', { fileName: 'a.png' });
    const second = medium('session:b', 'shared picture', { fileName: 'a.png' });
    await store.commit({ ...append('session:a', 'e1', 1, 1), media: [first] });
    await store.commit({ ...append('session:b', 'e1', 1, 1), media: [second] });
    for (const again of [false, true]) {
      if (again) await reopen(store);
      const page = await store.readMedia(first.id, 7, 3);
      assert.deepEqual(page && { ...page, bytes: Buffer.from(page.bytes).toString() }, {
        mimeType: 'image/png',
        fileName: 'a.png',
        sizeBytes: 14,
        bytes: 'pic',
      });
    }
    assert.equal((await store.readMedia(first.id, 99, 3))?.bytes.length, 0);
    assert.equal(await store.readMedia('0'.repeat(64), 0, 3), undefined);
    await store.commit(batch({ deletes: ['session:a'] }));
    assert.equal((await store.readMedia(first.id, 0, 99))?.sizeBytes, 14);
    await store.commit(batch({ deletes: ['session:b'] }));
    assert.equal(await store.readMedia(first.id, 0, 99), undefined);
  }),

  opened('a medium that is not named by its SHA-256 is refused with its batch', async (store) => {
    const wrong = { ...medium('session:a', 'bytes'), id: '../../escape' };
    await assert.rejects(store.commit({ ...append('session:a', 'e1', 1, 1), media: [wrong] }));
    await assert.rejects(
      store.commit({ ...append('session:a', 'e1', 1, 1), media: [{ ...wrong, id: '0'.repeat(64) }] }),
    );
    assert.deepEqual((await reopen(store)).heads, []);
  }),

  opened(
    'an upload comes in pieces, is read by its owner alone, and is kept by the commit that names it',
    async (store) => {
      const upload = await store.openUpload();
      const reused = Buffer.from('two ');
      await upload.write(reused);
      reused.fill('x');
      await upload.write(Buffer.from('pieces'));
      const { id, sizeBytes } = await upload.finish();
      const { bytes, ...named } = medium('session:a', 'two pieces', { fileName: 'a.txt' });
      assert.deepEqual({ id, sizeBytes }, { id: named.id, sizeBytes: bytes?.length });
      (await upload.read(0, 99)).fill(0);
      assert.equal(Buffer.from(await upload.read(4, 3)).toString(), 'pie');
      assert.equal((await upload.read(99, 3)).length, 0);
      assert.equal(await store.readMedia(id, 0, 99), undefined);
      await store.commit({ ...append('session:a', 'e1', 1, 1), media: [named] });
      await upload.discard();
      await upload.discard();
      await assert.rejects(upload.read(0, 1));
      for (const again of [false, true]) {
        if (again) await reopen(store);
        const page = await store.readMedia(id, 4, 3);
        assert.deepEqual(page && [page.fileName, page.sizeBytes, Buffer.from(page.bytes).toString()], [
          'a.txt',
          10,
          'pie',
        ]);
      }
      await store.commit(batch({ deletes: ['session:a'] }));
      assert.equal(await store.readMedia(id, 0, 99), undefined);
    },
  ),

  opened('what was uploaded and discarded, or known to nobody, can not be named by a commit', async (store) => {
    const { bytes, ...named } = medium('session:a', 'given up');
    const upload = await store.openUpload();
    await upload.write(bytes as Uint8Array);
    await upload.finish();
    await upload.discard();
    const unfinished = await store.openUpload();
    await unfinished.write(bytes as Uint8Array);
    await assert.rejects(store.commit({ ...append('session:a', 'e1', 1, 1), media: [named] }));
    await unfinished.discard();
    await assert.rejects(unfinished.finish());
    await assert.rejects(store.commit({ ...append('session:a', 'e1', 1, 1), media: [named] }));
    assert.deepEqual((await reopen(store)).heads, []);
  }),

  opened('the same bytes uploaded twice are there until both are discarded', async (store) => {
    const { bytes, ...named } = medium('session:a', 'the same');
    const first = await store.openUpload();
    const second = await store.openUpload();
    for (const upload of [first, second]) await upload.write(bytes as Uint8Array);
    for (const upload of [first, second]) await upload.finish();
    await first.discard();
    assert.equal((await second.read(0, 99)).length, 8);
    await store.commit({ ...append('session:a', 'e1', 1, 1), media: [named] });
    await store.commit(batch({ deletes: ['session:a'] }));
    await store.scrub();
    assert.equal(await store.readMedia(named.id, 0, 9), undefined);
    assert.equal((await second.read(0, 99)).length, 8);
    await second.discard();
  }),

  opened('a medium that is known can be named again without its bytes', async (store) => {
    const { bytes, ...known } = medium('session:a', 'passed on');
    await store.commit({ ...append('session:a', 'e1', 1, 1), media: [{ ...known, bytes: bytes as Uint8Array }] });
    await store.commit({ ...append('session:b', 'e1', 1, 1), media: [{ ...known, stream: 'session:b' }] });
    await store.commit(batch({ deletes: ['session:a'] }));
    await store.scrub();
    assert.equal((await store.readMedia(known.id, 0, 9))?.sizeBytes, 9);
    await store.commit(batch({ deletes: ['session:b'] }));
    assert.equal(await store.readMedia(known.id, 0, 9), undefined);
  }),

  opened('an upload ends with the store that it was begun in', async (store) => {
    const { bytes, ...named } = medium('session:a', 'left over');
    const upload = await store.openUpload();
    await upload.write(bytes as Uint8Array);
    await upload.finish();
    await reopen(store);
    await assert.rejects(upload.read(0, 1));
    await assert.rejects(store.commit({ ...append('session:a', 'e1', 1, 1), media: [named] }));
  }),
];
