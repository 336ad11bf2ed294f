import type { Gateway } from '@openclaw/client';
import { type AgentPayload, emptyState, reduce, type SessionState } from '@openclaw/protocol';

/** What one reader of a session's stream saw, counted. All but `events` and `ends` are to be 0. */
export interface Sightings {
  events: number;
  ends: number;
  lost: number;
  doubled: number;
  reordered: number;
  resets: number;
  interrupted: number;
}

/**
 * Reads a session's stream from its first event and counts what should not be: offsets that never came, came twice, or came
 * late; resets in the middle; runs that ended otherwise than by `end`, or twice.
 */
export class Witness {
  readonly sightings: Sightings = { events: 0, ends: 0, lost: 0, doubled: 0, reordered: 0, resets: 0, interrupted: 0 };
  /** The answers by run, as `reduce` gives them. */
  readonly answers = new Map<string, string>();
  state = emptyState('session:x') as SessionState;
  readonly #ended = new Set<string>();
  readonly #stop = new AbortController();
  readonly done: Promise<void>;

  constructor(gateway: Gateway, sessionKey: string) {
    this.done = this.#watch(gateway, sessionKey);
  }

  stop(): void {
    this.#stop.abort();
  }

  async #watch(gateway: Gateway, sessionKey: string): Promise<void> {
    const { sightings } = this;
    let last = 0;
    let isFirst = true;
    for await (const item of gateway.session(sessionKey).events({ signal: this.#stop.signal })) {
      if (item.type === 'reset') {
        if (!isFirst) sightings.resets++;
        isFirst = false;
        last = item.bookmark.offset;
        this.state = (item.state as SessionState | undefined) ?? this.state;
        continue;
      }
      const from = item.from ?? item.offset;
      if (from > last + 1) sightings.lost += from - last - 1;
      if (item.offset <= last) {
        if (item.offset === last) sightings.doubled++;
        else sightings.reordered++;
      }
      sightings.events += item.offset - last;
      last = item.offset;
      this.state = reduce(this.state, item);
      if (item.event === 'agent') this.#agent(item.payload as AgentPayload);
      if (item.event === 'session.message') {
        const { message } = item.payload as { message: SessionState['messages'][number] };
        const text = message.content.map((block) => (block.type === 'text' ? block.text : '')).join('');
        if (message.role === 'assistant' && message.runId) this.answers.set(message.runId, text);
      }
    }
  }

  #agent(payload: AgentPayload): void {
    if (payload.stream !== 'lifecycle') return;
    const { phase } = payload.data;
    if (phase !== 'end' && phase !== 'error') return;
    if (this.#ended.has(payload.runId)) this.sightings.doubled++;
    this.#ended.add(payload.runId);
    if (phase === 'end') this.sightings.ends++;
    else this.sightings.interrupted++;
  }
}
