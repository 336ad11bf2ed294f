import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Servers that tell whoever asks what they were told: the worst that a model or an MCP server can do with a key. */
export class EchoingServers {
  /** What came with each request, to show that the secrets were really used. */
  readonly headers: string[] = [];
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      request.resume();
      this.headers.push(JSON.stringify(request.headers));
      const told = `The key ${secretOf(request)} is wrong. You sent ${JSON.stringify(request.headers)}`;
      response.writeHead(401, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: { message: told, type: 'invalid_request_error' } }));
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function secretOf({ headers }: IncomingMessage): string {
  return String(headers.authorization ?? headers['x-api-key'] ?? '').replace(/^Bearer /, '');
}
