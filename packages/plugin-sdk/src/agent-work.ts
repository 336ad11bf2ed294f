import { type Clock, isGatewayError, type Result, type RunWork } from '@openclaw/protocol/wire';
import type { Agent } from './agent.ts';
import { AgentRun, type Request } from './agent-run.ts';

/** What an {@link AgentWork} needs of its surroundings. */
export interface AgentWorkOptions {
  agent: Agent;
  /** Random per `serve`; tells this process from the one before. */
  instance: string;
  request: Request;
  clock: Clock;
  defer: (task: () => void) => void;
}

interface Claim {
  attempt: number;
  steers: RunWork['steers'];
  approvals: RunWork['approvals'];
}

const keepAliveMs = 60_000;
const retryMs = 1_000;

/**
 * The runs that one instance works on, kept in step with the state and events of the stream `agent:<id>` (S28). It claims
 * what waits, several runs at once; hands on steering, answers and aborts; and lets go of runs that the gateway gave away.
 * A run survives the connection: between `detach` and `attach` it works on, and what it says waits.
 */
export class AgentWork {
  #options: AgentWorkOptions;
  #runs = new Map<string, AgentRun>();
  /** Claims that wait for their answer, with what came for the run meanwhile. */
  #claims = new Map<string, Claim>();
  #isClosed = false;
  #idleWakers: (() => void)[] = [];
  /** Aborted when the connection is gone; absent while there is none. */
  #link: AbortController | undefined;
  #stopKeepAlive: () => void;

  constructor(options: AgentWorkOptions) {
    this.#options = options;
    const beat = () => {
      for (const run of this.#runs.values()) run.window.keepAlive();
      this.#stopKeepAlive = options.clock.schedule(beat, keepAliveMs);
    };
    this.#stopKeepAlive = options.clock.schedule(beat, keepAliveMs);
  }

  /** How many runs are at work. */
  get runCount(): number {
    return this.#runs.size;
  }

  /** The connection holds the agent's stream: what is unacknowledged goes out again. */
  attach(): void {
    this.detach();
    this.#link = new AbortController();
    for (const run of this.#runs.values()) run.window.attach();
  }

  /** The connection is gone; runs go on. */
  detach(): void {
    this.#link?.abort(new Error('the connection to the gateway is gone'));
    this.#link = undefined;
    this.#claims.clear();
    for (const run of this.#runs.values()) run.window.detach();
  }

  /** The unfinished work as the gateway knows it, from a `stream.reset`. */
  reset(works: readonly RunWork[]): void {
    for (const run of [...this.#runs.values()]) {
      const work = works.find(({ runId }) => runId === run.runId);
      if (!work || work.attempt > run.attempt) run.stop('the gateway has ended the run or given it away');
    }
    for (const work of works) {
      const run = this.#runs.get(work.runId);
      run?.addSteers(work.steers);
      run?.addApprovals(work.approvals);
      if (!run && (work.instance === undefined || work.instance === this.#options.instance)) this.#claim(work);
    }
  }

  /** One event of the stream; unknown ones are ignored. */
  apply({ event, payload }: { event: string; payload: unknown }): void {
    const { runId } = payload as { runId: string };
    const run = this.#runs.get(runId);
    switch (event) {
      case 'run.requested': {
        const requested = payload as { runId: string; attempt: number };
        if (run && requested.attempt > run.attempt) run.stop('the gateway has given the run away');
        if (!this.#runs.has(runId)) this.#claim(requested);
        break;
      }
      case 'run.steer':
        run?.addSteers([payload as RunWork['steers'][number]]);
        this.#claims.get(runId)?.steers.push(payload as RunWork['steers'][number]);
        break;
      case 'run.approval':
        run?.addApprovals([payload as RunWork['approvals'][number]]);
        this.#claims.get(runId)?.approvals.push(payload as RunWork['approvals'][number]);
        break;
      case 'run.abort':
      case 'run.finished': {
        this.#claims.delete(runId);
        const { reason } = payload as { reason?: string };
        // A run whose own terminal part caused `run.finished` still waits for its acknowledgement, which changes nothing.
        run?.stop(`the run was ${event === 'run.abort' ? 'aborted' : 'finished'}${reason ? `: ${reason}` : ''}`);
        break;
      }
      default:
        break;
    }
  }

  /** Takes no more runs; resolves when those at work have ended. */
  async drained(): Promise<void> {
    this.#isClosed = true;
    while (this.#runs.size > 0) await new Promise<void>((resolve) => this.#idleWakers.push(resolve));
  }

  /** Stops every run without a word; the gateway offers them to the next instance. */
  close(): void {
    this.#isClosed = true;
    this.#stopKeepAlive();
    this.detach();
    for (const run of [...this.#runs.values()]) run.stop('the agent is closing');
  }

  #claim({ runId, attempt }: { runId: string; attempt: number }): void {
    const link = this.#link;
    if (!link || this.#isClosed || (this.#claims.get(runId)?.attempt ?? 0) >= attempt) return;
    const claim: Claim = { attempt, steers: [], approvals: [] };
    this.#claims.set(runId, claim);
    const { agent, request, clock, defer } = this.#options;
    startWhole(request, runId, link.signal).then(
      (started) => {
        if (this.#claims.get(runId) !== claim) return;
        this.#claims.delete(runId);
        const run: AgentRun = new AgentRun({
          agent,
          started,
          request,
          clock,
          defer,
          finished: () => {
            if (this.#runs.get(runId) === run) this.#runs.delete(runId);
            for (const wake of this.#idleWakers.splice(0)) wake();
          },
        });
        run.addSteers(claim.steers);
        run.addApprovals(claim.approvals);
        this.#runs.set(runId, run);
        run.window.attach();
        void run.work();
      },
      (error: unknown) => {
        if (this.#claims.get(runId) !== claim) return;
        this.#claims.delete(runId);
        if (!isGatewayError(error) || !(error.retryable || error.code === 'UNAVAILABLE')) return;
        clock.schedule(() => {
          if (link === this.#link && !this.#runs.has(runId)) this.#claim({ runId, attempt });
        }, error.retryAfterMs ?? retryMs);
      },
    );
  }
}

/** Claims a run and reads its journal to the end, however long it is. */
async function startWhole(request: Request, runId: string, signal: AbortSignal): Promise<Result<'run.start'>> {
  const started = await request('run.start', { runId }, { signal });
  const journal = [...started.journal];
  for (let from = started.journalNext; from !== undefined; ) {
    const page = await request('run.journal', { runId, from }, { signal });
    journal.push(...page.journal);
    from = page.journalNext;
  }
  return { ...started, journal };
}
