/**
 * Top-level error codes of a `res` frame. The first seven are protocol v4's; the others are additive and only sent to
 * connections that negotiated `streams`, or created by the client itself.
 */
export type ErrorCode =
  | 'INVALID_REQUEST'
  | 'NOT_PAIRED'
  | 'NOT_LINKED'
  | 'FORBIDDEN'
  | 'UNAVAILABLE'
  | 'AGENT_TIMEOUT'
  | 'APPROVAL_NOT_FOUND'
  | 'RUN_ENDED'
  | 'UNKNOWN_OUTCOME'
  | 'DEADLINE'
  | 'ABORTED'
  | 'CLOSED'
  | 'QUEUE_FULL'
  | 'UNSUPPORTED'
  | 'DIAL_FAILED'
  | 'INTERNAL';

/** Machine-readable causes in `error.details.code`; a client decides by these, never by the message. */
export type DetailCode =
  | 'AUTH_REQUIRED'
  | 'AUTH_TOKEN_MISSING'
  | 'AUTH_TOKEN_MISMATCH'
  | 'AUTH_TOKEN_NOT_CONFIGURED'
  | 'AUTH_PASSWORD_MISSING'
  | 'AUTH_PASSWORD_MISMATCH'
  | 'AUTH_BOOTSTRAP_TOKEN_INVALID'
  | 'AUTH_DEVICE_TOKEN_MISMATCH'
  | 'AUTH_SCOPE_MISMATCH'
  | 'AUTH_IDENTITY_HEADER_REQUIRED'
  | 'AUTH_RATE_LIMITED'
  | 'AUTH_TAILSCALE_IDENTITY_MISMATCH'
  | 'AUTH_TAILSCALE_IDENTITY_MISSING'
  | 'AUTH_TAILSCALE_WHOIS_FAILED'
  | 'AUTH_TOO_MANY_CONNECTIONS'
  | 'AUTH_VERIFIED_USER_REQUIRED'
  | 'CONTROL_UI_DEVICE_IDENTITY_REQUIRED'
  | 'CONTROL_UI_ORIGIN_NOT_ALLOWED'
  | 'DEVICE_AUTH_DEVICE_ID_MISMATCH'
  | 'DEVICE_AUTH_NONCE_MISMATCH'
  | 'DEVICE_AUTH_NONCE_REQUIRED'
  | 'DEVICE_AUTH_SIGNATURE_EXPIRED'
  | 'DEVICE_AUTH_SIGNATURE_INVALID'
  | 'CONFIG_CONFLICT'
  | 'CONFIG_INVALID'
  | 'DEVICE_IDENTITY_REQUIRED'
  | 'EFFECT_NOT_ALLOWED'
  | 'IDEMPOTENCY_CONFLICT'
  | 'MEDIA_UNKNOWN'
  | 'MISSING_SCOPE'
  | 'PAIRING_REQUIRED'
  | 'PROTOCOL_MISMATCH'
  | 'RATE_LIMITED'
  | 'ROLE_UNSUPPORTED'
  | 'UNKNOWN_AGENT_ID';

/** The error part of a `res` frame, exactly as it crosses the wire. */
export interface WireError {
  code: ErrorCode | (string & {});
  message: string;
  details?: unknown;
  retryable?: boolean | undefined;
  retryAfterMs?: number | undefined;
}

/** What a {@link GatewayError} carries beside its code and message. */
export interface GatewayErrorOptions {
  /** Machine-readable facts; `details.code` is a {@link DetailCode} where one exists. */
  details?: Record<string, unknown> | undefined;
  /** True when the same request may succeed later without a change. Default false. */
  retryable?: boolean | undefined;
  /** How long to wait before a retry, in milliseconds. */
  retryAfterMs?: number | undefined;
  cause?: unknown;
}

const marker = Symbol.for('openclaw.gateway-error');

/**
 * The one error class of every package here. `code` is stable and meant for programs; `message` says what happened, with
 * the value, and what to do next, and never holds a secret. Recognise it with {@link isGatewayError}, which also works
 * across duplicate copies of this package.
 */
export class GatewayError extends Error {
  readonly code: WireError['code'];
  readonly details: Record<string, unknown> | undefined;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly [marker] = true;

  constructor(code: WireError['code'], message: string, options: GatewayErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'GatewayError';
    this.code = code;
    this.details = options.details;
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }

  /** The error as a `res` frame carries it. */
  toWire(): WireError {
    const { code, message, details, retryable, retryAfterMs } = this;
    // What is undefined does not reach the wire.
    return { code, message, details, retryable: retryable || undefined, retryAfterMs };
  }

  /** Turns the error part of a `res` frame into a `GatewayError`. */
  static fromWire(error: WireError): GatewayError {
    const { code, message, details, retryable, retryAfterMs } = error;
    const facts = typeof details === 'object' && details !== null ? (details as Record<string, unknown>) : undefined;
    return new GatewayError(code, message, { details: facts, retryable, retryAfterMs });
  }
}

/** True for a {@link GatewayError} made by any copy of this package. */
export function isGatewayError(value: unknown): value is GatewayError {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[marker] === true;
}
