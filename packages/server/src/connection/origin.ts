import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/** Where a socket comes from, judged before anything of it is read. */
export interface Remote {
  /** The peer's address; behind a trusted proxy the one that the proxy names. */
  address: string;
  /** True only for a direct connection from this machine. */
  isLoopback: boolean;
}

/** Whether the page that opened a connection may do so. */
export type OriginVerdict = { is: 'absent' } | { is: 'allowed' } | { is: 'refused'; reason: string };

const forwardingHeaders = [
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'x-client-ip',
  'cf-connecting-ip',
  'true-client-ip',
];

/** Whether an address is this machine's own: 127.0.0.0/8 or ::1, also as IPv4 in IPv6. */
export function isLoopbackAddress(address: string | undefined): boolean {
  if (!address) return false;
  const plain = plainAddress(address);
  return plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'));
}

/**
 * Who is at the other end. Undefined when a proxy that is not trusted stands between: its peer could be anyone, and must not
 * pass for a local one.
 */
export function remoteOf(
  peerAddress: string | undefined,
  headers: IncomingHttpHeaders,
  trustedProxies: readonly string[],
): Remote | undefined {
  const address = plainAddress(peerAddress ?? '');
  if (!forwardingHeaders.some((name) => headers[name] !== undefined)) {
    return { address, isLoopback: isLoopbackAddress(address) };
  }
  if (!trustedProxies.includes(address)) return undefined;
  const chain = String(headers['x-forwarded-for'] ?? '').split(',');
  return { address: chain.at(-1)?.trim() || address, isLoopback: false };
}

/**
 * Whether a `Host` header names this gateway. A page whose domain was pointed at a local address (DNS rebinding) sends its
 * own name, so names have to be known; an IP address can't be rebound.
 */
export function isKnownHost(
  header: string | undefined,
  { boundHost, allowedHosts }: { boundHost?: string; allowedHosts: readonly string[] },
): boolean {
  const name = hostName(header);
  if (name === undefined) return false;
  if (name === 'localhost' || name.endsWith('.localhost') || isIP(name) !== 0) return true;
  return name === boundHost?.toLowerCase() || allowedHosts.some((allowed) => allowed.toLowerCase() === name);
}

/** Judges the `Origin` header of an upgrade. Programs send none; a page's is allowed by name, or as the gateway's own on loopback. */
export function judgeOrigin(
  headers: IncomingHttpHeaders,
  remote: Remote,
  allowedOrigins: readonly string[],
): OriginVerdict {
  const { origin } = headers;
  if (origin === undefined) return { is: 'absent' };
  if (allowedOrigins.includes(origin) && origin !== 'null') return { is: 'allowed' };
  let host: string;
  try {
    host = new URL(origin).host;
  } catch {
    return { is: 'refused', reason: 'origin missing or invalid' };
  }
  if (remote.isLoopback && host !== '' && host === headers.host?.toLowerCase()) return { is: 'allowed' };
  return { is: 'refused', reason: 'origin not allowed' };
}

/** An IPv4 address without the IPv6 around it, as a socket that listens on both shows it. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
}

/** The name or address in a `Host` header, without its port. */
function hostName(header: string | undefined): string | undefined {
  if (!header) return undefined;
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:@/\\[\]\s]+))(?::\d{1,5})?$/i.exec(header);
  const name = match?.[1] ?? match?.[2];
  return name?.toLowerCase().replace(/\.$/, '');
}
