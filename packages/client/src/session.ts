import { randomId } from '@openclaw/protocol/wire';
import { asGatewayError } from './connection.ts';
import { readEvents } from './event-reader.ts';
import type { Session } from './gateway.ts';
import { type FollowedRun, followRun, type RunPorts } from './run.ts';
import type { EventStream, SessionStreamItem } from './stream-events.ts';

/** One conversation over the ports of its gateway. */
export function makeSession(ports: RunPorts, key: string): Session {
  const { subscriptions, request, limits, cancelUnsent } = ports;
  const runs = new Map<string, FollowedRun>();

  /** Open runs are shared: a second look at one does not subscribe a second time. */
  function follow(runId: string, isTaken: boolean): FollowedRun {
    const followed = followRun(ports, key, runId, isTaken);
    runs.set(runId, followed);
    const forget = () => {
      if (runs.get(runId) === followed) runs.delete(runId);
    };
    followed.run.final.then(forget, forget);
    return followed;
  }

  return {
    key,
    send(message, { idempotencyKey = randomId(), ...options } = {}) {
      const { run, taken, fail } = follow(idempotencyKey, false);
      request('chat.send', { ...options, sessionKey: key, message }, { idempotencyKey }).then(
        ({ status }) => taken(status),
        (error: unknown) => fail(asGatewayError(error)),
      );
      return run;
    },
    attach: (runId) => (runs.get(runId) ?? follow(runId, true)).run,
    history: ({ signal, ...options } = {}) => request('chat.history', { ...options, sessionKey: key }, { signal }),
    async abort() {
      const unsent = [...runs.keys()].filter((runId) => cancelUnsent(runId));
      const { session } = await request('sessions.describe', { key });
      const ids = session?.activeRunIds ?? [];
      const results = await Promise.all(ids.map((runId) => request('chat.abort', { sessionKey: key, runId })));
      return { runIds: [...unsent, ...results.flatMap(({ runIds }) => runIds)] };
    },
    events: (options) => readEvents(subscriptions, `session:${key}`, limits, options) as EventStream<SessionStreamItem>,
  };
}
