import type { HelloOk } from '@openclaw/protocol';
import type { Clock, ConnectParams, Role } from '@openclaw/protocol/wire';
import type { DeviceSigner } from './device.ts';
import type { Dialer } from './dialer.ts';
import type { Limits } from './limits.ts';
import type { QueueStore } from './queue-store.ts';
import type { Replay, RequestFunction } from './request.ts';
import type { PageScope } from './wake.ts';

/** A credential, or a function that gives a fresh one for every attempt. */
export type Credential = string | (() => string | Promise<string>);

/** What `connect` takes. Only `url`, or `dialer`, is needed. */
export interface ConnectOptions {
  /** `ws://` or `wss://`. Not needed with `dialer`. */
  url?: string;
  /** Further addresses of the same gateway; after one that can't be reached, the next is tried. */
  urls?: readonly string[];
  /** Opens transports in place of a WebSocket to `url`: a MessagePort, an in-memory pair, a proxy. */
  dialer?: Dialer;
  /** HTTP headers of the upgrade. Only in Node; a browser makes `connect` throw `UNSUPPORTED`, as it does for the next three. */
  headers?: Readonly<Record<string, string>>;
  /**
   * An `http://` or `https://` proxy, with credentials if it wants some; false for none. Only in Node. Default: what HTTPS_PROXY,
   * HTTP_PROXY, ALL_PROXY and NO_PROXY say; never one for loopback.
   */
  proxy?: string | false;
  /** Certificates of CAs, PEM, that are trusted beside the known ones. Only in Node. */
  ca?: string | readonly string[];
  /**
   * `sha256/` and the base64 of the SHA-256 of the gateway's certificate (DER). Only that certificate is taken, and then it needs
   * no CA, name or date; checked before anything is sent. Only in Node, and with `wss://`.
   */
  pin?: string;
  /** The shared token, or the token of a role. */
  token?: Credential;
  /** The shared password. */
  password?: Credential;
  /** A token that an earlier connection got by the event `credentials`. */
  deviceToken?: string;
  /** A one-use code; dropped as soon as the gateway answers it with a device token. */
  bootstrapToken?: string;
  /** Proves a device identity to the gateway, and keeps its tokens: `deviceIdentity({ store })` of `@openclaw/client/device`. */
  device?: DeviceSigner;
  /** Who connects. Default: id `gateway-client`, mode `backend`, this package's version, this platform. */
  client?: Partial<ConnectParams['client']>;
  /** Default `operator`. */
  role?: Role;
  /** What an operator asks for. Default read, write and approvals. */
  scopes?: readonly string[];
  /** Capabilities beside `streams` and `tool-events`. */
  caps?: readonly string[];
  /** Further fields of the `connect` request, such as `locale`. */
  params?: Readonly<Record<string, unknown>>;
  /** Whether custom methods may be sent again after a drop (S17). Unlisted ones are `never`. */
  methods?: Readonly<Record<string, Replay>>;
  /** Where keyed requests are kept, so that they survive a page reload. Default: nowhere. */
  queueStore?: QueueStore;
  /**
   * Runs after every hello, before streams and requests go on; an agent attaches here. Its requests are sent at once and
   * fail with the connection. When it rejects, the connection is given up: for good, or, if the error is retryable, until
   * the next attempt.
   */
  prepare?: (hello: HelloOk, request: RequestFunction) => Promise<void>;
  limits?: Partial<Limits>;
  /** Default: the machine's clock. */
  clock?: Clock;
  /** Numbers in [0, 1), for delays. Default `Math.random`. */
  random?: () => number;
  /** The globals that tell of sleep and network. Default: those of this process, if it is a page. */
  page?: PageScope;
}
