import type { Clock, Message, MethodName, Params, Result, RunPart } from '@openclaw/protocol/wire';
import { type Agent, type ApprovalRequest, type Call, DeniedError, type RunContext } from './agent.ts';
import { EmitWindow } from './emit-window.ts';
import { type Journal, readJournal, splitMessages, unrepeatableCalls } from './journal.ts';
import { mediaReader, wholeText } from './media-reader.ts';
import { type AgentPart, toolResult, toolStart } from './part.ts';
import { PartWriter } from './part-writer.ts';
import { SteeringQueue } from './steering-queue.ts';

/** Calls a method of the gateway; rejects with a `GatewayError`. */
export type Request = <M extends MethodName>(
  method: M,
  params: Params<M>,
  options?: { signal?: AbortSignal },
) => Promise<Result<M>>;

/** What an {@link AgentRun} needs of its surroundings. */
export interface AgentRunOptions {
  agent: Agent;
  /** What `run.start` gave. */
  started: Result<'run.start'>;
  request: Request;
  clock: Clock;
  defer: (task: () => void) => void;
  /** The run is over and everything is acknowledged. */
  finished: () => void;
}

type Started = Result<'run.start'>;
type TerminalData = Extract<RunPart, { stream: 'lifecycle' }>['data'];

const errorKinds: ReadonlySet<unknown> = new Set(['refusal', 'timeout', 'rate_limit', 'context_length', 'unknown']);

/**
 * One run at work: pulls the agent's parts as fast as the gateway takes them, answers its questions, and ends it with
 * exactly one terminal part, unless the gateway ended it first.
 */
export class AgentRun {
  readonly runId: string;
  readonly attempt: number;
  readonly window: EmitWindow;
  #options: AgentRunOptions;
  #writer: PartWriter;
  #steering: SteeringQueue;
  #answers = new Map<string, 'allow' | 'deny'>();
  #questions = new Map<string, (decision: 'allow' | 'deny') => void>();
  #questionCount = 0;
  #abort = new AbortController();
  #isTerminal = false;
  #hasGivenUp = false;

  constructor(options: AgentRunOptions) {
    const { started, clock, defer, request } = options;
    this.#options = options;
    this.runId = started.runId;
    this.attempt = started.attempt;
    this.#writer = new PartWriter();
    this.#steering = new SteeringQueue(({ inputId }) => this.#push(this.#writer.steered(inputId)));
    this.window = new EmitWindow({
      n: started.n,
      clock,
      defer,
      send: (n, parts, signal) => request('run.emit', { runId: this.runId, n, parts }, { signal }),
      ended: () => this.stop('the run was ended by the gateway'),
      refused: (error) => this.#giveUp(error),
    });
    this.addSteers(started.steers);
    this.addApprovals(started.approvals);
  }

  addSteers(steers: Started['steers']): void {
    this.#steering.add(steers);
  }

  addApprovals(approvals: Started['approvals']): void {
    for (const { approvalId, decision } of approvals) {
      this.#answers.set(approvalId, decision);
      this.#questions.get(approvalId)?.(decision);
      this.#questions.delete(approvalId);
    }
  }

  /** Stops at once and says nothing more: the gateway has the terminal event, or the run is someone else's. */
  stop(reason: string): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort(new Error(reason));
    this.#steering.end();
    this.window.stop();
    this.#options.finished();
  }

  /** Works on the run; resolves when it is over. Never rejects. */
  async work(): Promise<void> {
    const { agent, started } = this.#options;
    let parts: AsyncIterator<AgentPart> | undefined;
    const aborted = new Promise<undefined>((resolve) => {
      this.#abort.signal.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    try {
      const { steers } = splitMessages(started.messages, this.runId);
      const journal = readJournal(agent.resumable ? started.journal : [], steers);
      const [unfinished] = unrepeatableCalls(journal);
      if (unfinished) {
        const error = `The tool ${unfinished.name} was at work when its agent died; whether it was done is not known, and it is not safe to repeat. Ask again if it is to be repeated.`;
        this.#terminal({ phase: 'error', reason: 'interrupted', error });
      } else {
        this.#writer = new PartWriter(journal);
        for (const part of [...journal.steps.flat(), ...journal.open]) {
          if (part.type === 'approval' && part.decision) this.#answers.set(part.approvalId, part.decision);
        }
        this.#questionCount = journal.steps
          .flat()
          .filter((part) => part.type === 'approval' && !part.toolCallId).length;
        parts = agent.run(await this.#context(journal))[Symbol.asyncIterator]();
        while (!this.#isTerminal) {
          await this.window.room();
          const next = await Promise.race([parts.next(), aborted]);
          if (next === undefined || this.#abort.signal.aborted) break;
          if (next.done) this.#terminal({ phase: 'end' });
          else this.#take(next.value);
        }
      }
    } catch (error) {
      this.#terminal(failure(error));
    }
    // Not awaited: a generator that ignores the signal would hold the run forever.
    void (async () => parts?.return?.())().catch(() => undefined);
    await this.window.drained();
    this.stop('the run is over');
  }

  #take(part: AgentPart): void {
    if (typeof part === 'object' && part.type === 'end') {
      if (part.usage) this.#push(this.#writer.write({ type: 'usage', ...part.usage }));
      this.#terminal({ phase: 'end', ...(part.stopReason === undefined ? {} : { stopReason: part.stopReason }) });
    } else if (typeof part === 'object' && part.type === 'fail') {
      const { error, errorKind, reason = 'failed' } = part;
      this.#terminal({ phase: 'error', reason, error: error.slice(0, 4096), ...(errorKind ? { errorKind } : {}) });
    } else {
      this.#push(this.#writer.write(part));
    }
  }

  #push(parts: RunPart[]): void {
    if (!this.#isTerminal && !this.#abort.signal.aborted) this.window.push(parts);
  }

  #terminal(data: TerminalData): void {
    if (this.#isTerminal || this.#abort.signal.aborted) return;
    this.#push([...this.#writer.settle(), { stream: 'lifecycle', data }]);
    this.#isTerminal = true;
    this.#steering.end();
  }

  /** The gateway refuses what the agent emitted: the run ends as failed, in place of it; if that is refused too, silently. */
  #giveUp(error: unknown): void {
    if (this.#abort.signal.aborted) return;
    if (this.#hasGivenUp) {
      this.stop('the gateway refused the end of the run');
      return;
    }
    this.#hasGivenUp = true;
    this.#isTerminal = true;
    const { message } = error instanceof Error ? error : new Error(String(error));
    const data = { ...failure(error), error: `The gateway refused what the agent emitted: ${message}`.slice(0, 4096) };
    this.window.replaceAll([{ stream: 'lifecycle', data }]);
    this.#steering.end();
    void this.window.drained().then(() => this.stop('the gateway refused a part'));
  }

  async #context(journal: Journal): Promise<RunContext> {
    const { started } = this.#options;
    const { conversation: messages, asked } = splitMessages(started.messages, this.runId);
    const readMedia = mediaReader((params) => this.#request('media.read', params));
    let oldest: { id: string } | undefined = started.messages[0];
    let hasMore = started.hasMore;
    const olderMessages = async (): Promise<Message[]> => {
      if (!hasMore || !oldest) return [];
      const page = await this.#request('run.messages', { runId: this.runId, before: oldest.id });
      hasMore = page.hasMore && page.messages.length > 0;
      oldest = page.messages[0] ?? oldest;
      return page.messages;
    };
    return {
      runId: this.runId,
      session: started.session,
      text: await wholeText(asked, readMedia),
      ...(asked?.source ? { source: asked.source } : {}),
      effects: started.effects ?? 'allow',
      ...(started.traceparent === undefined ? {} : { traceparent: started.traceparent }),
      attachments: asked?.content.flatMap((block) => (block.type === 'media' ? [block.media] : [])) ?? [],
      messages,
      olderMessages,
      attempt: this.attempt,
      journal,
      keepOpenStep: () => this.#writer.keepOpenStep(),
      signal: this.#abort.signal,
      steering: this.#steering,
      takeSteering: () => this.#steering.takeAll(),
      approve: (request) => this.#approve(request),
      call: (call, execute) => this.#call(journal, call, execute),
      readMedia,
    };
  }

  #request<M extends MethodName>(method: M, params: Params<M>): Promise<Result<M>> {
    return this.#options.request(method, params, { signal: this.#abort.signal });
  }

  #approve({ title, description, toolCallId, args }: ApprovalRequest): Promise<'allow' | 'deny'> {
    const approvalId = `${this.runId}:${toolCallId ?? ++this.#questionCount}`.slice(-256);
    const { signal } = this.#abort;
    this.#push(
      this.#writer.approval({
        approvalId,
        title: title.slice(0, 512),
        ...(description === undefined ? {} : { description: description.slice(0, 8192) }),
        ...(toolCallId === undefined ? {} : { toolCallId }),
        ...(args === undefined ? {} : { args }),
      }),
    );
    const answer = new Promise<'allow' | 'deny'>((resolve, reject) => {
      const known = this.#answers.get(approvalId);
      if (known) return resolve(known);
      const end = () => reject(signal.reason);
      if (signal.aborted) return end();
      signal.addEventListener('abort', end, { once: true });
      this.#questions.set(approvalId, (decision) => {
        signal.removeEventListener('abort', end);
        resolve(decision);
      });
    });
    // An agent that is not waiting for it when the run ends must not bring down the others in its process.
    answer.catch(() => undefined);
    return answer;
  }

  /** What must not be done twice is on record before it is done: an attempt after a crash then finds it in the journal (S14). */
  async #committed(): Promise<void> {
    await this.window.drained();
    if (this.#abort.signal.aborted) throw this.#abort.signal.reason;
    if (this.#hasGivenUp) throw new Error('the gateway refused what the agent emitted');
  }

  async *#call<T>(journal: Journal, call: Call, execute: () => T | Promise<T>): AsyncGenerator<AgentPart, T, void> {
    const { approval, toolCallId = this.#writer.nextToolCallId(), ...rest } = call;
    const named = { toolCallId, ...rest };
    const earlier = journal.open.find((part) => part.type === 'tool' && part.toolCallId === toolCallId);
    if (earlier?.type === 'tool' && earlier.isFinished) {
      yield toolStart(named);
      if (!earlier.isError) return earlier.result as T;
      throw new Error(typeof earlier.result === 'string' ? earlier.result : `The tool ${call.name} failed.`);
    }
    const { effects = 'allow' } = this.#options.started;
    const isFree = call.safe === true || effects === 'allow';
    if (!isFree && effects === 'deny') throw new DeniedError(call.name, 'policy');
    const asked = approval ?? (isFree ? undefined : { title: call.title ?? call.name });
    if (asked) {
      const { args } = call;
      const decision = await this.#approve({ ...asked, toolCallId, ...(args === undefined ? {} : { args }) });
      if (decision === 'deny') throw new DeniedError(call.name);
    }
    yield toolStart(named);
    if (call.safe !== true) await this.#committed();
    try {
      const result = await execute();
      yield toolResult(named, result);
      return result;
    } catch (error) {
      if (!this.#abort.signal.aborted) yield toolResult(named, messageOf(error), { isError: true });
      throw error;
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error && error.message !== '' ? error.message : String(error);
}

function failure(error: unknown): TerminalData {
  const kind = (error as { errorKind?: TerminalData['errorKind'] } | null)?.errorKind;
  const errorKind = errorKinds.has(kind) ? kind : undefined;
  return {
    phase: 'error',
    reason: 'failed',
    error: messageOf(error).slice(0, 4096),
    ...(errorKind ? { errorKind } : {}),
  };
}
