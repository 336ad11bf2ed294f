import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { byteRange } from '../src/http/media/byte-range.ts';
import { dispositionOf, fileNameOf, safeFileName } from '../src/http/media/file-name.ts';
import { fittingType, plainType } from '../src/http/media/media-type.ts';
import { memoryStore } from '../src/index.ts';
import { type Door, messagesOf, openDoor } from './door-fixture.ts';

async function uploaded(door: Door, bytes: Buffer, type: string, query = ''): Promise<string> {
  const headers = { 'content-type': type };
  const answer = await door.fetch(`/media${query}`, { method: 'POST', body: new Uint8Array(bytes), headers });
  return ((await answer.json()) as { id: string }).id;
}

describe('GET /media/<id>', () => {
  test('streams a large file whole, with its length, its name and its tag', async () => {
    const door = await openDoor();
    const bytes = randomBytes(3_000_000);
    const id = await uploaded(door, bytes, 'video/mp4', '?fileName=%C3%BCber%20uns.mp4');
    const answer = await door.fetch(`/media/${id}`);
    expect(answer.status).toBe(200);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': 'video/mp4',
      'content-length': '3000000',
      'content-disposition': `inline; filename="_ber uns.mp4"; filename*=UTF-8''%C3%BCber%20uns.mp4`,
      etag: `"${id}"`,
      'accept-ranges': 'bytes',
      'cache-control': 'private, no-cache',
      'x-content-type-options': 'nosniff',
    });
    const whole = Buffer.from(await answer.arrayBuffer());
    expect(createHash('sha256').update(whole).digest('hex')).toBe(id);
    const head = await door.fetch(`/media/${id}`, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '3000000', '']);
    const same = await door.fetch(`/media/${id}`, { headers: { 'if-none-match': `"x", W/"${id}"` } });
    expect([same.status, await same.text()]).toEqual([304, '']);
  });

  test('gives the stretch that is asked for, and refuses one that is not there', async () => {
    const door = await openDoor();
    const bytes = randomBytes(700_000);
    const id = await uploaded(door, bytes, 'audio/mpeg');
    const part = async (range: string, more: Record<string, string> = {}) => {
      const answer = await door.fetch(`/media/${id}`, { headers: { range, ...more } });
      const body = Buffer.from(await answer.arrayBuffer());
      return { status: answer.status, range: answer.headers.get('content-range'), body };
    };
    const middle = await part('bytes=100-599999');
    expect([middle.status, middle.range]).toEqual([206, 'bytes 100-599999/700000']);
    expect(middle.body.equals(bytes.subarray(100, 600_000))).toBe(true);
    expect((await part('bytes=-5')).body.equals(bytes.subarray(-5))).toBe(true);
    expect(await part('bytes=700000-')).toMatchObject({ status: 416, range: 'bytes */700000' });
    expect(await part('bytes=0-1,4-5')).toMatchObject({ status: 200 });
    expect(await part('bytes=0-1', { 'if-range': '"another"' })).toMatchObject({ status: 200 });
    expect(await part('bytes=0-1', { 'if-range': `"${id}"` })).toMatchObject({ status: 206 });
  });

  test('shows no page and no script in its place, whatever they are called', async () => {
    const door = await openDoor();
    const script = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>');
    const sent = { 'text/html': 'attachment', 'image/svg+xml': 'attachment', 'application/xhtml+xml': 'attachment' };
    for (const [type, disposition] of Object.entries(sent)) {
      const id = await uploaded(door, Buffer.concat([script, Buffer.from(type)]), type);
      const answer = await door.fetch(`/media/${id}`);
      expect(answer.headers.get('content-disposition')).toBe(disposition);
      expect(answer.headers.get('content-security-policy')).toMatch(/default-src 'none'.*sandbox$/);
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    }
    const asPicture = await uploaded(door, script, 'image/png');
    const answer = await door.fetch(`/media/${asPicture}`);
    expect(answer.headers.get('content-type')).toBe('application/octet-stream');
    expect(answer.headers.get('content-disposition')).toBe('attachment');
  });

  test('that came in a message under a type that is none is bytes of unknown type', async () => {
    const door = await openDoor();
    const caller = await door.dial();
    const content = Buffer.from('inline').toString('base64');
    const attachments = [{ content, mimeType: 'image/png\r\nset-cookie: a=b', fileName: '../a"\r\n\u202eb.png' }];
    await caller.ask('chat.send', { sessionKey: 'main', message: 'look', attachments, idempotencyKey: 'r1' });
    const [message] = await messagesOf(caller, 'main');
    const answer = await door.fetch(`/media/${message?.content[1].media.id}`);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/octet-stream']);
    expect(answer.headers.get('content-disposition')).toMatch(
      /^attachment; filename="a_b.png"; filename\*=UTF-8''a%22b.png$/,
    );
    expect(await answer.text()).toBe('inline');
  });

  test('knows nothing of ids that are none, and asks who it is before it tells', async () => {
    const door = await openDoor();
    for (const id of ['0'.repeat(64), 'x', '..%2f..%2fgateway.sqlite', `${'a'.repeat(64)}/b`]) {
      expect((await door.fetch(`/media/${id}`)).status).toBe(404);
      expect((await door.fetch(`/media/${id}`, { token: '' })).status).toBe(401);
    }
  });

  test('breaks off when the bytes are erased in the middle', async () => {
    const store = memoryStore();
    const door = await openDoor({}, { store });
    const caller = await door.dial();
    const id = await uploaded(door, randomBytes(900_000), 'audio/mpeg');
    const message = { sessionKey: 'notes', message: 'x', attachments: [{ mediaId: id }], idempotencyKey: 'r1' };
    await caller.ask('chat.send', message);
    const readMedia = store.readMedia.bind(store);
    store.readMedia = async (...call) => (call[1] > 300_000 ? undefined : readMedia(...call));
    const answer = await door.fetch(`/media/${id}`);
    await expect(answer.arrayBuffer()).rejects.toThrow();
  });
});

test('types are judged by how a file begins where such files begin alike', () => {
  const begins = (text: string) => Buffer.from(text.padEnd(32, '.'), 'latin1');
  const table: [declared: string, head: Buffer, kept: string][] = [
    ['image/png', begins('\x89PNG\r\n\x1a\n'), 'image/png'],
    ['image/png', begins('\xff\xd8\xff'), 'application/octet-stream'],
    ['image/jpg', begins('\xff\xd8\xff\xe0'), 'image/jpeg'],
    ['image/webp', begins('RIFF\x01\x02\x03\x04WEBP'), 'image/webp'],
    ['image/avif', begins('\0\0\0 ftypavif'), 'image/avif'],
    ['image/x-made-up', begins('anything'), 'application/octet-stream'],
    ['image/svg+xml', begins('<svg'), 'image/svg+xml'],
    ['application/pdf', begins('%PDF-1.4'), 'application/pdf'],
    ['application/pdf', begins('PK\x03\x04'), 'application/octet-stream'],
    ['application/zip', begins('PK\x03\x04'), 'application/zip'],
    ['application/zip', Buffer.from('PK'), 'application/octet-stream'],
    ['text/plain; charset=utf-8', begins('hello'), 'text/plain; charset=utf-8'],
    ['video/mp4', Buffer.alloc(0), 'video/mp4'],
  ];
  for (const [declared, head, kept] of table) expect(fittingType(declared, head)).toBe(kept);
  expect(plainType('Text/HTML; Charset="UTF-8"; x=y')).toBe('text/html; charset=utf-8');
  for (const nothing of [undefined, '', 'text', 'a/b c', 'application/x-www-form-urlencoded', 'te\u00e4xt/x'])
    expect(plainType(nothing)).toBe('application/octet-stream');
});

test('names lose their way to other directories, and what steers a terminal', () => {
  expect(safeFileName('../../etc/passwd')).toBe('passwd');
  expect(safeFileName('C:\\temp\\a.txt')).toBe('a.txt');
  expect(safeFileName('photo\u202egnp.exe\u001b[2J')).toBe('photognp.exe[2J');
  expect(safeFileName(`${'x'.repeat(400)}.png`)).toMatch(/^x{196}\.png$/);
  for (const nothing of ['', '..', '/', '\u0000', undefined, null]) expect(safeFileName(nothing)).toBeUndefined();
  expect(fileNameOf(`attachment; filename="a \\"b\\".txt"`)).toBe('a "b".txt');
  expect(fileNameOf(`attachment; filename=x.txt; filename*=UTF-8''%e2%82%ac.txt`)).toBe('€.txt');
  expect(fileNameOf(`attachment; filename=x.txt; filename*=UTF-8''%zz`)).toBe('x.txt');
  expect(dispositionOf('attachment', 'a"b\r\n;€.txt')).toBe(
    `attachment; filename="a_b__;_.txt"; filename*=UTF-8''a%22b%0D%0A%3B%E2%82%AC.txt`,
  );
});

test('a range is one stretch within the file, or the file', () => {
  expect(byteRange('bytes=0-0', 10)).toEqual({ first: 0, last: 0 });
  expect(byteRange('bytes=5-', 10)).toEqual({ first: 5, last: 9 });
  expect(byteRange('bytes=-99', 10)).toEqual({ first: 0, last: 9 });
  expect(byteRange('bytes=3-99', 10)).toEqual({ first: 3, last: 9 });
  for (const header of [undefined, 'bytes=-', 'bytes=5-2', 'items=0-1', 'bytes=0-1,2-3', 'bytes=a-b'])
    expect(byteRange(header, 10)).toBe('whole');
  for (const header of ['bytes=10-', 'bytes=-0']) expect(byteRange(header, 10)).toBe('outside');
  expect(byteRange('bytes=0-', 0)).toBe('outside');
});
