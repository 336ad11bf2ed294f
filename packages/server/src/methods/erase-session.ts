import type { SessionStream } from '../sessions/sessions.ts';
import type { GatewayParts } from './context.ts';

/** Erases a session with all that was said in it (S29): its runs end, what waits is dropped, and the ledger keeps no words. */
export function eraseSession(
  { intake, sessions, openRuns }: Pick<GatewayParts, 'intake' | 'sessions' | 'openRuns'>,
  stream: SessionStream,
  key: string,
): void {
  intake.clear(stream);
  sessions.delete(stream);
  openRuns.forgetWords(key);
}
