/** Where a connection to the gateway stands. */
export type Phase =
  /** Made, not started. */
  | 'idle'
  /** A socket is being opened. */
  | 'dialing'
  /** The gateway answered; credentials are being judged. */
  | 'handshaking'
  /** Admitted; streams go on from their positions, unanswered requests are sent again. */
  | 'resuming'
  /** Everything flows. */
  | 'live'
  /** The machine may have slept or changed networks; the gateway is asked for a sign of life. */
  | 'probing'
  /** Disconnected; the next attempt has a time. */
  | 'backoff'
  /** As `backoff`, while the browser says that there is no network; its return dials at once. */
  | 'offline'
  /** After `close()`. Final. */
  | 'closed'
  /** Refused for good: someone has to change something first. Final. */
  | 'failed';

/** Why a transition happened. Stable; meant for programs. */
export type StateCode =
  | 'started'
  | 'challenged'
  | 'hello'
  | 'resumed'
  | 'woke'
  | 'online'
  | 'visible'
  | 'answered'
  | 'closed-by-peer'
  | 'dial-failed'
  | 'handshake-timeout'
  | 'silent'
  | 'probe-unanswered'
  | 'bad-frame'
  | 'refused'
  | 'due'
  | 'closed'
  | 'fatal';

/** What may happen to a connection. */
export type Input =
  | { type: 'start' | 'challenge' | 'hello' | 'resumed' | 'doubt' | 'answer' | 'due' | 'close' | 'fail' }
  | { type: 'lost'; isOffline: boolean };

const connected: ReadonlySet<Phase> = new Set(['dialing', 'handshaking', 'resuming', 'live', 'probing']);

/** True while a socket belongs to the phase. */
export function hasSocket(phase: Phase): boolean {
  return connected.has(phase);
}

/**
 * The one transition function: the phase that `input` leads to, or undefined when it means nothing in this phase (a late
 * timer, a frame after the end). Pure.
 */
export function transition(phase: Phase, input: Input): Phase | undefined {
  if (phase === 'closed') return undefined;
  if (input.type === 'close') return 'closed';
  if (phase === 'failed') return undefined;
  switch (input.type) {
    case 'start':
      return phase === 'idle' ? 'dialing' : undefined;
    case 'challenge':
      return phase === 'dialing' ? 'handshaking' : undefined;
    case 'hello':
      return phase === 'handshaking' ? 'resuming' : undefined;
    case 'resumed':
      return phase === 'resuming' ? 'live' : undefined;
    case 'doubt':
      if (phase === 'live') return 'probing';
      return phase === 'backoff' || phase === 'offline' ? 'dialing' : undefined;
    case 'answer':
      return phase === 'probing' ? 'live' : undefined;
    case 'due':
      return phase === 'backoff' || phase === 'offline' ? 'dialing' : undefined;
    case 'lost':
      if (!connected.has(phase)) return undefined;
      return input.isOffline ? 'offline' : 'backoff';
    case 'fail':
      return 'failed';
  }
}
