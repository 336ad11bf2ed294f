import { keptInputBlocks, type Message, type SessionState } from '@openclaw/protocol';
import type { Committer } from '../streams/committer.ts';
import type { Stream, StreamLog } from '../streams/stream-log.ts';

/**
 * The whole messages that wait for a run in progress. The state of a session holds them cut (S11); what goes into the
 * transcript later is what the person wrote.
 */
export class QueuedMessages {
  readonly #log: StreamLog;
  readonly #committer: Committer;
  readonly #messages = new Map<string, Message>();

  constructor({ log, committer }: { log: StreamLog; committer: Committer }) {
    this.#log = log;
    this.#committer = committer;
  }

  /** Keeps a message with this tick's commit. */
  keep(runId: string, message: Message): void {
    this.#committer.change(() => this.#messages.delete(runId));
    this.#messages.set(runId, message);
  }

  /** Gives the whole message and lets go of it. */
  take(input: SessionState['inputs'][number]): Message {
    const message = this.#messages.get(input.runId) ?? input.message;
    this.#committer.change(() => this.#messages.set(input.runId, message));
    this.#messages.delete(input.runId);
    return message;
  }

  /** Reads the messages that wait in a session from its log, at start. */
  async restore(stream: Stream & { state: SessionState }): Promise<void> {
    const wanted = new Set(stream.state.inputs.filter(({ message }) => isCut(message)).map(({ runId }) => runId));
    for (let after = stream.low - 1; wanted.size > 0; ) {
      const page = await this.#log.read(stream, after, 1_024, 4 * 1_048_576);
      if (page.length === 0) return;
      for (const { offset, frame } of page) {
        after = offset;
        const { event, payload } = JSON.parse(frame.text) as {
          event: string;
          payload: { runId: string; message?: Message };
        };
        if (event !== 'session.input' || !payload.message || !wanted.delete(payload.runId)) continue;
        this.#messages.set(payload.runId, payload.message);
      }
    }
  }
}

function isCut({ content }: Message): boolean {
  return content.length >= keptInputBlocks || content.some((block) => 'cut' in block);
}
