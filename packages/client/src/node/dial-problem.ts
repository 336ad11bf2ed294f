import type { DialCode, DialFailure } from '../dial-codes.ts';
import { dialFailure } from './dial-failure.ts';
import { type Attempt, authority } from './target.ts';

/** Certificates are renewed and clocks set by people: asking every second would not help. */
const untrustedRetryMs = 30_000;

/** A failure that was found out on the way, as an error. */
export class DialProblem extends Error {
  readonly failure: DialFailure;

  constructor(failure: DialFailure) {
    super(failure.cause);
    this.failure = failure;
  }
}

/** A failure of the table as an error, to be thrown. */
export function ownFailure(code: DialCode, detail: string, more?: Partial<DialFailure>): DialProblem {
  return new DialProblem(dialFailure(code, detail, more));
}

const bySystemCode: Readonly<Record<string, DialCode>> = {
  ENOTFOUND: 'dns-failed',
  EAI_AGAIN: 'dns-failed',
  EAI_FAIL: 'dns-failed',
  EAI_NODATA: 'dns-failed',
  ENODATA: 'dns-failed',
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETDOWN: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  ETIMEDOUT: 'timeout',
  ECONNRESET: 'reset',
  ECONNABORTED: 'reset',
  EPIPE: 'reset',
  EPROTO: 'tls-failed',
  WS_ERR_INVALID_UTF8: 'not-a-gateway',
};

const certificateFaults: Readonly<Record<string, readonly [what: string, nextStep: string]>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: ['it is self-signed', 'Give it as `ca`, or its fingerprint as `pin`.'],
  SELF_SIGNED_CERT_IN_CHAIN: ['its CA is unknown', 'Give its CA as `ca`, or its fingerprint as `pin`.'],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ['its CA is unknown', 'Give its CA as `ca`, or its fingerprint as `pin`.'],
  UNABLE_TO_GET_ISSUER_CERT: ['its CA is unknown', 'Give its CA as `ca`, or its fingerprint as `pin`.'],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ['its CA is unknown', 'Give its CA as `ca`, or its fingerprint as `pin`.'],
  CERT_HAS_EXPIRED: ['it has expired', 'Renew it, or set the clock of this machine.'],
  CERT_NOT_YET_VALID: ['it is not valid yet', 'Set the clock of this machine, or of the one that made it.'],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    'it is made for another name',
    'Use a name that it is made for in the url, or its fingerprint as `pin`.',
  ],
};

/**
 * What an error of the socket says about the attempt. Undefined once the WebSocket was open, unless what came were no frames.
 */
export function problemFailure(error: Error, attempt: Attempt, isOpened: boolean): DialFailure | undefined {
  if (error instanceof DialProblem) return error.failure;
  const { code = '' } = firstOf(error) as NodeJS.ErrnoException;
  const place = authority(attempt);
  if (isOpened) return code.startsWith('WS_ERR') ? dialFailure('not-a-gateway', `${place}, ${code}`) : undefined;
  const fault = certificateFaults[code];
  if (fault) {
    const [what, nextStep] = fault;
    return dialFailure('tls-untrusted', `${place}: ${what}, ${code}`, { nextStep, retryAfterMs: untrustedRetryMs });
  }
  if (/^(CERT|CRL|UNABLE_TO|INVALID_|ERROR_IN_C|PATH_LENGTH|HOSTNAME_MISMATCH)/.test(code)) {
    return dialFailure('tls-untrusted', `${place}, ${code}`, { retryAfterMs: untrustedRetryMs });
  }
  const known = bySystemCode[code];
  if (known) return dialFailure(known, `${place}, ${code}`);
  if (/^ERR_(SSL|TLS|OSSL)/.test(code)) return dialFailure('tls-failed', `${place}, ${code}`);
  if (code.startsWith('HPE_')) return dialFailure('not-a-gateway', `${place}, no HTTP: ${code}`);
  // `ws` has no codes for what it finds wrong with an answer of 101.
  if (/Upgrade header/i.test(error.message)) return dialFailure('upgrade-stripped', `${place}, ${error.message}`);
  if (/Sec-WebSocket|subprotocol/i.test(error.message)) {
    return dialFailure('not-a-gateway', `${place}, ${error.message}`);
  }
  return dialFailure('unknown', `${place}, ${code || error.message}`);
}

/** Where several addresses were tried, the error of the first. */
function firstOf(error: Error): Error {
  return error instanceof AggregateError && error.errors[0] instanceof Error ? error.errors[0] : error;
}
