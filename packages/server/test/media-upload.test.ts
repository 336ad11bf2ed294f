import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { memoryStore } from '../src/index.ts';
import { type Door, messagesOf, openDoor, ownerToken } from './door-fixture.ts';

const png = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), randomBytes(500)]);
const idOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

async function upload(door: Door, bytes: Buffer, { type = 'text/plain', query = '', token = ownerToken } = {}) {
  const body = new Uint8Array(bytes);
  const answer = await door.fetch(`/media${query}`, { method: 'POST', body, token, headers: { 'content-type': type } });
  return { status: answer.status, headers: answer.headers, ...((await answer.json()) as { id: string }) };
}

async function tokenOf(door: Door, id: string, scopes = ['operator.read', 'operator.write']) {
  return door.gateway.createToken({ role: 'operator', id, scopes });
}

describe('an upload', () => {
  test('is kept under its hash, and a message that names it carries a reference to the same bytes', async () => {
    const door = await openDoor();
    const caller = await door.dial();
    const sent = await upload(door, png, { type: 'image/png', query: '?fileName=cat.png' });
    const about = { id: idOf(png), mimeType: 'image/png', sizeBytes: png.length, fileName: 'cat.png' };
    expect(sent).toMatchObject({ status: 201, ...about, expiresAtMs: door.clock.now() + 3_600_000 });
    expect(sent.headers.get('location')).toBe(`/media/${about.id}`);
    const params = {
      sessionKey: 'main',
      message: 'look',
      attachments: [{ content: Buffer.from('inline').toString('base64') }, { mediaId: about.id }],
      idempotencyKey: 'r1',
    };
    expect(await caller.ask('chat.send', params)).toMatchObject({ ok: true, payload: { status: 'started' } });
    const [row] = await messagesOf(caller, 'main');
    expect(row?.content).toMatchObject([{ type: 'text' }, { type: 'media' }, { type: 'media', media: about }]);
    const read = (await caller.ask('media.read', { id: about.id })).payload;
    expect(Buffer.from(read.bytes, 'base64').equals(png)).toBe(true);
  });

  test('is used once by a key, and the same key with another file is another request', async () => {
    const door = await openDoor();
    const caller = await door.dial();
    const { id } = await upload(door, Buffer.from('one'));
    const { id: other } = await upload(door, Buffer.from('two'));
    const send = (mediaId: string) =>
      caller.ask('chat.send', { sessionKey: 'main', message: '', attachments: [{ mediaId }], idempotencyKey: 'r1' });
    expect(await send(id)).toMatchObject({ ok: true, payload: { status: 'started' } });
    expect(await send(id)).toMatchObject({ ok: true, payload: { status: 'in_flight' } });
    expect(await send(other)).toMatchObject({ ok: false, error: { details: { code: 'IDEMPOTENCY_CONFLICT' } } });
    expect(await messagesOf(caller, 'main')).toHaveLength(1);
  });

  test('is of use for several messages, at once and later, and the second keeps its place in its session', async () => {
    const door = await openDoor();
    const caller = await door.dial();
    const { id } = await upload(door, Buffer.from('shared'));
    const send = (sessionKey: string, key: string, attachments: object[]) =>
      caller.ask('chat.send', { sessionKey, message: key, attachments, idempotencyKey: key });
    const first = [send('one', 'a', [{ mediaId: id }]), send('two', 'b', [{ mediaId: id }])];
    for (const answer of first) expect(await answer).toMatchObject({ ok: true });
    // The store has to be asked about it now; what follows must not overtake.
    const later = [
      send('three', 'c', [{ mediaId: id }]),
      send('three', 'd', []),
      send('three', 'e', [{ mediaId: id }]),
    ];
    for (const answer of later) expect(await answer).toMatchObject({ ok: true });
    const { pendingInputs, messages } = (await caller.ask('chat.history', { sessionKey: 'three' })).payload;
    const order = [messages[0].id, ...pendingInputs.items.map((item: { runId: string }) => item.runId)];
    expect(order).toEqual(['c', 'd', 'e']);
  });

  test('belongs to its sender until a message has used it: nobody else can use it, read it, or tell that it is there', async () => {
    const door = await openDoor();
    const [ada, bob] = [await tokenOf(door, 'ada'), await tokenOf(door, 'bob')];
    const { id } = await upload(door, png, { type: 'image/png', token: ada });
    const [adaCalls, bobCalls] = [await door.dial(ada), await door.dial(bob)];
    const send = { sessionKey: 'main', message: 'x', attachments: [{ mediaId: id }] };
    const foreign = await bobCalls.ask('chat.send', { ...send, idempotencyKey: 'b' });
    const nothing = await bobCalls.ask('chat.send', {
      ...send,
      attachments: [{ mediaId: 'f'.repeat(64) }],
      idempotencyKey: 'b2',
    });
    expect(foreign).toMatchObject({
      ok: false,
      error: { code: 'INVALID_REQUEST', details: { code: 'MEDIA_UNKNOWN' } },
    });
    expect(foreign.error.message.replace(id, '')).toBe(nothing.error.message.replace('f'.repeat(64), ''));
    expect((await door.fetch(`/media/${id}`, { token: bob })).status).toBe(404);
    expect(await bobCalls.ask('media.read', { id })).toMatchObject({ ok: false });
    expect((await door.fetch(`/media/${id}`, { token: ada })).status).toBe(200);
    expect(await adaCalls.ask('chat.send', { ...send, idempotencyKey: 'a' })).toMatchObject({ ok: true });
    expect((await door.fetch(`/media/${id}`, { token: bob })).status).toBe(200);
    expect(await bobCalls.ask('chat.send', { ...send, idempotencyKey: 'b' })).toMatchObject({ ok: true });
  });

  test('that no message uses is gone after its lifetime, and the refusal says what to do', async () => {
    const door = await openDoor({ uploads: { lifetimeMs: 60_000 } });
    const caller = await door.dial();
    const { id } = await upload(door, Buffer.from('forgotten'));
    await door.clock.advance(59_000);
    expect((await door.fetch(`/media/${id}`)).status).toBe(200);
    await door.clock.advance(2_000);
    expect((await door.fetch(`/media/${id}`)).status).toBe(404);
    const send = { sessionKey: 'main', message: 'x', attachments: [{ mediaId: id }], idempotencyKey: 'r1' };
    const refused = await caller.ask('chat.send', send);
    expect(refused.error.message).toContain('POST /media');
    // The refusal left no row: with the file sent again, the same key works.
    await upload(door, Buffer.from('forgotten'));
    expect(await caller.ask('chat.send', send)).toMatchObject({ ok: true });
  });

  test('does not outlive the gateway, but a message keeps what it used', async () => {
    const store = memoryStore();
    const door = await openDoor({}, { store });
    const caller = await door.dial();
    const used = await upload(door, Buffer.from('used'));
    const unused = await upload(door, Buffer.from('unused'));
    const attachments = [{ mediaId: used.id }];
    await caller.ask('chat.send', { sessionKey: 'notes', message: 'x', attachments, idempotencyKey: 'r1' });
    await door.gateway.close();
    const next = await openDoor({}, { store });
    expect((await next.fetch(`/media/${used.id}`)).status).toBe(200);
    expect((await next.fetch(`/media/${unused.id}`)).status).toBe(404);
    const again = await next.dial();
    expect(await again.ask('sessions.delete', { key: 'notes', idempotencyKey: 'd1' })).toMatchObject({ ok: true });
    expect((await next.fetch(`/media/${used.id}`)).status).toBe(404);
  });

  test('stays usable when the commit of its message failed', async () => {
    const store = memoryStore();
    const door = await openDoor({}, { store });
    const caller = await door.dial();
    const { id } = await upload(door, Buffer.from('kept'));
    const commit = store.commit.bind(store);
    store.commit = () => Promise.reject(new Error('the disk is full'));
    const send = { sessionKey: 'main', message: 'x', attachments: [{ mediaId: id }], idempotencyKey: 'r1' };
    expect(await caller.ask('chat.send', send)).toMatchObject({ ok: false, error: { code: 'UNAVAILABLE' } });
    store.commit = commit;
    expect(await caller.ask('chat.send', send)).toMatchObject({ ok: true, payload: { status: 'started' } });
  });

  test('is refused without a credential, without the scope, and as a form', async () => {
    const door = await openDoor();
    const reader = await tokenOf(door, 'reader', ['operator.read']);
    const post = (token: string, type: string) =>
      door.fetch('/media', { method: 'POST', body: 'x', token, headers: { 'content-type': type } });
    expect((await post('', 'text/plain')).status).toBe(401);
    expect((await post(reader, 'text/plain')).status).toBe(403);
    expect((await post(ownerToken, 'multipart/form-data; boundary=x')).status).toBe(415);
    expect((await door.fetch('/media', { method: 'GET' })).status).toBe(405);
  });
});

describe('the bounds of uploads', () => {
  test('one file and one picture have a size each, known before and noticed on the way', async () => {
    const door = await openDoor({ uploads: { maxBytes: 1_000, maxImageBytes: 100 } });
    // Far more than is allowed, and still coming when it is refused.
    let left = 64;
    const unannounced = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (left-- > 0) controller.enqueue(new Uint8Array(16_384));
        else controller.close();
      },
    });
    expect((await upload(door, Buffer.alloc(1_000))).status).toBe(201);
    expect((await upload(door, Buffer.alloc(1_001))).status).toBe(413);
    expect((await upload(door, png, { type: 'image/png' })).status).toBe(413);
    const long = await door.fetch('/media', { method: 'POST', body: unannounced, duplex: 'half' });
    expect(long.status).toBe(413);
  });

  test('what waits has a size and a number, of one principal and of all, and makes room as it expires', async () => {
    const uploads = { totalBytes: 1_000, principalBytes: 600, maxCount: 3, principalCount: 2, lifetimeMs: 1_000 };
    const door = await openDoor({ uploads });
    const [ada, bob] = [await tokenOf(door, 'ada'), await tokenOf(door, 'bob')];
    const send = async (token: string, size: number, fill: string) =>
      (await upload(door, Buffer.alloc(size, fill), { token })).status;
    expect(await send(ada, 500, 'a')).toBe(201);
    expect(await send(ada, 200, 'b')).toBe(507);
    expect(await send(ada, 100, 'c')).toBe(201);
    expect(await send(ada, 0, 'd')).toBe(429);
    expect(await send(bob, 500, 'e')).toBe(507);
    expect(await send(bob, 0, 'f')).toBe(201);
    expect(await send(bob, 0, 'g')).toBe(429);
    await door.clock.advance(1_001);
    expect(await send(ada, 600, 'h')).toBe(201);
    expect(await send(bob, 400, 'i')).toBe(201);
  });

  test('the same file sent twice counts once', async () => {
    const door = await openDoor({ uploads: { principalBytes: 250 } });
    const sizes = [await upload(door, Buffer.alloc(100)), await upload(door, Buffer.alloc(100))];
    expect(sizes.map(({ status }) => status)).toEqual([201, 201]);
    expect((await upload(door, Buffer.alloc(150, 'x'))).status).toBe(201);
  });

  test('only so many are under way at a time, and one that stalls is cut off and frees its place', async () => {
    const door = await openDoor({ uploads: { maxConcurrent: 1 } });
    const endless = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new Uint8Array(9)) });
    const stalled = door.fetch('/media', { method: 'POST', body: endless, duplex: 'half' });
    await expect.poll(async () => (await upload(door, Buffer.from('x'))).status).toBe(503);
    await door.clock.advance(30_001);
    expect((await stalled).status).toBe(408);
    expect((await upload(door, Buffer.from('x'))).status).toBe(201);
  });

  test('one principal leaves the last place to others', async () => {
    const door = await openDoor({ uploads: { maxConcurrent: 3 } });
    const [ada, bob] = [await tokenOf(door, 'ada'), await tokenOf(door, 'bob')];
    const endless = () =>
      new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new Uint8Array(9)) });
    const slow = (token: string) => door.fetch('/media', { method: 'POST', body: endless(), duplex: 'half', token });
    const stalled = [slow(ada), slow(ada)];
    await expect.poll(async () => (await upload(door, Buffer.from('x'), { token: ada })).status).toBe(503);
    expect((await upload(door, Buffer.from('x'), { token: bob })).status).toBe(201);
    await door.clock.advance(30_001);
    for (const answer of stalled) expect((await answer).status).toBe(408);
    expect((await upload(door, Buffer.from('x'), { token: ada })).status).toBe(201);
  });

  test('one whose sender goes away frees its place and its room', async () => {
    const door = await openDoor({ uploads: { maxConcurrent: 1, totalBytes: 1_000 } });
    const leaving = new AbortController();
    const endless = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new Uint8Array(900)) });
    const gone = door.fetch('/media', { method: 'POST', body: endless, duplex: 'half', signal: leaving.signal });
    await expect.poll(async () => (await upload(door, Buffer.from('x'))).status).toBe(503);
    leaving.abort();
    await expect(gone).rejects.toThrow();
    await expect.poll(async () => (await upload(door, Buffer.alloc(1_000))).status).toBe(201);
  });

  test('types that are not allowed are refused, judged by what the file is', async () => {
    const door = await openDoor({ uploads: { types: ['image/*', 'application/pdf'] } });
    const status = async (type: string, bytes: Buffer) => (await upload(door, bytes, { type })).status;
    expect(await status('image/png', png)).toBe(201);
    expect(await status('image/png', Buffer.from('<script>'))).toBe(415);
    expect(await status('text/html', Buffer.from('<script>'))).toBe(415);
    expect(await status('application/pdf', Buffer.from('%PDF-1.7'))).toBe(201);
    door.gateway.reconfigure({ auth: { mode: 'token', token: ownerToken } });
    expect(await status('text/html', Buffer.from('<script>'))).toBe(201);
  });
});
