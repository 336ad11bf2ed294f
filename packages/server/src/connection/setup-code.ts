import { GatewayError } from '@openclaw/protocol';
import { isLoopbackAddress } from './origin.ts';

/** Where a phone reaches the gateway. */
export interface SetupAddress {
  url: string;
  /** Others that may do, where the gateway has several. */
  urls?: string[];
  source: 'request' | 'config' | 'connection';
}

export interface SetupAddressFacts {
  /** What the caller says. */
  asked?: string | undefined;
  /** What the options say. */
  configured?: string | undefined;
  /** The address that the caller's own connection came to. */
  connection?: string | undefined;
  /** Addresses of this machine that the gateway listens on beyond loopback, as `host:port`. */
  localHosts: readonly string[];
}

/** All that a client needs to come in, in one text. */
export interface SetupFacts {
  url: string;
  urls?: readonly string[] | undefined;
  bootstrapToken: string;
  /** Of the gateway's own certificate. */
  pin?: string | undefined;
}

/**
 * The address that a setup code tells: what the caller says, else what the options say, else the one that the caller came to
 * itself, unless that is no use to another machine. Throws `INVALID_REQUEST` when none is known.
 */
export function setupAddress({ asked, configured, connection, localHosts }: SetupAddressFacts): SetupAddress {
  if (asked !== undefined) return { url: socketUrl(asked), source: 'request' };
  if (configured !== undefined) return { url: socketUrl(configured), source: 'config' };
  const own = connection === undefined ? undefined : new URL(connection);
  if (own && !isOwnMachine(own.hostname)) return { url: plain(own), source: 'connection' };
  const [url, ...others] = localHosts.map((host) => `${own?.protocol ?? 'ws:'}//${host}`);
  if (url === undefined) {
    throw new GatewayError(
      'INVALID_REQUEST',
      'No address of this gateway is known that a phone could reach: it listens on this machine only. Give publicUrl, or listen on the network.',
    );
  }
  return { url, ...(others.length > 0 ? { urls: [url, ...others] } : {}), source: 'connection' };
}

/**
 * Whether the gateway's own certificate is what answers at an address: by its port, since a proxy in front has another one and
 * a certificate of its own.
 */
export function isServedHere(address: string, port: number | undefined): boolean {
  const url = new URL(address);
  return url.protocol === 'wss:' && Number(url.port || 443) === port;
}

/** The text of a setup code: base64url of JSON. A secret until it is used. */
export function encodeSetupCode({ url, urls, bootstrapToken, pin }: SetupFacts): string {
  return Buffer.from(JSON.stringify({ url, urls, bootstrapToken, pin })).toString('base64url');
}

function socketUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const protocol = url && { 'http:': 'ws:', 'https:': 'wss:', 'ws:': 'ws:', 'wss:': 'wss:' }[url.protocol];
  if (!url || !protocol || url.hostname === '' || url.username !== '' || url.password !== '') {
    throw new GatewayError(
      'INVALID_REQUEST',
      'invalid device.pair.setupCode params: at /publicUrl: must be an address such as wss://gateway.example, without a password',
    );
  }
  return `${protocol}//${url.host}${url.pathname === '/' ? '' : url.pathname}`;
}

function plain(url: URL): string {
  return `${url.protocol}//${url.host}`;
}

function isOwnMachine(hostname: string): boolean {
  return (
    hostname === 'localhost' || hostname.endsWith('.localhost') || isLoopbackAddress(hostname.replace(/^\[|\]$/g, ''))
  );
}
