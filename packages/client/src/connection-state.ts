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

/** What may happen to a connection; `offline` is a loss while the browser says that there is no network. */
export type Input =
  | 'start'
  | 'challenge'
  | 'hello'
  | 'resumed'
  | 'doubt'
  | 'answer'
  | 'due'
  | 'lost'
  | 'offline'
  | 'close'
  | 'fail';

const steps: Readonly<Partial<Record<Input, Partial<Record<Phase, Phase>>>>> = {
  start: { idle: 'dialing' },
  challenge: { dialing: 'handshaking' },
  hello: { handshaking: 'resuming' },
  resumed: { resuming: 'live' },
  doubt: { live: 'probing', backoff: 'dialing', offline: 'dialing' },
  answer: { probing: 'live' },
  due: { backoff: 'dialing', offline: 'dialing' },
};

/** True while a socket belongs to the phase. */
export function hasSocket(phase: Phase): boolean {
  return !/idle|backoff|offline|closed|failed/.test(phase);
}

/**
 * The one transition function: the phase that `input` leads to, or undefined when it means nothing in this phase (a late
 * timer, a frame after the end). Pure.
 */
export function transition(phase: Phase, input: Input): Phase | undefined {
  if (phase === 'closed') return undefined;
  if (input === 'close') return 'closed';
  if (phase === 'failed') return undefined;
  if (input === 'fail') return 'failed';
  if (input === 'lost' || input === 'offline') {
    if (!hasSocket(phase)) return undefined;
    return input === 'lost' ? 'backoff' : 'offline';
  }
  return steps[input]?.[phase];
}
