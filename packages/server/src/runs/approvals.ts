import type { Approval, ApprovalsState, Payload, RunPartData } from '@openclaw/protocol';
import type { Stream, StreamLog } from '../streams/stream-log.ts';

type ApprovalsStream = Stream & { state: ApprovalsState; committedState: ApprovalsState };

/** How long an approval waits before it counts as denied, in ms. */
const approvalTimeoutMs = 600_000;

/** Questions to a person that runs wait for: a stream of its own, answerable from any client, kept over a restart. */
export class Approvals {
  readonly #log: StreamLog;
  readonly #now: () => number;
  readonly #elapsed: () => number;
  /** When the time of each is over, on the monotonic clock: a wall clock that is set denies nothing. */
  readonly #deadlines = new Map<string, number>();
  #stream: ApprovalsStream | undefined;

  constructor({ log, now, elapsed }: { log: StreamLog; now: () => number; elapsed: () => number }) {
    this.#elapsed = elapsed;
    this.#log = log;
    this.#now = now;
  }

  /** Brings the stream into memory; called once. */
  async start(): Promise<void> {
    this.#stream = (await this.#log.open('approvals')) as ApprovalsStream;
  }

  /** Those that wait, oldest first. */
  get open(): readonly Approval[] {
    return this.#stream?.state.open ?? [];
  }

  /** Those that wait as far as they are committed. */
  get committed(): readonly Approval[] {
    return this.#stream?.committedState.open ?? [];
  }

  find(approvalId: string): Approval | undefined {
    return this.open.find((approval) => approval.approvalId === approvalId);
  }

  isWaiting(runId: string): boolean {
    return this.open.some((approval) => approval.runId === runId);
  }

  /** Asks; returns the question with its deadline. Asking what is open already asks nothing new. */
  request(runId: string, sessionKey: string, asked: RunPartData<'approval'>): RunPartData<'approval'> {
    const known = this.find(asked.approvalId);
    const requestedAt = this.#now();
    const expiresAt = known?.expiresAt ?? requestedAt + approvalTimeoutMs;
    const { phase, decision, reason, ...question } = asked;
    if (!known && this.#stream) {
      this.#deadlines.set(asked.approvalId, this.#elapsed() + approvalTimeoutMs);
      const payload: Payload<'approval.requested'> = {
        ...shorten(question),
        runId,
        sessionKey,
        requestedAt,
        expiresAt,
      };
      this.#log.append(this.#stream, 'approval.requested', payload, { keep: 'fact', durable: true });
    }
    return { ...question, phase: 'requested', expiresAt };
  }

  /** Takes an approval off the list; the caller tells the run. */
  settle(approval: Approval, decision: 'allow' | 'deny', reason: Payload<'approval.resolved'>['reason']): void {
    if (!this.#stream) return;
    const payload: Payload<'approval.resolved'> = {
      approvalId: approval.approvalId,
      runId: approval.runId,
      decision,
      reason,
      ts: this.#now(),
    };
    this.#log.append(this.#stream, 'approval.resolved', payload, { keep: 'fact', durable: true });
  }

  /** Those whose time is over. */
  expired(): Approval[] {
    const elapsedMs = this.#elapsed();
    const known = new Set(this.open.map(({ approvalId }) => approvalId));
    for (const approvalId of this.#deadlines.keys()) if (!known.has(approvalId)) this.#deadlines.delete(approvalId);
    return this.open.filter(({ approvalId, expiresAt }) => {
      let deadlineMs = this.#deadlines.get(approvalId);
      if (deadlineMs === undefined) {
        deadlineMs = elapsedMs + Math.min(approvalTimeoutMs, Math.max(0, expiresAt - this.#now()));
        this.#deadlines.set(approvalId, deadlineMs);
      }
      return elapsedMs >= deadlineMs;
    });
  }
}

/** The list of all approvals holds what one decides by; the run has the whole. */
function shorten<Q extends { args?: unknown; description?: string | undefined }>(question: Q): Q {
  const { args, description } = question;
  const argsText = args === undefined ? '' : (JSON.stringify(args) ?? '');
  return {
    ...question,
    ...(argsText.length > keptUnits ? { args: `${argsText.slice(0, keptUnits)}…` } : {}),
    ...(description !== undefined && description.length > keptUnits
      ? { description: `${description.slice(0, keptUnits)}…` }
      : {}),
  };
}

const keptUnits = 1_500;
