/** The limits of a client. Every one has a default. */
export interface Limits {
  /** Requests that wait to be sent, at most; then `QUEUE_FULL`. Default 256. */
  queuedRequests: number;
  /** Their bytes together. Default 1 MiB. */
  queuedBytes: number;
  /** Requests that wait for an answer at the same time. Default 32. */
  inFlight: number;
  /** When an unanswered request is given up, in ms. Default 12 h, at most 24 h. */
  requestTimeoutMs: number;
  /** From dialing to hello-ok, in ms. Default 15 s. */
  handshakeTimeoutMs: number;
  /** How long a probe may take, in ms. Default 1.5 s. */
  probeTimeoutMs: number;
  /** Events that an iterator or run holds for a slow reader; the rest is read again by position. Default 4,096. */
  bufferedEvents: number;
  /** Their size together, in UTF-16 units of JSON. Default 1 Mi. */
  bufferedUnits: number;
  /** How long a stream that nobody reads stays subscribed, in ms. Default 30 s. */
  lingerMs: number;
}

export const defaultLimits: Limits = {
  queuedRequests: 256,
  queuedBytes: 1_048_576,
  inFlight: 32,
  requestTimeoutMs: 12 * 3_600_000,
  handshakeTimeoutMs: 15_000,
  probeTimeoutMs: 1_500,
  bufferedEvents: 4_096,
  bufferedUnits: 1_048_576,
  lingerMs: 30_000,
};

export const maxRequestTimeoutMs = 24 * 3_600_000;
