import type { GatewayClientOptions } from '@openclaw/gateway-client';
import { type FaultProxy, startFaultProxy } from '../fault-proxy.ts';
import { startGateway, type TestGateway, type TestGatewayOptions } from '../gateway.ts';
import { PublishedClient } from './published-client.ts';
import { SchemaOracle } from './schema-oracle.ts';
import { WireTap } from './wire-tap.ts';

const oracle = new SchemaOracle();

/** A gateway behind a fault proxy that hears everything, and published clients that dial through it. */
export class InteropBench {
  server: TestGateway;
  readonly proxy: FaultProxy;
  readonly tap: WireTap;
  readonly #clients: PublishedClient[] = [];
  readonly #options: TestGatewayOptions;

  private constructor(options: TestGatewayOptions, server: TestGateway, proxy: FaultProxy, tap: WireTap) {
    this.#options = options;
    this.server = server;
    this.proxy = proxy;
    this.tap = tap;
  }

  static async start(options: TestGatewayOptions = {}): Promise<InteropBench> {
    const server = await startGateway(options);
    const tap = new WireTap(oracle);
    const proxy = await startFaultProxy({ targetPort: server.port, tap: tap.listen });
    return new InteropBench(options, server, proxy, tap);
  }

  /** A client that was not started yet. Everything it needs is filled in. */
  client(options: GatewayClientOptions = {}): PublishedClient {
    const client = new PublishedClient({ url: this.proxy.url, token: this.server.token, ...options });
    this.#clients.push(client);
    return client;
  }

  /** A client that has its hello-ok. */
  async connected(options: GatewayClientOptions = {}): Promise<PublishedClient> {
    const client = this.client(options);
    await client.start();
    return client;
  }

  /** Ends the gateway and its agent, and starts others behind the same address, on the store that the options name. */
  async restart(): Promise<void> {
    this.proxy.refuse(true);
    await this.server.close();
    this.server = await startGateway(this.#options);
    this.proxy.retarget(this.server.port);
    this.proxy.refuse(false);
  }

  /** Stops everything. What the tap found is kept. */
  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.stop()));
    await this.proxy.close();
    await this.server.close();
  }
}
