/** Why a connection could not be made. Stable; meant for programs. A browser tells `unknown` only. */
export type DialCode =
  | 'unknown'
  | 'timeout'
  | 'not-a-gateway'
  | 'cut-after-upgrade'
  | 'dns-failed'
  | 'refused'
  | 'unreachable'
  | 'reset'
  | 'tls-failed'
  | 'tls-untrusted'
  | 'tls-pin-mismatch'
  | 'proxy-unreachable'
  | 'proxy-unsupported'
  | 'proxy-auth-required'
  | 'proxy-refused'
  | 'upgrade-stripped'
  | 'redirected'
  | 'html-answer'
  | 'unauthorized'
  | 'forbidden'
  | 'not-found'
  | 'rate-limited'
  | 'bad-gateway';

/** One failed attempt to reach the gateway: a code, what happened, and what to do about it. Never holds a credential. */
export interface DialFailure {
  code: DialCode;
  /** The HTTP status, where one was answered. */
  status?: number;
  /** What happened, in words, with the host and port. */
  cause: string;
  /** What to do about it, in words. */
  nextStep: string;
  /** The next attempt waits at least this long, in ms. */
  retryAfterMs?: number;
  /** True where dialing again could do harm: the connection fails for good. */
  isFinal?: boolean;
}

/** All that a browser tells. */
export const unknownFailure: DialFailure = {
  code: 'unknown',
  cause: 'The platform does not say why',
  nextStep: 'Open the address in a browser tab to see.',
};
