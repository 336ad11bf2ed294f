import type { StateChange } from '@openclaw/client';

/** How the connection is shown: words, and the tone of their dot. */
export interface ConnectionWords {
  tone: 'good' | 'busy' | 'bad';
  words: string;
}

/** Says in words where the connection stands. */
export function connectionWords({ state, retryAtMs }: StateChange, nowMs: number): ConnectionWords {
  switch (state) {
    case 'idle':
    case 'dialing':
    case 'handshaking':
      return { tone: 'busy', words: 'Connecting…' };
    case 'resuming':
      return { tone: 'busy', words: 'Catching up…' };
    case 'live':
      return { tone: 'good', words: 'Connected' };
    case 'probing':
      return { tone: 'busy', words: 'Checking the connection…' };
    case 'backoff': {
      const seconds = Math.ceil(((retryAtMs ?? nowMs) - nowMs) / 1_000);
      return {
        tone: 'busy',
        words: seconds > 1 ? `Connection lost; again in ${seconds} s` : 'Connection lost; reconnecting…',
      };
    }
    case 'offline':
      return { tone: 'bad', words: 'No network; messages wait here' };
    case 'closed':
      return { tone: 'bad', words: 'Closed' };
    case 'failed':
      return { tone: 'bad', words: 'Not signed in' };
  }
}

/** Says why the gateway let nobody in, with what to do where the gateway's own words are for programs. */
export function failureWords({ error, reason }: StateChange): string {
  switch (error?.details?.code) {
    case 'DEVICE_IDENTITY_REQUIRED':
    case 'AUTH_TOKEN_MISSING':
      return 'This browser is not known to the gateway yet.';
    case 'AUTH_DEVICE_TOKEN_MISMATCH':
      return 'The gateway does not know this browser any more.';
    case 'AUTH_BOOTSTRAP_TOKEN_INVALID':
      return 'This link was used already, or is too old.';
    default:
      return error?.message ?? reason;
  }
}
