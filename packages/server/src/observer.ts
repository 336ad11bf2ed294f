import type { AuditEntry, ResetReason, Role } from '@openclaw/protocol';

/** Which connection; what a client says of itself is cut to 64 characters, control characters taken out. */
export interface ConnectionFacts {
  connId: string;
  role: Role;
  /** What program it says to be, and its version. */
  clientId: string;
  clientVersion: string;
  /** Absent for peers of this process. */
  remoteAddress?: string;
}

/** The end of a connection that had got its hello-ok. */
export interface ClosedConnection extends ConnectionFacts {
  /** The close code that was sent or came. */
  code: number;
  /** The gateway's own words; absent when the other side closed, whose words are not passed on. */
  reason?: string;
  durationMs: number;
}

/** Somebody was not let in. */
export interface Refusal {
  /** The `connect` request, the HTTP upgrade before it, or another HTTP request. */
  where: 'connect' | 'upgrade' | 'http' | 'hook';
  /** `AUTH_TOKEN_MISMATCH`, `host_not_allowed`, … A closed set: fit for a label. */
  code: string;
  reason: string;
  remoteAddress?: string;
}

/** A request after hello that was answered. */
export interface AnsweredRequest {
  /** The method when this gateway has it, else `other`. */
  method: string;
  /** `ok`, or the error's code. */
  outcome: string;
  /** From its arrival to its answer, with the wait for the commit. */
  durationMs: number;
  connId: string;
  /** W3C, valid. */
  traceparent?: string;
}

/** The end of a run; committed. */
export interface EndedRun {
  runId: string;
  agentId: string;
  outcome: 'ok' | 'failed' | 'aborted' | 'interrupted' | (string & {});
  /** From its acceptance; absent for a run that is older than this process. */
  durationMs?: number;
  /** From its acceptance to the first text of its answer; absent for a run without, or one older than this process. */
  firstTokenMs?: number;
  /** As the model told; absent fields are unknown. */
  inputTokens?: number;
  outputTokens?: number;
}

/** How much there is of what comes and goes, at the moment of asking. */
export interface GatewayFigures {
  /** Connections after hello, by role. */
  connections: Partial<Record<Role, number>>;
  /** Sockets that have not shown who they are. */
  handshaking: number;
  /** Bytes that wait in all connections to be taken by their peers. */
  queuedBytes: number;
  openRuns: number;
  /** Bytes that wait for their commit. */
  uncommittedBytes: number;
}

/**
 * The port for logs and metrics: typed events of the gateway, each optional. Never told: tokens, params, texts of people or
 * models, session keys. Methods are called on the event loop, some of them per frame: they must be quick. One that throws harms
 * nothing; the first time of each method is told as a `warning`.
 */
export interface GatewayObserver {
  /** The gateway is ready. `figures` may be asked for at any time from now on. */
  started?(figures: () => GatewayFigures): void;
  connectionOpened?(connection: ConnectionFacts): void;
  connectionClosed?(connection: ClosedConnection): void;
  /** Every single one; the audit trail has them joined. */
  refused?(refusal: Refusal): void;
  requestAnswered?(request: AnsweredRequest): void;
  /** A frame came from or was given to a socket; peers of this process are not counted. `bytes` without WebSocket headers. */
  frame?(direction: 'in' | 'out', type: 'req' | 'res' | 'event', bytes: number): void;
  /** A subscription began: `full` when it goes on at its position, else why it got a snapshot. */
  resumed?(outcome: 'full' | ResetReason): void;
  /** A reader that was live got a snapshot, since what it was to get is gone. */
  reset?(reason: ResetReason): void;
  /** A reader does not keep up: events are `merged` for it, or its connection is `closed`. */
  slowConsumer?(measure: 'merged' | 'closed'): void;
  /** A keyed request was sent again and got the first answer, or joined the work in progress (S18). */
  replayed?(method: string): void;
  /** Committed. */
  runStarted?(run: { runId: string; agentId: string }): void;
  runEnded?(run: EndedRun): void;
  /** A commit of the store: events, their bytes, and how long it took. */
  committed?(events: number, bytes: number, durationMs: number): void;
  /** Pairing, tokens, approvals, changed configurations, and refusals joined by the minute; also in the stream `audit`. */
  audited?(entry: AuditEntry): void;
  /** Something that the operator should know. `cause` is an error of the program or its store. */
  warning?(message: string, cause?: unknown): void;
  /** No new runs from now on (S25). */
  draining?(reason: string): void;
  /** Everything is closed; the last call. */
  closed?(): void;
}

/** An observer that has every method; what is not observed costs an empty call. */
export type SafeObserver = Required<GatewayObserver>;

const methodNames = [
  'started',
  'connectionOpened',
  'connectionClosed',
  'refused',
  'requestAnswered',
  'frame',
  'resumed',
  'reset',
  'slowConsumer',
  'replayed',
  'runStarted',
  'runEnded',
  'committed',
  'audited',
  'warning',
  'draining',
  'closed',
] as const satisfies readonly (keyof GatewayObserver)[];

/** Joins observers into one that has every method; what one of them throws stays with it. */
export function safeObserver(observers: GatewayObserver | readonly GatewayObserver[] = []): SafeObserver {
  const list = Array.isArray(observers) ? (observers as readonly GatewayObserver[]) : [observers as GatewayObserver];
  const each = list.map(safeMethods);
  const joined = methodNames.map((name) => {
    const [first, ...others] = each.flatMap((methods) => methods[name] ?? []);
    if (!first) return [name, nothing];
    if (others.length === 0) return [name, first];
    const all = (a: unknown, b: unknown, c: unknown) => {
      first(a, b, c);
      for (const other of others) other(a, b, c);
    };
    return [name, all];
  });
  return Object.fromEntries(joined) as SafeObserver;
}

// Three parameters and not a rest, which would make an array for every frame.
type Method = (a: unknown, b: unknown, c: unknown) => void;

function safeMethods(observer: GatewayObserver): { [Name in keyof GatewayObserver]?: Method } {
  const told = new Set<string>();
  const failed = (name: string, error: unknown) => {
    if (told.has(name)) return;
    told.add(name);
    try {
      observer.warning?.(`the observer's ${name} threw; this is told once`, error);
    } catch {
      // It can't be told of its own failure.
    }
  };
  const safe: { [Name in keyof GatewayObserver]?: Method } = {};
  for (const name of methodNames) {
    const method = observer[name] as Method | undefined;
    if (!method) continue;
    safe[name] = (a, b, c) => {
      try {
        method.call(observer, a, b, c);
      } catch (error) {
        failed(name, error);
      }
    };
  }
  return safe;
}

/** The observer of parts that stand alone, as in tests. */
export const noObserver: SafeObserver = safeObserver();

function nothing(): void {}

/** Somebody else's words, bounded, without characters that a terminal would act on or that would begin a new line of a log. */
export function plainWords(text: string, maxLength = 64): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out
  return text.slice(0, maxLength).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, ' ');
}
