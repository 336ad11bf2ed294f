import { asyncApiDocument } from '@openclaw/protocol';
import { expect, test } from 'vitest';
import { ask } from './ask.ts';
import { listening } from './edge-fixture.ts';

test('the AsyncAPI document is served to anyone, and not twice to who has it', async () => {
  const { origin } = await listening();
  const answer = await ask(origin, '/asyncapi.json');
  expect(answer.status).toBe(200);
  expect(answer.headers['content-type']).toBe('application/vnd.aai.asyncapi+json; version=3.0.0');
  expect(JSON.parse(answer.text)).toEqual(JSON.parse(JSON.stringify(asyncApiDocument())));
  const etag = String(answer.headers.etag);
  expect(await ask(origin, '/asyncapi.json', { headers: { 'if-none-match': etag } })).toMatchObject({
    status: 304,
    text: '',
  });
  const head = await ask(origin, '/asyncapi.json', { method: 'HEAD' });
  expect(head).toMatchObject({
    status: 200,
    text: '',
    headers: { 'content-length': String(Buffer.byteLength(answer.text)) },
  });
  expect((await ask(origin, '/asyncapi.json', { method: 'POST' })).status).toBe(405);
});
