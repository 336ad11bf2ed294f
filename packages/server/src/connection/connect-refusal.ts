import { type DetailCode, GatewayError, type WireError } from '@openclaw/protocol';

/** Why a `connect` was refused: the error of its answer, and how the socket is closed after it. */
export class ConnectRefusal extends GatewayError {
  readonly closeCode: number;
  /** Default: the message. */
  readonly closeReason: string;

  constructor(
    code: WireError['code'],
    message: string,
    { closeCode = 1008, closeReason = message, details, retryAfterMs }: ConnectRefusalOptions = {},
  ) {
    super(code, message, {
      ...(details ? { details } : {}),
      ...(retryAfterMs === undefined ? {} : { retryable: true, retryAfterMs }),
    });
    this.closeCode = closeCode;
    this.closeReason = closeReason;
  }
}

interface ConnectRefusalOptions {
  /** Default 1008. */
  closeCode?: number;
  closeReason?: string;
  details?: { code?: DetailCode } & Record<string, unknown>;
  /** Set when a later attempt may succeed as it is. */
  retryAfterMs?: number;
}

/** A refusal for credentials that are missing or wrong, with the details that v4's clients decide by. */
export function authRefusal(
  detail: DetailCode,
  message: string,
  { canRetryWithDeviceToken = false }: { canRetryWithDeviceToken?: boolean } = {},
): ConnectRefusal {
  return new ConnectRefusal('INVALID_REQUEST', `unauthorized: ${message}`, {
    details: {
      code: detail,
      authReason: detail.replace(/^AUTH_/, '').toLowerCase(),
      canRetryWithDeviceToken,
      recommendedNextStep: canRetryWithDeviceToken ? 'retry_with_device_token' : 'update_auth_credentials',
    },
  });
}
