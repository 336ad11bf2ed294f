import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as it came. */
export interface Recorded {
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
}

/** A server that records what it is asked and gives each request the answer that `reply` chooses. */
export async function recordingServer(reply: (request: Recorded) => { status: number; body: unknown }) {
  const requests: Recorded[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      const recorded = { path: request.url ?? '', headers: request.headers, body };
      requests.push(recorded);
      const answer = reply(recorded);
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url, requests, close };
}
