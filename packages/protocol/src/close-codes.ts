/** Close codes that this gateway sends to connections with `streams` (streams.md, "Close codes"). */
export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  policy: 1008,
  tooBig: 1009,
  internal: 1011,
  serviceRestart: 1012,
  tryAgainLater: 1013,
  tickTimeout: 4000,
  credentialRevoked: 4001,
  slowConsumer: 4101,
  draining: 4102,
  heartbeatLost: 4103,
  rateLimited: 4201,
  tooManyConnections: 4202,
  starting: 4203,
  credentialsExpired: 4211,
  badFrame: 4400,
  unauthorized: 4401,
  forbiddenOrigin: 4403,
  replaced: 4409,
  tooLarge: 4413,
  protocolVersion: 4426,
} as const;

/** What a client does after a close; unknown codes are judged by their class. */
export type CloseAction =
  /** One's own close: stay closed. */
  | 'stop'
  /** Dial again with backoff; positions stay valid. */
  | 'resume'
  /** Dial again after `retryAfterMs`, or backoff of at least 5 s when none was given. */
  | 'wait'
  /** Do what the details of the refused `connect` say; without any, backoff ≥5 s and fatal after 3 in a row. */
  | 'refused'
  /** Tell the user; do not dial again. */
  | 'fatal';

/** What to do after a close with `code` that the peer sent (a client's own `close()` always means `stop`). */
export function closeAction(code: number): CloseAction {
  if (code === 1002 || code === 1008 || code === 1009 || code === 4001) return 'refused';
  if (code >= 4200 && code < 4300) return 'wait';
  if (code >= 4400 && code < 4500) return 'fatal';
  return 'resume';
}

/** The code that a connection without `streams` gets in place of `code` (streams.md, "To v4"). */
export function v4CloseCode(code: number): number {
  switch (code) {
    case CloseCode.slowConsumer:
      return 1008;
    case CloseCode.draining:
      return 1012;
    case CloseCode.heartbeatLost:
      return 1001;
    case CloseCode.tooLarge:
      return 1009;
    case CloseCode.protocolVersion:
      return 1002;
  }
  if (code >= 4200 && code < 4300) return 1013;
  if (code >= 4400 && code < 4500) return 1008;
  return code;
}

/** Cuts a close reason to the 123 UTF-8 bytes that a close frame holds, never inside a character. */
export function closeReason(text: string): string {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= 123) return text;
  let end = 123;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return new TextDecoder().decode(bytes.subarray(0, end));
}

// The few names of the runtime that this file uses; the package is compiled without DOM and Node types.
declare const TextEncoder: new () => { encode(text: string): Uint8Array };
declare const TextDecoder: new () => { decode(bytes: Uint8Array): string };
