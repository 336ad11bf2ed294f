import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { openDoor } from './door-fixture.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test.each(['/v1/chat/completions', '/v1/responses'])(
  'an answer that is waited for at %s holds nothing of the request',
  async (path) => {
    const door = await openDoor({ openAi: { chatCompletions: true, responses: true } });
    const fileBytes = 4_000_000;
    const ask = async () => {
      const image = `data:image/png;base64,${'A'.repeat(fileBytes)}`;
      const body =
        path === '/v1/responses'
          ? { input: [{ role: 'user', content: [{ type: 'input_image', image_url: image }] }] }
          : { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: image } }] }] };
      const response = await door.fetch(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: Buffer.from(JSON.stringify({ model: 'openclaw', stream: true, ...body })),
      });
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      await reader.read();
      return reader;
    };
    const readers = [await ask()];
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    for (let count = 0; count < 6; count++) readers.push(await ask());
    collectGarbage();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(3 * fileBytes);
    for (const reader of readers) await reader.cancel();
  },
);
