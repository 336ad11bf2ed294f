import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { machineTimeMs } from './stamp.ts';

/** An OpenAI-compatible endpoint whose every answer begins with the time at which its first token was written. */
export async function startModelEndpoint(): Promise<{ url: string; server: Server }> {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      if (!request.url?.endsWith('/chat/completions')) {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ object: 'list', data: [{ id: 'clock', object: 'model' }] }));
        return;
      }
      response.setHeader('content-type', 'text/event-stream');
      response.write(chunk({ role: 'assistant' }));
      // As a model does, some time after the headers, and the rest some time after the first token.
      setTimeout(() => response.write(chunk({ content: `${machineTimeMs()} ` })), 10);
      setTimeout(() => response.end(`${chunk({ content: 'it is.' })}${chunk({}, 'stop')}data: [DONE]\n\n`), 30);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, server };
}

function chunk(delta: object, finish: string | null = null): string {
  const choices = [{ index: 0, delta, finish_reason: finish }];
  const body = { id: 'c', object: 'chat.completion.chunk', created: 0, model: 'clock', choices };
  return `data: ${JSON.stringify(body)}\n\n`;
}
