import { createServer, type IncomingHttpHeaders, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';

/** What a proxy makes of the headers of a client whose address is `clientAddress`. */
export type HeaderRule = (headers: IncomingHttpHeaders, clientAddress: string) => IncomingHttpHeaders;

const isIdentity = (name: string) =>
  name.startsWith('tailscale-') || name.startsWith('x-forwarded-') || name === 'forwarded';
const withoutIdentity = (headers: IncomingHttpHeaders) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !isIdentity(name)));

/** As `tailscale serve`: what a client claims is dropped, and who it is in the tailnet is put in its place. */
export const serveRule =
  (logins: Readonly<Record<string, string>>): HeaderRule =>
  (headers, clientAddress) => ({
    ...withoutIdentity(headers),
    'x-forwarded-for': clientAddress,
    'x-forwarded-host': String(headers.host),
    'x-forwarded-proto': 'https',
    ...(logins[clientAddress]
      ? { 'tailscale-user-login': logins[clientAddress], 'tailscale-user-name': 'Somebody' }
      : {}),
  });

/** As `tailscale funnel`: the client comes from the internet, and nobody says who it is. */
export const funnelRule: HeaderRule = (headers, clientAddress) => ({
  ...withoutIdentity(headers),
  'x-forwarded-for': clientAddress,
  'x-forwarded-host': String(headers.host),
  'x-forwarded-proto': 'https',
  'tailscale-funnel-request': '?1',
});

/** As a proxy that was set up without care: it passes on what the client claims, and adds the address. */
export const carelessRule: HeaderRule = (headers, clientAddress) => ({
  ...headers,
  'x-forwarded-for': headers['x-forwarded-for'] ? `${headers['x-forwarded-for']}, ${clientAddress}` : clientAddress,
});

/** A reverse proxy on loopback, for HTTP and WebSockets, whose clients come from wherever the test says. */
export class IdentityProxy {
  /** The address that the next requests come from. */
  clientAddress = '203.0.113.9';
  readonly #server = createServer();
  readonly #sockets = new Set<{ destroy(): void }>();

  private constructor(targetPort: number, rule: HeaderRule) {
    const headersOf = (headers: IncomingHttpHeaders) => rule(headers, this.clientAddress);
    this.#server.on('request', (incoming, outgoing) => {
      const { method, url: path, headers } = incoming;
      const forwarded = request(
        { port: targetPort, host: '127.0.0.1', method, path, headers: headersOf(headers) },
        (answer) => {
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(outgoing);
        },
      );
      incoming.pipe(forwarded);
    });
    this.#server.on('upgrade', ({ url, headers }, client) => {
      const lines = Object.entries(headersOf(headers)).map(([name, value]) => `${name}: ${value}`);
      const gateway = connect({ port: targetPort, host: '127.0.0.1' }, () => {
        gateway.write(`GET ${url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
        gateway.pipe(client).pipe(gateway);
      });
      for (const [socket, other] of [
        [client, gateway],
        [gateway, client],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => other.destroy());
        socket.on('close', () => other.destroy());
      }
    });
  }

  static async start(targetPort: number, rule: HeaderRule): Promise<IdentityProxy> {
    const proxy = new IdentityProxy(targetPort, rule);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** `ws://…` */
  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
