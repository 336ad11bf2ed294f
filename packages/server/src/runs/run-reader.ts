import { type AgentPayload, GatewayError, type Message, type Payload } from '@openclaw/protocol';
import type { SessionStream } from '../sessions/sessions.ts';
import type { LogRecord, Stream, StreamLog } from '../streams/stream-log.ts';
import type { OpenRuns } from './open-runs.ts';

/** Where a run is in the log. */
export interface RunPlace {
  runId: string;
  stream: SessionStream;
  /** The offset before the first event that belongs to it. */
  after: number;
}

/** Events of one run that were read together. */
export interface RunPage {
  events: AgentPayload[];
  /**
   * The run's message in the transcript, where retention has taken some of its events: from then on the pages have none of
   * its text and thinking, which are in here.
   */
  message?: Message;
  /** Whether everything that is committed was read with it. */
  isHead: boolean;
}

/**
 * Why a run can't be read to its end: its session was deleted, retention took its events, or its message was dropped from
 * the queue before it began.
 */
export class RunLostError extends Error {
  readonly reason: 'deleted' | 'expired' | 'dropped';

  constructor(reason: RunLostError['reason'], runId: string) {
    super(`run ${runId} can't be read on: ${words[reason]}`);
    this.name = 'RunLostError';
    this.reason = reason;
  }
}

const words: Record<RunLostError['reason'], string> = {
  deleted: 'its session was deleted',
  expired: 'its events are older than the log keeps them',
  dropped: 'its message was dropped before it began',
};

export interface RunReaderOptions {
  log: StreamLog;
  openRuns: OpenRuns;
}

/**
 * Follows single runs from inside the process: from their first event, through the log, to their terminal event, at the
 * reader's own pace. Readers hold a place in the log and nothing else; at the head they wait for the next commit.
 */
export class RunReader {
  readonly #log: StreamLog;
  readonly #openRuns: OpenRuns;
  readonly #waiting = new Map<Stream, Set<() => void>>();
  #isClosed = false;

  constructor({ log, openRuns }: RunReaderOptions) {
    this.#log = log;
    this.#openRuns = openRuns;
  }

  /** To be told of every commit to a stream, and of its deletion. */
  changed(stream: Stream): void {
    const waiting = this.#waiting.get(stream);
    if (!waiting) return;
    this.#waiting.delete(stream);
    for (const wake of waiting) wake();
  }

  /** Ends every reading with UNAVAILABLE: nothing more will come here. */
  close(): void {
    this.#isClosed = true;
    for (const stream of [...this.#waiting.keys()]) this.changed(stream);
  }

  /**
   * The committed events of a run, in order and in pages, until its terminal event; the next page is read when it is asked
   * for. Ends early, without an error, when `signal` aborts. Throws {@link RunLostError} when its end can't come any more,
   * and UNAVAILABLE when the gateway stops.
   */
  async *follow({ runId, stream, after }: RunPlace, signal: AbortSignal): AsyncGenerator<RunPage, void> {
    let followed = runId;
    let hasGap = false;
    for (let at = after; !signal.aborted; ) {
      if (this.#isClosed) throw stopping(runId);
      if (at >= stream.committedHead) {
        if (stream.isErased) throw new RunLostError('deleted', runId);
        if (!this.#isUnfinished(stream, followed)) throw new RunLostError('expired', runId);
        await this.#news(stream, signal);
        continue;
      }
      const records = await this.#page(stream, at, runId);
      const page: RunPage = { events: [], isHead: false };
      for (const record of records) {
        if ((record.from ?? record.offset) > at + 1) hasGap = true;
        at = record.offset;
        const { event, payload } = eventOf(record);
        if (event === 'session.message' && hasGap) {
          const { message } = payload as Payload<'session.message'>;
          if (message.runId === followed && message.role === 'assistant') page.message = message;
          continue;
        }
        if (event === 'session.input') {
          const input = payload as Payload<'session.input'>;
          if (input.runId !== followed) continue;
          if (input.phase === 'dropped') throw new RunLostError('dropped', runId);
          // Its message became part of another run: what that one says from here on is the answer.
          followed = input.into ?? followed;
        } else if (event === 'agent' && (payload as AgentPayload).runId === followed) {
          const part = payload as AgentPayload;
          if (hasGap && (part.stream === 'assistant' || part.stream === 'thinking')) continue;
          page.events.push(part);
          if (!isTerminal(part)) continue;
          yield { ...page, isHead: true };
          return;
        }
      }
      page.isHead = at >= stream.committedHead;
      if (page.events.length > 0 || page.message || page.isHead) yield page;
    }
  }

  async #page(stream: SessionStream, at: number, runId: string): Promise<LogRecord[]> {
    const read = this.#log.read(stream, at);
    if (Array.isArray(read)) return read;
    const records = await read;
    // The store knows streams by name: by now it may hold another one under this.
    if (stream.isErased) throw new RunLostError('deleted', runId);
    if (records.length === 0) throw new RunLostError('expired', runId);
    return records;
  }

  /** Whether more of the run is to come: it is open, it waits in the queue, or its last events wait for their commit. */
  #isUnfinished(stream: SessionStream, runId: string): boolean {
    return (
      stream.head > stream.committedHead ||
      this.#openRuns.get(runId) !== undefined ||
      stream.state.inputs.some((input) => input.runId === runId)
    );
  }

  #news(stream: Stream, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(stream) ?? new Set();
      this.#waiting.set(stream, waiting);
      const wake = () => {
        waiting.delete(wake);
        if (waiting.size === 0 && this.#waiting.get(stream) === waiting) this.#waiting.delete(stream);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      waiting.add(wake);
      signal.addEventListener('abort', wake);
    });
  }
}

function stopping(runId: string): GatewayError {
  return new GatewayError('UNAVAILABLE', `The gateway is stopping; read run ${runId} on when it is back.`, {
    retryable: true,
    retryAfterMs: 1_000,
  });
}

function eventOf({ event, payload, frame }: LogRecord): { event: string; payload: unknown } {
  return event === undefined ? (JSON.parse(frame.text) as { event: string; payload: unknown }) : { event, payload };
}

function isTerminal(payload: AgentPayload): boolean {
  return payload.stream === 'lifecycle' && (payload.data.phase === 'end' || payload.data.phase === 'error');
}
