import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { GatewayError } from '@openclaw/protocol';
import type { AccessOptions, AuthOptions } from './access-options.ts';
import { authRefusal } from './connect-refusal.ts';
import { type ForwardedFacts, isForwarded, readForwarded } from './forwarded-headers.ts';
import { type ForwardedUser, isLoopbackAddress, plainAddress, type Remote } from './origin.ts';
import { identifyTailscale, type TailscaleUsers } from './tailscale.ts';

/** What a socket shows of itself before its request is judged. */
export interface Arrival {
  peerAddress: string | undefined;
  headers: IncomingHttpHeaders;
  /** Whether the socket itself is TLS. */
  isEncrypted: boolean;
}

/**
 * Says where requests come from. Forwarded headers count only when a trusted proxy sends them; from anyone else they make a
 * request one whose origin is not known, never a local one.
 */
export class Proxies {
  readonly #trusted: BlockList;
  readonly #auth: AuthOptions;
  readonly #hasTailscale: boolean;
  readonly #tailscaleUsers: TailscaleUsers;

  /** Throws `INVALID_REQUEST` for a trusted proxy that is neither an address nor a range, or that is everyone. */
  constructor({ trustedProxies = [], auth, tailscale }: AccessOptions, tailscaleUsers: TailscaleUsers) {
    this.#trusted = blockList(trustedProxies);
    this.#auth = auth;
    this.#hasTailscale = tailscale !== undefined;
    this.#tailscaleUsers = tailscaleUsers;
  }

  /** Whether forwarded headers from this address are believed. */
  isTrusted(address: string): boolean {
    const plain = plainAddress(address);
    const family = isIP(plain);
    return family !== 0 && this.#trusted.check(plain, family === 4 ? 'ipv4' : 'ipv6');
  }

  /**
   * Where a request comes from. Undefined when that can't be said: a proxy that is not trusted stands between, or a trusted one
   * passes on what can't be read. A request that `tailscale serve` passes on, with the name of its user, needs no trusted
   * proxy when Tailscale is configured; one that `tailscale funnel` passes on comes from the internet and names nobody, so
   * for these loopback has to be a trusted proxy and the client needs a credential.
   */
  remoteOf({ peerAddress, headers, isEncrypted }: Arrival): Remote | undefined {
    const peer = plainAddress(peerAddress ?? '');
    const host = headers.host;
    if (!this.#isPassedOn(headers)) {
      const isLoopback = isLoopbackAddress(peer);
      return { address: peer, isLoopback, isProxied: false, isEncrypted, ...(host === undefined ? {} : { host }) };
    }
    const isTrusted = this.isTrusted(peer);
    const login = this.#hasTailscale && (isTrusted || isLoopbackAddress(peer)) ? tailscaleLogin(headers) : undefined;
    if (!isTrusted && login === undefined) return undefined;
    const facts = readForwarded(headers);
    const address = facts && this.#clientOf(facts, peer);
    if (!facts || address === undefined) return undefined;
    const identify = this.#identifier({ headers, peer, address, login, isTrusted });
    const calledHost = facts.host ?? host;
    return {
      address,
      isLoopback: false,
      isProxied: true,
      isEncrypted: facts.isEncrypted,
      ...(calledHost === undefined ? {} : { host: calledHost }),
      ...(identify ? { identify } : {}),
    };
  }

  #isPassedOn(headers: IncomingHttpHeaders): boolean {
    if (isForwarded(headers)) return true;
    return this.#auth.mode === 'trusted-proxy' && headers[this.#auth.userHeader.toLowerCase()] !== undefined;
  }

  /** The nearest address that is no proxy of ours. Whatever stands before it was written by strangers. */
  #clientOf({ chain }: ForwardedFacts, peer: string): string | undefined {
    if (chain.length === 0) return peer;
    const at = chain.findLastIndex((node) => node === undefined || !this.isTrusted(node));
    return chain[at === -1 ? 0 : at];
  }

  #identifier(claim: {
    headers: IncomingHttpHeaders;
    peer: string;
    address: string;
    login: string | undefined;
    isTrusted: boolean;
  }): (() => Promise<ForwardedUser>) | undefined {
    const { headers, peer: proxy, address, login, isTrusted } = claim;
    if (this.#auth.mode === 'trusted-proxy' && isTrusted) {
      const user = proxyUser(this.#auth, headers);
      return async () => {
        if (typeof user === 'string') return { kind: 'proxy', name: user, proxy };
        throw user;
      };
    }
    if (login === undefined) return undefined;
    return async () => {
      const name = await identifyTailscale(this.#tailscaleUsers, { address, login, isPeerTrusted: isTrusted });
      return { kind: 'tailscale', name, proxy };
    };
  }
}

/** The user that a trusted proxy names, or why it is none. */
function proxyUser(
  { userHeader, requiredHeaders = [], allowUsers }: Extract<AuthOptions, { mode: 'trusted-proxy' }>,
  headers: IncomingHttpHeaders,
): string | Error {
  const missing = [userHeader, ...requiredHeaders].find((name) => !headers[name.toLowerCase()]);
  const name = String(headers[userHeader.toLowerCase()] ?? '').trim();
  if (missing !== undefined || name === '' || name.length > 256) {
    return authRefusal(
      'AUTH_IDENTITY_HEADER_REQUIRED',
      `the proxy did not send ${missing ?? userHeader} (let it set the header for users it has let in)`,
    );
  }
  if (allowUsers && !allowUsers.includes(name)) {
    return authRefusal('AUTH_VERIFIED_USER_REQUIRED', 'this user may not come in (add the name to allowUsers)');
  }
  return name;
}

/** The login that `tailscale serve` names; it always names the address, too. */
function tailscaleLogin(headers: IncomingHttpHeaders): string | undefined {
  const login = headers['tailscale-user-login'];
  return typeof login === 'string' && login !== '' && headers['x-forwarded-for'] !== undefined ? login : undefined;
}

function blockList(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = '', prefix, ...rest] = entry.split('/');
    const family = isIP(address);
    const bits = prefix === undefined ? undefined : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
    if (family === 0 || rest.length > 0 || Number.isNaN(bits) || (bits ?? 1) > (family === 4 ? 32 : 128)) {
      throw new GatewayError(
        'INVALID_REQUEST',
        `"${entry}" is no trusted proxy; give an address or a range such as 10.0.0.0/8.`,
      );
    }
    if (bits === 0) {
      throw new GatewayError(
        'INVALID_REQUEST',
        `"${entry}" would trust everyone's forwarded headers; name the addresses of the proxies.`,
      );
    }
    const name = family === 4 ? 'ipv4' : 'ipv6';
    if (bits === undefined) list.addAddress(address, name);
    else list.addSubnet(address, bits, name);
  }
  return list;
}
