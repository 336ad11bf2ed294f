import type { IncomingMessage } from 'node:http';
import type { Clock } from '@openclaw/protocol';
import type { AccessOptions } from '../connection/access-options.ts';
import { isKnownHost, judgeOrigin, type OriginVerdict, type Remote } from '../connection/origin.ts';
import { Proxies } from '../connection/proxies.ts';
import { TailscaleUsers } from '../connection/tailscale.ts';

/** Judges by its headers and its socket where a request comes from, whom it asks for, and whose page sends it. */
export class Arrivals {
  /** The host that the gateway listens on, once it does. */
  boundHost: string | undefined;
  readonly #tailscaleUsers: TailscaleUsers;
  #options: AccessOptions;
  #proxies: Proxies;

  /** Throws `INVALID_REQUEST` for options that make no sense. */
  constructor(options: AccessOptions, clock: Clock) {
    this.#options = options;
    this.#tailscaleUsers = new TailscaleUsers({ clock, ...(options.tailscale ? { options: options.tailscale } : {}) });
    this.#proxies = new Proxies(options, this.#tailscaleUsers);
  }

  /** Takes other options into use; throws `INVALID_REQUEST`, and changes nothing, for those that make no sense. */
  reconfigure(options: AccessOptions): void {
    this.#proxies = new Proxies(options, this.#tailscaleUsers);
    this.#options = options;
    this.#tailscaleUsers.reconfigure(options.tailscale);
  }

  /** Whether a socket is a trusted proxy's. */
  isProxy(address: string): boolean {
    return this.#proxies.isTrusted(address);
  }

  /** Undefined when it can't be said who is at the other end. */
  remoteOf({ socket, headers }: IncomingMessage): Remote | undefined {
    const isEncrypted = 'encrypted' in socket && socket.encrypted === true;
    return this.#proxies.remoteOf({ peerAddress: socket.remoteAddress, headers, isEncrypted });
  }

  /** Whether every name that the request was sent to is the gateway's. */
  isKnownHost({ headers }: IncomingMessage, remote: Remote | undefined): boolean {
    const known = { allowedHosts: this.#options.allowedHosts ?? [], boundHost: this.boundHost };
    return isKnownHost(headers.host, known) && (!remote?.isProxied || isKnownHost(remote.host, known));
  }

  originOf({ headers }: IncomingMessage, remote: Remote): OriginVerdict {
    return judgeOrigin(headers, remote, this.#options.allowedOrigins ?? []);
  }
}
