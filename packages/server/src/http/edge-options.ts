import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Transport } from '@openclaw/protocol';
import type { Access } from '../connection/access.ts';
import type { AccessOptions } from '../connection/access-options.ts';
import type { Credentials } from '../connection/credentials.ts';
import type { ConnectionLimits } from '../connection/limits.ts';
import type { Identity, Peer } from '../connection/peer.ts';

import type { HttpRoute } from './route.ts';
import type { TlsOptions } from './tls.ts';

/** What of an edge can be changed while it runs. */
export interface EdgeLiveOptions extends AccessOptions {
  /** What connections and requests are held to. What is left out has the default of {@link limitsTable}. */
  limits?: Partial<ConnectionLimits>;
  /**
   * The gateway's own certificate: the port then speaks TLS only, 1.2 at least. A new certificate counts for new connections;
   * when it is left out the one before stays. Turning TLS on or off needs a restart. There is no HSTS: a certificate of one's
   * own may be gone tomorrow, and browsers would then refuse the name for months. Default: no TLS.
   */
  tls?: TlsOptions;
}

/** What the edge of a gateway is made of; everything but `auth` has a default. */
export interface EdgeOptions extends EdgeLiveOptions {
  /** A directory whose files are served at `/`. */
  siteDirectory?: string;
  /** Routes beside the gateway's own; the first whose path fits takes a request. Default none. */
  routes?: readonly HttpRoute[];
  /** Answers GET and HEAD requests that no route of the gateway takes, before files are looked up. */
  fetch?: (request: Request) => Response | undefined | Promise<Response | undefined>;
  /** What keeps the gateway from being ready, in words, beside its phase; for `/ready`. Default nothing. */
  failing?: () => string[];
  /** Told of failures that no client can be told of: a listener that broke, a `fetch` that threw. Default: not told. */
  onError?: (error: unknown) => void;
  /** Pre-framed bytes can't be compressed: anything but false is refused. */
  perMessageDeflate?: false;
  /** Runs a task at the end of the turn of the event loop. Default `setImmediate`. */
  defer?: (task: () => void) => void;
}

/** Where connections come in: sockets, HTTP routes on the same port, and local peers. */
export interface HttpEdge {
  /** Who may come in. */
  readonly access: Access;
  /** Tokens and one-use codes. */
  readonly credentials: Credentials;
  /** Connections after hello, local peers included. */
  readonly connectionCount: number;
  /** Sockets that have not shown who they are. */
  readonly handshakingCount: number;
  /** TCP sockets that it listens to, of every kind. */
  readonly socketCount: number;
  /** The limits in use now. */
  readonly limits: Readonly<ConnectionLimits>;
  /** `sha256/…` of its certificate; undefined without TLS. */
  readonly certificatePin: string | undefined;
  /** Where it listens; undefined before `listen`. */
  readonly address: AddressInfo | undefined;
  /**
   * Listens for HTTP and WebSocket; port 0 picks a free one. Default host `127.0.0.1`. Rejects with Node's error
   * (`EADDRINUSE`, `EACCES`, …), or `INVALID_REQUEST` for a host beyond loopback without auth.
   */
  listen(address: { port: number; host?: string }): Promise<AddressInfo>;
  /**
   * Serves through a server that its owner made: takes its upgrades (those of `path`, if one is given), answers the
   * gateway's own routes, and leaves every other request to the listeners it already had. `close` gives all that back and
   * leaves the server running.
   */
  attach(server: Server, options?: { path?: string }): void;
  /**
   * Takes a peer of this process or a worker of it. It says `connect` and gets hello-ok like everyone; what it says about
   * itself is not asked for proof: `identity` is what counts.
   */
  acceptTransport(transport: Transport, identity: Identity): Peer;
  /** Takes other access settings and limits into use; see `Gateway.reconfigure`. */
  reconfigure(options: EdgeLiveOptions): void;
  /**
   * Closes every connection (4102 to connections with streams, else 1012), waits a second for their goodbyes at most, and
   * resolves when no socket is left.
   */
  close(): Promise<void>;
}
