import type { Result } from '@openclaw/protocol';
import { randomId } from '@openclaw/protocol/wire';
import { asGatewayError } from './connection.ts';
import { EventReader } from './event-reader.ts';
import type { Run, SendOptions, Session } from './gateway.ts';
import { FollowedRun, type RunPorts } from './run.ts';
import type { EventStream, EventsOptions, SessionStreamItem } from './stream-events.ts';

/** One conversation over the ports of its gateway. */
export class GatewaySession implements Session {
  readonly key: string;
  #ports: RunPorts;
  #runs = new Map<string, FollowedRun>();

  constructor(ports: RunPorts, key: string) {
    this.#ports = ports;
    this.key = key;
  }

  send(message: string, { idempotencyKey = randomId(), ...options }: SendOptions = {}): Run {
    const run = this.#follow(idempotencyKey, false);
    const params = { ...options, sessionKey: this.key, message };
    this.#ports.request('chat.send', params, { idempotencyKey }).then(
      ({ status }) => run.taken(status),
      (error: unknown) => run.fail(asGatewayError(error)),
    );
    return run;
  }

  attach(runId: string): Run {
    return this.#runs.get(runId) ?? this.#follow(runId, true);
  }

  history({
    signal,
    ...options
  }: {
    limit?: number;
    offset?: number;
    signal?: AbortSignal;
  } = {}): Promise<Result<'chat.history'>> {
    return this.#ports.request('chat.history', { ...options, sessionKey: this.key }, { signal });
  }

  async abort(): Promise<{ runIds: string[] }> {
    const { request, cancelUnsent } = this.#ports;
    const unsent = [...this.#runs.keys()].filter((runId) => cancelUnsent(runId));
    const { session } = await request('sessions.describe', { key: this.key });
    const ids = session?.activeRunIds ?? [];
    const results = await Promise.all(ids.map((runId) => request('chat.abort', { sessionKey: this.key, runId })));
    return { runIds: [...unsent, ...results.flatMap(({ runIds }) => runIds)] };
  }

  events(options?: EventsOptions): EventStream<SessionStreamItem> {
    const { subscriptions, limits } = this.#ports;
    return new EventReader(subscriptions, `session:${this.key}`, limits, options) as EventStream<SessionStreamItem>;
  }

  /** Open runs are shared: a second look at one does not subscribe a second time. */
  #follow(runId: string, isTaken: boolean): FollowedRun {
    const run = new FollowedRun(this.#ports, this.key, runId, isTaken);
    this.#runs.set(runId, run);
    const forget = () => {
      if (this.#runs.get(runId) === run) this.#runs.delete(runId);
    };
    run.final.then(forget, forget);
    return run;
  }
}
