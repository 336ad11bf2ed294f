import type { Gateway } from '@openclaw/client';
import type { ConformanceOperator } from '@openclaw/plugin-sdk/testing';
import { type AgentPayload, type RunPart, randomId } from '@openclaw/protocol';

interface Watched {
  sessionKey: string;
  parts: RunPart[];
  wakers: (() => void)[];
  stop: AbortController;
}

/** A person at a real gateway, through our client. */
export class GatewayOperator implements ConformanceOperator {
  readonly #gateway: Gateway;
  readonly #watched = new Map<string, Watched>();

  constructor(gateway: Gateway) {
    this.#gateway = gateway;
  }

  async send(text: string): Promise<string> {
    const sessionKey = `conformance-${randomId(6)}`;
    const runId = randomId();
    const watched: Watched = { sessionKey, parts: [], wakers: [], stop: new AbortController() };
    this.#watched.set(runId, watched);
    const isWatching = new Promise<void>((resolve) => watched.wakers.push(resolve));
    void this.#watch(runId, watched);
    // From the first event on, so that no part is ever known by a snapshot alone.
    await isWatching;
    await this.#gateway.request('chat.send', { sessionKey, message: text }, { idempotencyKey: runId });
    return runId;
  }

  async parts(runId: string): Promise<readonly RunPart[]> {
    return [...this.#of(runId).parts];
  }

  async ended(runId: string): Promise<readonly RunPart[]> {
    await this.until(runId, (parts) => parts.some(isTerminal));
    return this.parts(runId);
  }

  async until(runId: string, is: (parts: readonly RunPart[]) => boolean): Promise<void> {
    const watched = this.#of(runId);
    while (!is(watched.parts)) await new Promise<void>((resolve) => watched.wakers.push(resolve));
  }

  async abort(runId: string): Promise<void> {
    await this.#gateway.request('chat.abort', { sessionKey: this.#of(runId).sessionKey, runId });
  }

  async steer(runId: string, text: string): Promise<void> {
    const { sessionKey } = this.#of(runId);
    await this.#gateway.request('chat.send', { sessionKey, message: text, queueMode: 'steer' });
  }

  async decide(approvalId: string, decision: 'allow' | 'deny'): Promise<void> {
    await this.#gateway.request('approvals.resolve', { id: approvalId, decision });
  }

  /** Ends what it reads. */
  stop(): void {
    for (const { stop } of this.#watched.values()) stop.abort();
  }

  #of(runId: string): Watched {
    const watched = this.#watched.get(runId);
    if (!watched) throw new Error(`run ${runId} was not sent by this operator`);
    return watched;
  }

  async #watch(runId: string, { sessionKey, parts, wakers, stop }: Watched): Promise<void> {
    for await (const item of this.#gateway.session(sessionKey).events({ signal: stop.signal })) {
      if (item.type === 'reset' && parts.length > 0) throw new Error(`the stream of run ${runId} was reset`);
      if (item.type === 'event' && item.event === 'agent') {
        const payload: AgentPayload = item.payload;
        if (payload.runId === runId) parts.push({ stream: payload.stream, data: payload.data } as RunPart);
      }
      for (const wake of wakers.splice(0)) wake();
    }
  }
}

function isTerminal(part: RunPart): boolean {
  return part.stream === 'lifecycle' && (part.data.phase === 'end' || part.data.phase === 'error');
}
