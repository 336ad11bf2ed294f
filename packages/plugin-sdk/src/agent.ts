import type { ContentBlock, Effects, Message, MessageSource, SessionEntry } from '@openclaw/protocol/wire';
import type { Journal } from './journal.ts';
import type { AgentPart, ToolCall } from './part.ts';

/** A reference to a file of a message. */
export type MediaReference = Extract<ContentBlock, { type: 'media' }>['media'];

/** A message that a person sent while the run was at work. */
export interface Steer {
  /** The runId that it has as a run of its own, if nobody takes it. */
  inputId: string;
  text: string;
}

/** A question to a person. */
export interface ApprovalRequest {
  /** What is to be approved, in a few words. */
  title: string;
  /** What would happen. */
  description?: string;
  /** The tool call that waits; names the approval, so that its answer is found again after a restart. */
  toolCallId?: string;
  args?: unknown;
}

/** A tool call that {@link RunContext.call} carries out. */
export interface Call extends Omit<ToolCall, 'toolCallId'> {
  /** Default: `tool-1`, `tool-2`, … in the order of the calls, the same at every attempt. */
  toolCallId?: string;
  /** Ask a person first. */
  approval?: Pick<ApprovalRequest, 'title' | 'description'>;
}

/** Everything that a run is given. Its functions need no `this`. */
export interface RunContext {
  readonly runId: string;
  readonly session: SessionEntry;
  /** What the person said: the text of the last message, whole. */
  readonly text: string;
  /** Where the last message came from, when not from an operator's app: what it says is data, not the owner's wish. */
  readonly source?: MessageSource;
  /**
   * What tools that are not `safe` may do in this run: `allow`; `ask`: `call` asks a person before each, whether it was
   * given an `approval` or not; `deny`: `call` throws {@link DeniedError}. The gateway holds to it, too: a run that starts
   * such a call by itself fails.
   */
  readonly effects: Effects;
  /** The trace that the message belongs to (W3C), to be passed on to whom the agent calls. */
  readonly traceparent?: string;
  /** The files of the last message. */
  readonly attachments: readonly MediaReference[];
  /** The conversation, oldest first; the last is the message to answer. May begin late: see `olderMessages`. */
  readonly messages: readonly Message[];
  /** The messages before the oldest known, one page more at each call; empty when there are none. */
  olderMessages(): Promise<Message[]>;
  /** 1 at first; more when this continues after a crash. */
  readonly attempt: number;
  /** What earlier attempts said. Only a `resumable` agent ever finds something in it. */
  readonly journal: Journal;
  /** Leaves the parts of the journal's unfinished step as they are; what is yielded from now on goes on after them. */
  keepOpenStep(): void;
  /** Aborted, with an `Error`, when the run was aborted or ended otherwise. Nothing that is yielded then is sent. */
  readonly signal: AbortSignal;
  /** Messages that arrive during the run, each taken in as it is read; ends with the run. Untaken ones become runs. */
  readonly steering: AsyncIterable<Steer>;
  /** Takes in the messages that arrived so far. */
  takeSteering(): Steer[];
  /**
   * Asks a person and waits for the answer: `deny` when nobody answers within the gateway's time. Durable: asked again
   * after a restart, for the same `toolCallId` (or the same place in the order of questions), it gives the first answer
   * without asking twice. Rejects when the run ends first.
   */
  approve(request: ApprovalRequest): Promise<'allow' | 'deny'>;
  /**
   * Carries out a tool call as a person sees it: asks, if `approval` is given or `effects` says so, then start, `execute`, result. A call that
   * an earlier attempt finished gives that result without `execute`. Use as `const now = yield* call({…}, () => …)`.
   * Throws what `execute` throws, after an error result; throws {@link DeniedError} when a person said no, or the run may not.
   */
  call<T>(call: Call, execute: () => T | Promise<T>): AsyncGenerator<AgentPart, T, void>;
  /** The bytes of a file. Rejects with `INVALID_REQUEST` when the gateway has no such file. */
  readMedia(reference: Pick<MediaReference, 'id'>): Promise<Uint8Array>;
}

/** A tool call was not allowed: a person said no, or the message came from where such calls are not allowed. */
export class DeniedError extends Error {
  /** `person`, or `policy` when nobody was asked. */
  readonly by: 'person' | 'policy';

  constructor(name: string, by: 'person' | 'policy' = 'person') {
    super(
      by === 'person'
        ? `A person did not allow the tool call ${name}.`
        : `The tool call ${name} is not allowed for messages that come from outside.`,
    );
    this.name = 'DeniedError';
    this.by = by;
  }
}

/** A model that an agent can use, for `models.list`. */
export interface AgentModel {
  id: string;
  name: string;
  provider: string;
}

/** An agent: what works on runs. */
export interface Agent {
  /** Its id at a gateway where it serves in the same process; over WebSocket the token says who it is. Default `main`. */
  readonly id: string;
  /** Its name for people. */
  readonly name?: string;
  /**
   * Whether a run that a dead process began can be continued: `run` is called again, with the journal. Default false: such
   * a run ends as `interrupted`.
   */
  readonly resumable: boolean;
  readonly models: readonly AgentModel[];
  /** Works on one run. Runs of several sessions are open at once. Returning ends the run, throwing fails it. */
  run(context: RunContext): AsyncIterable<AgentPart>;
}

/** What {@link defineAgent} takes: an {@link Agent} with defaults. */
export type AgentDefinition = Pick<Agent, 'run'> & Partial<Omit<Agent, 'run'>>;

/**
 * Defines an agent.
 *
 * ```ts
 * const echo = defineAgent({
 *   resumable: true,
 *   async *run({ text }) {
 *     yield thinking('What was said?');
 *     yield `You said: ${text}`;
 *   },
 * });
 * ```
 *
 * A `resumable` agent that says the same words again after a crash need not look at the journal: what was said is not said
 * twice. One that yields `step()` begins after `journal.steps.length` finished steps.
 */
export function defineAgent({ id = 'main', resumable = false, models = [], name, run }: AgentDefinition): Agent {
  return { id, resumable, models, ...(name === undefined ? {} : { name }), run };
}
