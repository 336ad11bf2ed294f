import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/** Where a socket or a request comes from, judged before anything of it is read. */
export interface Remote {
  /** The client's address; behind trusted proxies the one that they name. */
  address: string;
  /** True only for a direct connection from this machine: never with a forwarded header, whoever sent it. */
  isLoopback: boolean;
  /** Whether it came through a trusted proxy. */
  isProxied: boolean;
  /** Whether the client reached the gateway, or the proxy before it, over TLS; false when a proxy does not say. */
  isEncrypted: boolean;
  /** The name and port that the client used: `Host`, or what a trusted proxy says of it. */
  host?: string;
  /**
   * Who it is by the word of a trusted proxy or of Tailscale; absent when these name nobody. For clients that bring no other
   * credential. Rejects with a `ConnectRefusal` (`AUTH_TAILSCALE_…`, `AUTH_IDENTITY_HEADER_REQUIRED`,
   * `AUTH_VERIFIED_USER_REQUIRED`) for a name that is not confirmed or not allowed.
   */
  identify?: () => Promise<ForwardedUser>;
}

/** A user whom somebody else let in. */
export interface ForwardedUser {
  kind: 'proxy' | 'tailscale';
  /** The user's name with the proxy, or the login with Tailscale. */
  name: string;
  /** The address of the proxy that said so. */
  proxy: string;
}

/** Whether the page that opened a connection may do so. */
export type OriginVerdict = { is: 'absent' } | { is: 'allowed' } | { is: 'refused'; reason: string };

/** Whether an address is this machine's own: 127.0.0.0/8 or ::1, also as IPv4 in IPv6. */
export function isLoopbackAddress(address: string | undefined): boolean {
  if (!address) return false;
  const plain = plainAddress(address);
  return plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'));
}

/** An IPv4 address without the IPv6 around it, as a socket that listens on both shows it. */
export function plainAddress(address: string): string {
  return /^::ffff:\d/i.test(address) && address.includes('.') ? address.slice('::ffff:'.length) : address;
}

/**
 * Whether a `Host` header names this gateway. A page whose domain was pointed at a local address (DNS rebinding) sends its
 * own name, so names have to be known; an IP address can't be rebound.
 */
export function isKnownHost(
  header: string | undefined,
  { boundHost, allowedHosts }: { boundHost?: string | undefined; allowedHosts: readonly string[] },
): boolean {
  const name = hostName(header);
  if (name === undefined) return false;
  if (name === 'localhost' || name.endsWith('.localhost') || isIP(name) !== 0) return true;
  return name === boundHost?.toLowerCase() || allowedHosts.some((allowed) => allowed.toLowerCase() === name);
}

/**
 * Judges the `Origin` header of an upgrade or a request. Programs send none: credentials are never cookies, so a missing
 * one gives nothing away. A page's is allowed when it is on the list, letter by letter, or when it is the gateway's own: the
 * page was loaded from the very name and port that it now connects to. Over plain HTTP from afar that proves nothing, so
 * there it has to be on the list. `null` (a file, a sandboxed frame) is never allowed.
 */
export function judgeOrigin(
  { origin }: IncomingHttpHeaders,
  { isLoopback, isProxied, isEncrypted, host }: Remote,
  allowedOrigins: readonly string[],
): OriginVerdict {
  if (origin === undefined) return { is: 'absent' };
  if (origin === 'null') return { is: 'refused', reason: 'origin missing or invalid' };
  if (allowedOrigins.includes(origin)) return { is: 'allowed' };
  const page = webOrigin(origin);
  if (!page) {
    return URL.canParse(origin)
      ? { is: 'refused', reason: 'origin not allowed' }
      : { is: 'refused', reason: 'origin missing or invalid' };
  }
  const isJudgeable = host !== undefined && (isLoopback || isProxied || isEncrypted);
  const isOwn = isJudgeable && page.host === webOrigin(`${page.protocol}//${host}`)?.host;
  // A page that came unencrypted could have been written by anyone on its way.
  return isOwn && (!isEncrypted || page.protocol === 'https:')
    ? { is: 'allowed' }
    : { is: 'refused', reason: 'origin not allowed' };
}

/** An origin of the web, with host and port as browsers write them; undefined for everything else. */
function webOrigin(text: string): URL | undefined {
  if (!/^https?:\/\/[^/?#@\\\s]+$/i.test(text)) return undefined;
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** The name or address in a `Host` header, without its port. */
function hostName(header: string | undefined): string | undefined {
  if (!header) return undefined;
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:@/\\[\]\s]+))(?::\d{1,5})?$/i.exec(header);
  const name = match?.[1] ?? match?.[2];
  return name?.toLowerCase().replace(/\.$/, '');
}
