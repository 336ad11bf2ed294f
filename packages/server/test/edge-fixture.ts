import { onTestFinished } from 'vitest';
import type { ClientOptions } from 'ws';
import { createHttpEdge } from '../src/http/edge.ts';
import type { EdgeOptions, HttpEdge } from '../src/http/edge-options.ts';
import { RawClient } from './raw-client.ts';
import { StubHost } from './stub-host.ts';

export interface EdgeFixture {
  host: StubHost;
  edge: HttpEdge;
  url: string;
  origin: string;
  /** Connects a WebSocket; it is ended with the test. */
  dial: (options?: ClientOptions & { path?: string }) => RawClient;
}

/** An edge on a free port of loopback, over a stub of the gateway; ended with the test. */
export async function listening(options: Partial<EdgeOptions> = {}): Promise<EdgeFixture> {
  const host = await StubHost.create();
  const edge = createHttpEdge(host, { auth: { mode: 'token', token: 'right' }, ...options });
  const { port } = await edge.listen({ port: 0 });
  const clients: RawClient[] = [];
  onTestFinished(async () => {
    for (const { socket } of clients) socket.terminate();
    await edge.close();
  });
  return {
    host,
    edge,
    url: `ws://127.0.0.1:${port}`,
    origin: `http://127.0.0.1:${port}`,
    dial({ path = '/', ...clientOptions } = {}) {
      const client = new RawClient(`ws://127.0.0.1:${port}${path}`, clientOptions);
      clients.push(client);
      return client;
    },
  };
}
