import {
  type Clock,
  type Effects,
  GatewayError,
  type Message,
  type MessageSource,
  type Payload,
  type QueueMode,
  type SessionEntry,
} from '@openclaw/protocol';
import { fitMessage } from '../sessions/message-media.ts';
import type { SessionStream, Sessions } from '../sessions/sessions.ts';
import type { WakeNotes } from '../sessions/wake-notes.ts';
import type { Committer } from '../streams/committer.ts';
import type { StreamLog } from '../streams/stream-log.ts';
import type { Agents } from './agents.ts';
import { type EffectsOptions, effectsOf, isStricter, strictestEffects } from './effects.ts';
import { keysOf, type OpenRuns } from './open-runs.ts';
import type { QueuedMessages } from './queued-messages.ts';

/** A message for a session, checked and decoded. */
export interface NewMessage {
  runId: string;
  stream: SessionStream;
  canonicalKey: string;
  agentId: string;
  content: Message['content'];
  queueMode?: QueueMode | undefined;
  /** Where it came from, when not from an operator's app. */
  source?: MessageSource | undefined;
  /** The trace that it belongs to (W3C). */
  traceparent?: string | undefined;
}

/** Messages that may wait in one session. */
const maxInputs = 32;
/** UTF-16 units of a steering message. */
const maxSteerUnits = 2_000;

export interface IntakeOptions {
  log: StreamLog;
  committer: Committer;
  sessions: Sessions;
  agents: Agents;
  openRuns: OpenRuns;
  clock: Clock;
  queued: QueuedMessages;
  /** What goes in front of the message of a session's next run. */
  wakeNotes: WakeNotes;
  /** What runs from outside may do; asked anew for every run. */
  effects: () => EffectsOptions;
}

/** Where messages come in: each starts a run, or waits in its session's queue for the one in progress (S28). */
export class Intake {
  readonly #log: StreamLog;
  readonly #committer: Committer;
  readonly #sessions: Sessions;
  readonly #agents: Agents;
  readonly #openRuns: OpenRuns;
  readonly #clock: Clock;
  readonly #queued: QueuedMessages;
  readonly #wakeNotes: WakeNotes;
  readonly #effects: () => EffectsOptions;

  constructor({ log, committer, sessions, agents, openRuns, clock, queued, wakeNotes, effects }: IntakeOptions) {
    this.#wakeNotes = wakeNotes;
    this.#effects = effects;
    this.#queued = queued;
    this.#log = log;
    this.#committer = committer;
    this.#sessions = sessions;
    this.#agents = agents;
    this.#openRuns = openRuns;
    this.#clock = clock;
    openRuns.onSessionFree((stream) => this.#startNext(stream));
  }

  /** Whether the session can take one more message; throws UNAVAILABLE when too many wait. */
  admit({ stream }: NewMessage): void {
    if (stream.state.inputs.length < maxInputs) return;
    throw new GatewayError(
      'UNAVAILABLE',
      `${stream.state.inputs.length} messages wait in this session already; send again when some were answered.`,
      {
        retryable: true,
        retryAfterMs: 5_000,
      },
    );
  }

  /** Takes a message in one transaction: it starts a run, or waits for the one in progress as its mode says (S28). */
  take(message: NewMessage): void {
    const { stream, runId, canonicalKey, agentId } = message;
    const entry = this.#sessions.ensure(stream, canonicalKey);
    const row = fitMessage(this.#committer, stream.name, {
      id: runId,
      role: 'user',
      content: message.content,
      timestamp: this.#clock.now(),
      runId,
      idempotencyKey: runId,
      ...(message.source ? { source: message.source } : {}),
    });
    const active = stream.state.runs[0];
    const { traceparent } = message;
    let mode = message.queueMode ?? entry.queueMode ?? 'followup';
    // A file can't be steered into a run, nor a long text: it waits for its own.
    if (mode === 'steer' && (row.content.some(({ type }) => type !== 'text') || textOf(row).length > maxSteerUnits))
      mode = 'followup';
    // A message from outside has no say in a run that may do more than its own may.
    if (active && (mode === 'steer' || mode === 'interrupt')) {
      const allowed = this.#agents.find(active.agentId, active.runId)?.effects ?? 'allow';
      if (isStricter(effectsOf(row.source, this.#effects()), allowed)) mode = 'followup';
    }
    if (active && mode === 'interrupt') {
      this.#startRun(stream, runId, agentId, [row], traceparent, () =>
        this.#openRuns.end(
          active.runId,
          { phase: 'error', reason: 'aborted', stopReason: 'interrupt', aborted: true },
          { goOn: false },
        ),
      );
      return;
    }
    if (!active) {
      this.#startRun(stream, runId, agentId, [row], traceparent);
      return;
    }
    const input: Payload<'session.input'> = {
      ...keysOf(entry),
      runId,
      phase: 'queued',
      mode,
      message: row,
      ...(traceparent === undefined ? {} : { traceparent }),
    };
    this.#log.append(stream, 'session.input', input, { keep: 'fact', durable: true });
    this.#queued.keep(runId, row);
    if (mode !== 'steer') return;
    this.#agents.append(agentId, 'run.steer', { runId: active.runId, inputId: runId, text: textOf(row) });
  }

  /** `endActive` ends the run in progress without letting the queue go before this one. */
  #startRun(
    stream: SessionStream,
    runId: string,
    agentId: string,
    messages: Message[],
    traceparent: string | undefined,
    endActive?: () => void,
  ): void {
    endActive?.();
    const entry = stream.state.entry as SessionEntry;
    const notes = this.#wakeNotes.take(entry.key);
    for (const note of notes) this.#sessions.addMessage(stream, entry, fitMessage(this.#committer, stream.name, note));
    for (const message of messages) this.#sessions.addMessage(stream, entry, { ...message, runId });
    const run = {
      runId,
      stream,
      agentId,
      journal: [],
      absorbed: messages.slice(1).map(({ id }) => id),
      signAtMs: this.#clock.elapsed(),
    };
    // Whoever has a word in it: what was said from outside makes it ask.
    const effects = strictestEffects([...notes, ...messages], this.#effects());
    this.#openRuns.add(run);
    this.#openRuns.append(run, { stream: 'lifecycle', data: { phase: 'queued' } }, { keep: 'fact', durable: true });
    this.#agents.append(agentId, 'run.requested', {
      runId,
      ...keysOf(entry),
      agentId,
      attempt: 1,
      requestedAt: this.#clock.now(),
      ...(effects === 'allow' ? {} : { effects }),
      ...(traceparent === undefined ? {} : { traceparent }),
    });
    this.#sessions.changed(stream, 'run');
  }

  /** Starts the next run of what waits in the session. Collected messages that follow each other become one run. */
  #startNext(stream: SessionStream): void {
    const [first, ...others] = stream.state.inputs;
    if (!first || stream.state.runs.length > 0 || stream.isDeleted) return;
    const taken = [first];
    if (first.mode === 'collect') {
      for (const other of others) {
        if (other.mode !== 'collect' || this.#effectsOf(other) !== this.#effectsOf(first)) break;
        taken.push(other);
      }
    }
    const entry = stream.state.entry as SessionEntry;
    for (const { runId } of taken) {
      const into = runId === first.runId ? {} : { into: first.runId };
      this.#log.append(
        stream,
        'session.input',
        { ...keysOf(entry), runId, phase: 'taken', ...into } satisfies Payload<'session.input'>,
        { keep: 'fact', durable: true },
      );
    }
    this.#startRun(
      stream,
      first.runId,
      entry.agentId,
      taken.map((input) => this.#queued.take(input)),
      first.traceparent,
    );
  }

  #effectsOf({ message }: SessionStream['state']['inputs'][number]): Effects {
    return effectsOf(message.source, this.#effects());
  }

  /** Drops a message that waits, for good; false when it does not wait here. */
  drop(stream: SessionStream, runId: string, stopReason: string): boolean {
    const input = stream.state.inputs.find((waiting) => waiting.runId === runId);
    if (!input) return false;
    const entry = stream.state.entry as SessionEntry;
    this.#queued.take(input);
    const dropped: Payload<'session.input'> = { ...keysOf(entry), runId, phase: 'dropped' };
    this.#log.append(stream, 'session.input', dropped, { keep: 'fact', durable: true });
    this.#openRuns.settle(runId, { status: 'timeout', stopReason, summary: 'aborted', reason: 'aborted' }, entry.key);
    return true;
  }

  /** Ends every run of a session and drops what waits in it, before a reset or a delete. */
  clear(stream: SessionStream): void {
    this.#wakeNotes.drop((stream.state.entry as SessionEntry).key);
    for (const { runId } of stream.state.inputs) this.drop(stream, runId, 'reset');
    for (const { runId } of [...stream.state.runs])
      this.#openRuns.end(
        runId,
        { phase: 'error', reason: 'aborted', aborted: true, stopReason: 'reset' },
        { goOn: false },
      );
  }
}

function textOf({ content }: Message): string {
  return content.map((block) => (block.type === 'text' ? block.text : '')).join('');
}
