import {
  type Clock,
  type Effects,
  GatewayError,
  type Message,
  type MethodName,
  type Params,
  type Result,
  type RunPart,
  systemClock,
} from '@openclaw/protocol/wire';
import type { Agent, Steer } from '../agent.ts';
import { AgentRun, type Request } from '../agent-run.ts';

/** What a {@link rehearse}d run is given. */
export interface RehearsalOptions {
  /** What the person says. Default `Hello`. */
  text?: string;
  /** Files of the person's message, by their bytes. */
  attachments?: readonly { mimeType: string; bytes: Uint8Array; fileName?: string }[];
  /** The conversation before it. */
  messages?: readonly Message[];
  /** What earlier attempts emitted: `parts` of an earlier rehearsal, or a beginning of them. */
  journal?: readonly RunPart[];
  /** Answers that are known from the start. */
  approvals?: Result<'run.start'>['approvals'];
  /** Default 1, or 2 with a journal. */
  attempt?: number;
  /** Where the person's message came from. Default: an operator's app. */
  source?: Message['source'];
  /** What tools that are not safe may do. Default `allow`. */
  effects?: Effects;
  runId?: string;
  clock?: Clock;
  /** Sees every part as it is emitted. */
  emitted?: (part: RunPart, rehearsal: Rehearsal) => void;
}

/** A run without a gateway. */
export interface Rehearsal {
  readonly runId: string;
  /** What was emitted so far, deltas as they came. */
  readonly parts: readonly RunPart[];
  /** The answer so far, after every delta. */
  readonly text: string;
  /** The thinking so far. */
  readonly thinking: string;
  /** The terminal part's data, or undefined when the run was aborted. Never rejects. */
  readonly ended: Promise<Extract<RunPart, { stream: 'lifecycle' }>['data'] | undefined>;
  abort(reason?: string): void;
  steer(steer: Steer): void;
  decide(approvalId: string, decision: 'allow' | 'deny'): void;
}

/**
 * Runs an agent once without a gateway, for its author's tests: starts at once, keeps every part. A continuation is
 * rehearsed by giving the parts of an earlier rehearsal as `journal`.
 */
export function rehearse(agent: Agent, options: RehearsalOptions = {}): Rehearsal {
  const { journal = [], runId = 'run-1', clock = systemClock(), attempt = journal.length > 0 ? 2 : 1 } = options;
  const files = new Map((options.attachments ?? []).map((file, index) => [String(index).padStart(64, '0'), file]));
  const media = [...files].map(([id, { mimeType, bytes, fileName }]) => ({
    type: 'media' as const,
    media: { id, mimeType, sizeBytes: bytes.length, ...(fileName === undefined ? {} : { fileName }) },
  }));
  const asked: Message = {
    id: runId,
    role: 'user',
    runId,
    timestamp: clock.now(),
    content: [{ type: 'text', text: options.text ?? 'Hello' }, ...media],
    ...(options.source ? { source: options.source } : {}),
  };
  const parts: RunPart[] = [];
  let over: () => void = () => undefined;
  const isOver = new Promise<void>((resolve) => {
    over = resolve;
  });
  const answers: { [M in MethodName]?: (params: Params<M>) => Result<M> } = {
    'run.emit': ({ n, parts: emitted }) => {
      for (const part of emitted) {
        parts.push(part);
        options.emitted?.(part, rehearsal);
      }
      return { n };
    },
    'run.messages': () => ({ messages: [], hasMore: false }),
    'media.read': ({ id, at = 0 }) => {
      const file = files.get(id);
      if (!file) throw new GatewayError('INVALID_REQUEST', `There is no file ${id}.`);
      const page = file.bytes.subarray(at, at + 65_536);
      const bytes = btoa(String.fromCharCode(...page));
      return {
        media: { id, mimeType: file.mimeType, sizeBytes: file.bytes.length },
        at,
        bytes,
        isLast: at + page.length >= file.bytes.length,
      };
    },
  };
  const request: Request = async (method, params) => {
    const answer = answers[method] as ((params: unknown) => never) | undefined;
    if (!answer) throw new GatewayError('UNSUPPORTED', `A rehearsal has no ${method}.`);
    return answer(params);
  };
  const run = new AgentRun({
    agent,
    started: {
      runId,
      session: {
        key: 'agent:main:main',
        sessionId: 'session-1',
        agentId: agent.id,
        createdAt: clock.now(),
        updatedAt: clock.now(),
      },
      attempt,
      n: 0,
      messages: [...(options.messages ?? []), asked],
      hasMore: false,
      journal: [...journal],
      steers: [],
      approvals: options.approvals ?? [],
      ...(options.effects ? { effects: options.effects } : {}),
    },
    request,
    clock,
    defer: setImmediate,
    finished: () => over(),
  });
  const rehearsal: Rehearsal = {
    runId,
    parts,
    get text() {
      return spoken([...journal, ...parts], 'assistant');
    },
    get thinking() {
      return spoken([...journal, ...parts], 'thinking');
    },
    ended: isOver.then(() => {
      const last = parts.at(-1);
      return last?.stream === 'lifecycle' ? last.data : undefined;
    }),
    abort: (reason = 'aborted by the test') => run.stop(reason),
    steer: (steer) => run.addSteers([steer]),
    decide: (approvalId, decision) => run.addApprovals([{ approvalId, decision }]),
  };
  run.window.attach();
  void run.work();
  return rehearsal;
}

/** The text of all parts of one kind after every delta, in the order in which they began. */
export function spoken(parts: readonly RunPart[], stream: 'assistant' | 'thinking'): string {
  const texts = new Map<string, string>();
  for (const part of parts) {
    if (part.stream !== stream) continue;
    const { itemId, at, delta, replace } = part.data;
    texts.set(itemId, replace ? delta : (texts.get(itemId) ?? '').slice(0, at) + delta);
  }
  return [...texts.values()].join('');
}
