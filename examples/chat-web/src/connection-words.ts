import type { StateChange } from '@openclaw/client';

/** How the connection is shown: words, and the tone of their dot. */
export interface ConnectionWords {
  tone: 'good' | 'busy' | 'bad';
  words: string;
}

/** Says in words where the connection stands. */
export function connectionWords({ state, reason, retryAtMs, error }: StateChange, nowMs: number): ConnectionWords {
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
      return { tone: 'bad', words: `Not connected: ${error?.message ?? reason}` };
  }
}
