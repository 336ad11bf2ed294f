import { type Clock, GatewayError, methodTable, type ResponseFrame, randomId } from '@openclaw/protocol/wire';
import { backoffMs } from './backoff.ts';
import type { RestoredOutcome } from './gateway.ts';
import { type Limits, maxRequestTimeoutMs } from './limits.ts';
import type { QueueStore, StoredRequest } from './queue-store.ts';
import type { Replay, RequestOptions } from './request.ts';

/** Answers when something has happened: it does not count as in flight. */
const waitingMethod = 'agent.wait';
/** What a frame has beside its params, at most about. */
const envelopeBytes = 512;

export interface RequestQueueOptions {
  clock: Clock;
  random: () => number;
  limits: Limits;
  methods: Readonly<Record<string, Replay>>;
  store: QueueStore | undefined;
  send(text: string): void;
  restored(outcome: RestoredOutcome): void;
}

/** Who gets the answer to a request, within the frame that brings it. */
export interface AnswerSink {
  resolve(result: unknown): void;
  reject(error: GatewayError): void;
}

interface Entry extends AnswerSink {
  id: string;
  method: string;
  params: unknown;
  /** The params as JSON, key included. */
  text: string;
  bytes: number;
  key: string | undefined;
  replay: Replay;
  /** Later requests of the same session wait while this one is refused. */
  session: string | undefined;
  /** Belongs to one connection: sent at once, fails with it. */
  isControl: boolean;
  expectsFinal: boolean;
  isAccepted: boolean;
  isInFlight: boolean;
  /** It was sent and the connection was lost before an answer. */
  wasCut: boolean;
  refusals: number;
  notBeforeMs: number;
  expiresAt: number;
  release(): void;
}

/**
 * The requests that have no answer yet, in the order of the calls (S19). Sends them when there is a connection, again after
 * the next one, and settles every one: answer, error, abort, deadline or close.
 */
export class RequestQueue {
  #options: RequestQueueOptions;
  #entries = new Map<string, Entry>();
  /** Bytes that the gateway takes; undefined while there is no connection. */
  #maxPayloadBytes: number | undefined;
  #isReady = false;
  #isKeyless: (method: string) => boolean = () => false;
  #isLoading = false;
  #cancelTimer: (() => void) | undefined;
  #ended: GatewayError | undefined;

  constructor(options: RequestQueueOptions) {
    this.#options = options;
  }

  /** Takes over what an earlier page left unanswered; nothing newer is sent before. */
  async load(): Promise<void> {
    const { store, clock, restored } = this.#options;
    if (!store) return;
    this.#isLoading = true;
    const newer = this.#entries;
    try {
      const stored = await store.load();
      this.#entries = new Map();
      for (const { id, method, params, idempotencyKey, expiresAt, isSent } of stored) {
        const timeoutMs = Math.max(0, expiresAt - clock.now());
        const outcome = { method, idempotencyKey };
        const sink: AnswerSink = {
          resolve: (result) => restored({ ...outcome, result }),
          reject: (error) => restored({ ...outcome, error }),
        };
        this.#add({ id, method, params, wasCut: isSent }, { timeoutMs, idempotencyKey, replay: 'keyed' }, sink);
      }
      for (const entry of newer.values()) this.#entries.set(entry.id, entry);
    } catch {
      // A store that can't be read costs what it held, not what is new.
      this.#entries = newer;
    }
    this.#isLoading = false;
    this.flush();
  }

  /** Sends a request as soon as it may go, and resolves with its result. */
  add(method: string, params: unknown, options: RequestOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#add({ id: randomId(8), method, params }, options, { resolve, reject });
    });
  }

  /** Sends a request that belongs to the current connection: at once, and it fails with it. */
  addControl(method: string, params: unknown, sink: AnswerSink): void {
    this.#add({ id: randomId(8), method, params, isControl: true }, {}, sink);
  }

  /** Takes back the request with this key if it never left. */
  cancelUnsent(key: string): boolean {
    for (const entry of this.#entries.values()) {
      if (entry.key !== key || entry.isInFlight || entry.wasCut) continue;
      this.#settle(entry, aborted('taken back, never sent'));
      return true;
    }
    return false;
  }

  /** Admitted: what belongs to this connection is sent, everything else after `ready()`. */
  connected(maxPayloadBytes: number): void {
    this.#maxPayloadBytes = maxPayloadBytes;
  }

  /** `isKeyless` tells the keyed methods whose params this gateway has closed without a key. */
  ready(isKeyless: (method: string) => boolean = () => false): void {
    this.#isReady = true;
    this.#isKeyless = isKeyless;
    this.flush();
  }

  disconnected(): void {
    this.#maxPayloadBytes = undefined;
    this.#isReady = false;
    for (const entry of [...this.#entries.values()]) {
      if (entry.isControl) {
        this.#settle(entry, new GatewayError('UNAVAILABLE', `${entry.method}: connection lost`, { retryable: true }));
      } else if (entry.isInFlight && !this.#isRepeatable(entry)) {
        this.#settle(entry, unknownOutcome(entry.method, 'connection lost'));
      } else if (entry.isInFlight) {
        entry.isInFlight = false;
        entry.isAccepted = false;
        entry.wasCut = true;
      }
    }
  }

  /** The answer to a request; one that nobody waits for is ignored. */
  answer({ id, ok, payload, error }: ResponseFrame): void {
    const entry = this.#entries.get(id);
    if (!entry) return;
    if (ok) {
      const isFirstOfTwo = entry.expectsFinal && (payload as { status?: unknown } | null)?.status === 'accepted';
      if (isFirstOfTwo) entry.isAccepted = true;
      else this.#settle(entry, undefined, payload);
    } else {
      const refusal = GatewayError.fromWire(error ?? { code: 'INTERNAL', message: entry.method });
      if (refusal.retryable && entry.replay !== 'never') this.#postpone(entry, refusal);
      else this.#settle(entry, refusal);
    }
    this.flush();
  }

  /** Rejects everything, now and from now on. */
  end(error: GatewayError): void {
    this.#ended = error;
    this.#cancelTimer?.();
    for (const entry of [...this.#entries.values()]) this.#settle(entry, error);
  }

  /** Sends what may go, in order. */
  flush(): void {
    if (this.#maxPayloadBytes === undefined) return;
    const isReady = this.#isReady && !this.#isLoading;
    const nowMs = this.#options.clock.elapsed();
    const held = new Set<string>();
    let free = this.#options.limits.inFlight;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.values()) if (isCounted(entry)) free--;
    for (const entry of [...this.#entries.values()]) {
      const { session } = entry;
      const isHeld = session !== undefined && held.has(session);
      if (session !== undefined && entry.refusals > 0) held.add(session);
      if (entry.isInFlight || isHeld || !(isReady || entry.isControl)) continue;
      if (entry.notBeforeMs > nowMs) {
        nextMs = Math.min(nextMs, entry.notBeforeMs);
        continue;
      }
      const isFree = entry.isControl || entry.method === waitingMethod;
      if (!isFree && free <= 0) {
        if (session !== undefined) held.add(session);
        continue;
      }
      if (!isFree) free--;
      this.#send(entry);
    }
    this.#cancelTimer?.();
    this.#cancelTimer =
      nextMs === Number.POSITIVE_INFINITY
        ? undefined
        : this.#options.clock.schedule(() => this.flush(), nextMs - nowMs);
  }

  #add(
    request: Pick<Entry, 'id' | 'method' | 'params'> & Partial<Pick<Entry, 'wasCut' | 'isControl'>>,
    options: RequestOptions,
    { resolve, reject }: AnswerSink,
  ): void {
    const { clock, limits, methods } = this.#options;
    const { id, method, wasCut = false, isControl = false } = request;
    const given = (request.params ?? {}) as Record<string, unknown>;
    const askedKey =
      options.idempotencyKey ?? (typeof given.idempotencyKey === 'string' ? given.idempotencyKey : undefined);
    const replay =
      methodTable[method]?.replay ?? methods[method] ?? options.replay ?? (askedKey === undefined ? 'never' : 'keyed');
    const key = replay === 'keyed' ? (askedKey ?? randomId()) : undefined;
    const timeoutMs = Math.min(options.timeoutMs ?? limits.requestTimeoutMs, maxRequestTimeoutMs);
    const session = given.sessionKey ?? (method.startsWith('sessions.') ? given.key : undefined);
    const entry: Entry = {
      id,
      method,
      params: key === undefined ? given : { ...given, idempotencyKey: key },
      text: '',
      bytes: 0,
      key,
      replay,
      session: typeof session === 'string' && replay !== 'safe' ? session : undefined,
      isControl,
      expectsFinal: method === 'agent' && options.expectFinal !== false,
      isAccepted: false,
      isInFlight: false,
      wasCut,
      refusals: 0,
      notBeforeMs: 0,
      expiresAt: clock.now() + timeoutMs,
      resolve,
      reject,
      release() {},
    };
    const problem = this.#admit(entry, options.signal);
    if (problem) {
      reject(problem);
      return;
    }
    const cancelDeadline = clock.schedule(() => this.#settle(entry, pastDeadline(entry, timeoutMs)), timeoutMs);
    const abort = () => this.#settle(entry, aborted(method, options.signal?.reason));
    options.signal?.addEventListener('abort', abort, { once: true });
    entry.release = () => {
      cancelDeadline();
      options.signal?.removeEventListener('abort', abort);
    };
    this.#entries.set(id, entry);
    this.#store(entry);
    this.flush();
  }

  /** What keeps the request out, if anything. */
  #admit(entry: Entry, signal: AbortSignal | undefined): GatewayError | undefined {
    if (this.#ended) return this.#ended;
    if (signal?.aborted) return aborted(entry.method, signal.reason);
    entry.text = JSON.stringify(entry.params);
    entry.bytes = new TextEncoder().encode(entry.text).length;
    const waiting = this.#waiting();
    if (entry.isControl || entry.wasCut || (this.#isReady && !this.#isLoading && waiting.length === 0))
      return undefined;
    const { queuedRequests, queuedBytes } = this.#options.limits;
    const bytes = waiting.reduce((sum, other) => sum + other.bytes, entry.bytes);
    if (waiting.length < queuedRequests && bytes <= queuedBytes) return undefined;
    return new GatewayError(
      'QUEUE_FULL',
      `${waiting.length} requests wait, ${bytes} bytes with ${entry.method}; wait until the connection is live.`,
      { retryable: true },
    );
  }

  /** Entries that never left. */
  #waiting(): Entry[] {
    return [...this.#entries.values()].filter((entry) => !entry.isInFlight && !entry.wasCut && entry.refusals === 0);
  }

  #send(entry: Entry): void {
    const { id, method, bytes } = entry;
    const maxBytes = (this.#maxPayloadBytes ?? 0) - envelopeBytes;
    if (bytes > maxBytes) {
      const message = `${method} has ${bytes} bytes, the gateway takes ${maxBytes}; send less.`;
      this.#settle(entry, new GatewayError('INVALID_REQUEST', message));
      return;
    }
    let { text } = entry;
    if (this.#isKeyless(method)) text = JSON.stringify({ ...(entry.params as object), idempotencyKey: undefined });
    const frame = `{"type":"req","id":${JSON.stringify(id)},"method":${JSON.stringify(method)},"params":${text}}`;
    entry.isInFlight = true;
    this.#store(entry);
    this.#options.send(frame);
  }

  /** Without its key a repeated request would be executed twice, unless it names what it ends. */
  #isRepeatable({ method, params, replay }: Entry): boolean {
    if (replay === 'never') return false;
    return !this.#isKeyless(method) || (params as { runId?: unknown }).runId !== undefined;
  }

  #postpone(entry: Entry, refusal: GatewayError): void {
    const { clock, random } = this.#options;
    entry.isInFlight = false;
    entry.isAccepted = false;
    const delayMs = backoffMs(entry.refusals++, random, { retryAfterMs: refusal.retryAfterMs });
    entry.notBeforeMs = clock.elapsed() + delayMs;
  }

  #settle(entry: Entry, error: GatewayError | undefined, result?: unknown): void {
    if (!this.#entries.delete(entry.id)) return;
    entry.release();
    if (entry.replay === 'keyed' && !entry.isControl) ignoreFailure(() => this.#options.store?.remove(entry.id));
    if (error) entry.reject(error);
    else entry.resolve(result);
  }

  #store(entry: Entry): void {
    const { id, method, params, key, expiresAt } = entry;
    if (key === undefined || entry.isControl) return;
    const stored: StoredRequest = {
      id,
      method,
      params,
      idempotencyKey: key,
      expiresAt,
      isSent: entry.isInFlight || entry.wasCut,
    };
    ignoreFailure(() => this.#options.store?.put(stored));
  }
}

function isCounted({ isInFlight, isAccepted, isControl, method }: Entry): boolean {
  return isInFlight && !isAccepted && !isControl && method !== waitingMethod;
}

function pastDeadline(entry: Entry, timeoutMs: number): GatewayError {
  if (entry.isInFlight || entry.wasCut) return unknownOutcome(entry.method, `no answer within ${timeoutMs} ms`);
  return new GatewayError('DEADLINE', `${entry.method} was not sent within ${timeoutMs} ms, so not executed.`);
}

function unknownOutcome(method: string, why: string): GatewayError {
  return new GatewayError('UNKNOWN_OUTCOME', `${method}: ${why}; it may have been executed, look before repeating it.`);
}

function aborted(what: string, cause?: unknown): GatewayError {
  return new GatewayError('ABORTED', `Aborted: ${what}`, { cause });
}

function ignoreFailure(action: () => void | Promise<void> | undefined): void {
  try {
    action()?.catch(() => {});
  } catch {
    // What a store can't keep lives as long as the page.
  }
}
