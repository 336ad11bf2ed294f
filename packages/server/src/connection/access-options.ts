/**
 * How operators get in. With `token` and `password` both work, in either field of `connect`. A password may be given as the
 * scrypt hash that `hashPassword` makes.
 */
export type AuthOptions =
  | { mode: 'token'; token: string; password?: string }
  | { mode: 'password'; password: string }
  /** A proxy in front knows who it is and says so in a header; only `trustedProxies` are believed. */
  | {
      mode: 'trusted-proxy';
      /** The header with the name of the user, such as `x-forwarded-user`. */
      userHeader: string;
      /** Headers that must be there, too. Default none. */
      requiredHeaders?: readonly string[];
      /** Users who may come in. Default: whoever the proxy lets through. */
      allowUsers?: readonly string[];
    }
  /** On loopback only, and never through a proxy. */
  | { mode: 'none' };

/** A token for operators that is named in the options, beside those that `tokens.create` makes. */
export interface NamedToken {
  /** Its name: the principal is `token:<name>`. */
  name: string;
  /** The token, or `sha256:` and the hex of its hash. At least 16 characters. */
  token: string;
  /** What it may do. */
  scopes: readonly string[];
}

/**
 * Tailscale's own identity headers, from `tailscale serve` on this machine: believed of a peer on loopback or in `trustedProxies`,
 * and when `tailscale whois` says that the client's address is that user's. Where there is no such program, only of a peer in
 * `trustedProxies`. What `tailscale funnel` passes on comes from the internet and names nobody: it is taken only when loopback is in
 * `trustedProxies`, and needs a credential. The name of the machine in the tailnet belongs into `allowedHosts`. No other proxy
 * may listen on this machine beside it that passes on its clients' `X-Forwarded-For` as it came.
 */
export interface TailscaleOptions {
  /** Logins (`ada@example.com`) that may come in. Default: everyone in the tailnet whom `tailscale whois` confirms. */
  allowLogins?: readonly string[];
  /** What they may do. Default read, write and approvals. */
  scopes?: readonly string[];
  /** Asks who has an address; undefined when nobody. Default: the program `tailscale`, answers kept for 60 s. */
  whois?: (address: string) => Promise<{ login: string; name?: string } | undefined>;
}

/** Who may come in, and from where. Everything here can be changed while the gateway runs (`Gateway.reconfigure`). */
export interface AccessOptions {
  /** How operators prove who they are. */
  auth: AuthOptions;
  /** Tokens for operators beside the shared one. Default none. */
  tokens?: readonly NamedToken[];
  /** Where the gateway is reached from outside, such as `wss://gateway.example`: what setup codes tell phones. Default unknown. */
  publicUrl?: string;
  /** Believe Tailscale's identity headers on requests that `tailscale serve` passes on. Default: they are refused. */
  tailscale?: TailscaleOptions;
  /**
   * Origins whose pages may connect, exactly as browsers send them: `https://panel.example`, or an app's
   * `capacitor://localhost`. Default none but the own one on loopback.
   */
  allowedOrigins?: readonly string[];
  /** Names beside loopback's, the bound one and IP addresses that a `Host` header may hold. Default none. */
  allowedHosts?: readonly string[];
  /** Addresses or CIDR ranges of proxies whose forwarded headers are believed. Default none: such requests are refused. */
  trustedProxies?: readonly string[];
}
