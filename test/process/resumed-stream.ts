import type { AgentPayload } from '@openclaw/protocol';
import type { PlainFrame, PlainReader, SubscribeRow } from './plain-reader.ts';
import type { Station } from './station.ts';

/**
 * One session's stream as a reader without our client sees it: on each new connection it subscribes from where the last one
 * ended, and keeps every event that came.
 */
export class ResumedStream {
  readonly events: PlainFrame[] = [];
  /** The answers to its subscriptions. */
  readonly rows: SubscribeRow[] = [];
  /** `stream.reset` frames that came; after the first subscription there is to be none. */
  readonly resets: PlainFrame[] = [];
  readonly #station: Station;
  readonly #name: string;
  #reader: PlainReader | undefined;
  #epoch = '';
  readonly #stop = new AbortController();
  readonly done: Promise<void>;
  #wakers: (() => void)[] = [];

  constructor(station: Station, sessionKey: string) {
    this.#station = station;
    this.#name = `session:${sessionKey}`;
    this.done = this.#follow();
    this.done.catch(() => undefined);
    station.onDispose(() => this.stop());
  }

  /** The position after the last event. */
  get position(): { epoch: string; offset: number } | undefined {
    return this.#epoch === '' ? undefined : { epoch: this.#epoch, offset: this.events.at(-1)?.offset ?? 0 };
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#reader?.close();
    await this.done.catch(() => undefined);
  }

  /** The offsets that its events stand for are 1, 2, 3, … with none missing, none twice and none late. */
  get isWhole(): boolean {
    let last = 0;
    for (const { offset = 0, from = offset } of this.events) {
      if (from !== last + 1) return false;
      last = offset;
    }
    return last > 0;
  }

  /** The text of a run, from its deltas. Throws when one does not begin where the part ends. */
  textOf(runId: string): string {
    const parts = new Map<string, string>();
    for (const { data, stream } of this.partsOf(runId)) {
      if (stream !== 'assistant') continue;
      const { itemId, at, delta, replace } = data;
      const before = replace ? '' : (parts.get(itemId) ?? '');
      if (at !== before.length) throw new Error(`a delta at ${at} of a part of ${before.length}`);
      parts.set(itemId, before + delta);
    }
    return [...parts.values()].join('');
  }

  partsOf(runId: string): AgentPayload[] {
    return this.events
      .filter(({ event }) => event === 'agent')
      .map(({ payload }) => payload as unknown as AgentPayload)
      .filter((payload) => payload.runId === runId);
  }

  /** How runs ended: `end`, or the reason. */
  terminalsOf(runId: string): string[] {
    return this.partsOf(runId).flatMap((part) => {
      if (part.stream !== 'lifecycle') return [];
      const { phase, reason } = part.data;
      if (phase === 'end') return ['end'];
      return phase === 'error' ? [String(reason)] : [];
    });
  }

  /** Resolves when `isIt`; looked at after each event and subscription. */
  async until(isIt: () => boolean): Promise<void> {
    while (!isIt()) await new Promise<void>((resolve) => this.#wakers.push(resolve));
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const reader = await this.#station.reader({ signal });
        this.#reader = reader;
        const row = await reader.subscribe(this.#name, this.position);
        this.rows.push(row);
        this.#wake();
        this.#epoch ||= row.epoch;
        await reader.until((frame) => {
          if (frame.event === 'stream.reset') this.resets.push(frame);
          if (frame.stream === row.stream) this.#add(frame);
          return false;
        });
      } catch {
        // The connection ended; the next one goes on.
      }
    }
  }

  #wake(): void {
    for (const wake of this.#wakers.splice(0)) wake();
  }

  #add(frame: PlainFrame): void {
    this.events.push(frame);
    this.#wake();
  }
}
