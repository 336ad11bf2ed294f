import { type Clock, GatewayError, methodReplay, type ResponseFrame, randomId } from '@openclaw/protocol/wire';
import { backoffMs } from './backoff.ts';
import type { RestoredOutcome } from './gateway.ts';
import { type Limits, maxRequestTimeoutMs } from './limits.ts';
import type { QueueStore } from './queue-store.ts';
import type { Replay, RequestOptions } from './request.ts';

/** Answers when something has happened: it does not count as in flight. */
const waitingMethod = 'agent.wait';
/** How long a queue store may keep new requests waiting; what it brings later is sent then. */
const loadTimeoutMs = 2_000;

export interface RequestQueueOptions {
  clock: Clock;
  random: () => number;
  limits: Limits;
  methods: Readonly<Record<string, Replay>>;
  /** Tells the keyed methods whose params this gateway has closed without a key. */
  isKeyless(method: string): boolean;
  store: QueueStore | undefined;
  send(text: string): void;
  restored(outcome: RestoredOutcome): void;
}

/** Gets the answer to a request, within the frame that brings it: an error, or a result. */
export type Answered = (error: GatewayError | undefined, result?: unknown) => void;

interface Entry {
  id: string;
  method: string;
  params: Record<string, unknown>;
  /** The frame, as the params were at the time of the call. */
  text: string;
  bytes: number;
  key: string | undefined;
  replay: Replay;
  /** Of one line, later requests wait while this one is refused: the session's key, or the entry alone. */
  line: unknown;
  /** Belongs to one connection: sent at once, fails with it. */
  isControl: boolean;
  expectsFinal: boolean;
  isAccepted?: boolean;
  isInFlight?: boolean;
  /** It was sent and the connection was lost before an answer. */
  wasCut: boolean;
  refusals: number;
  notBeforeMs: number;
  expiresAt: number;
  /** Where it is kept until it is settled, if anywhere. */
  store: QueueStore | undefined;
  answered: Answered;
  release(): void;
}

/**
 * The requests that have no answer yet, in the order of the calls (S19). Sends them when there is a connection, again after
 * the next one, and settles every one: answer, error, abort, deadline or close.
 */
export interface RequestQueue {
  /** Takes over what an earlier page left unanswered; nothing newer is sent before. */
  load(): Promise<void>;
  /** Sends a request as soon as it may go, and resolves with its result. `isControl`: as with `call`. */
  add(method: string, params: unknown, options?: RequestOptions, isControl?: boolean): Promise<unknown>;
  /** Sends a request that belongs to the current connection: at once, and it fails with it. */
  call(method: string, params: unknown, answered: Answered): void;
  /** Takes back the request with this key if it never left. */
  cancelUnsent(key: string): boolean;
  /** Admitted: what belongs to this connection is sent, everything else after `ready()`. */
  connected(maxPayloadBytes: number): void;
  ready(): void;
  disconnected(): void;
  /** The answer to a request; one that nobody waits for is ignored. */
  answer(frame: ResponseFrame): void;
  /** Rejects everything, now and from now on. */
  end(error: GatewayError): void;
}

/** An empty queue; nothing leaves it before `connected()`. */
export function makeRequestQueue(options: RequestQueueOptions): RequestQueue {
  const { clock, random, limits, methods, isKeyless, send, restored } = options;
  let entries = new Map<string, Entry>();
  /** Bytes that the gateway takes; undefined while there is no connection. */
  let maxPayloadBytes: number | undefined;
  let isReady = false;
  let isLoading = false;
  let cancelTimer: (() => void) | undefined;
  let ended: GatewayError | undefined;

  /** Sends what may go, in order. */
  function flush(): void {
    if (maxPayloadBytes === undefined) return;
    const all = [...entries.values()];
    const nowMs = clock.elapsed();
    const held = new Set<unknown>();
    let free = limits.inFlight - all.filter((entry) => entry.isInFlight && isCounted(entry)).length;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const entry of all) {
      const isHeld = held.has(entry.line);
      if (entry.refusals > 0) held.add(entry.line);
      if (entry.isInFlight || isHeld || !(entry.isControl || (isReady && !isLoading))) continue;
      if (entry.notBeforeMs > nowMs) nextMs = Math.min(nextMs, entry.notBeforeMs);
      else if (!isCounted(entry) || free-- > 0) dispatch(entry, maxPayloadBytes);
      else held.add(entry.line);
    }
    cancelTimer?.();
    if (nextMs < Number.POSITIVE_INFINITY) cancelTimer = clock.schedule(flush, nextMs - nowMs);
  }

  function dispatch(entry: Entry, maxBytes: number): void {
    const { id, method, params, text, bytes } = entry;
    if (bytes > maxBytes) {
      const message = `${method} has ${bytes} bytes, the gateway takes ${maxBytes}; send less.`;
      settle(entry, new GatewayError('INVALID_REQUEST', message));
      return;
    }
    entry.isInFlight = true;
    keep(entry);
    send(isKeyless(method) ? requestText(id, method, { ...params, idempotencyKey: undefined }) : text);
  }

  function enter(
    request: { id?: string; method: string; params: unknown; wasCut?: boolean; isControl?: boolean },
    { idempotencyKey, replay: askedReplay, timeoutMs: askedMs, signal, expectFinal }: RequestOptions,
    answered: Answered,
  ): void {
    const { id = randomId(8), method, wasCut = false, isControl = false } = request;
    const given = (request.params ?? {}) as Record<string, unknown>;
    const askedKey = idempotencyKey ?? (typeof given.idempotencyKey === 'string' ? given.idempotencyKey : undefined);
    const replay =
      methodReplay.get(method) ?? methods[method] ?? askedReplay ?? (askedKey === undefined ? 'never' : 'keyed');
    const key = replay === 'keyed' ? (askedKey ?? randomId()) : undefined;
    const timeoutMs = Math.min(askedMs ?? limits.requestTimeoutMs, maxRequestTimeoutMs);
    const session = given.sessionKey ?? (method.startsWith('sessions.') ? given.key : undefined);
    const params = key === undefined ? given : { ...given, idempotencyKey: key };
    const text = requestText(id, method, params);
    const bytes = new TextEncoder().encode(text).length;
    const isExempt = isControl || wasCut;
    const problem = ended ?? (signal?.aborted ? aborted(method, signal.reason) : isExempt ? undefined : full(bytes));
    if (problem) {
      answered(problem);
      return;
    }
    const entry: Entry = {
      id,
      method,
      params,
      text,
      bytes,
      key,
      replay,
      line: typeof session === 'string' && replay !== 'safe' ? session : request,
      isControl,
      expectsFinal: method === 'agent' && expectFinal !== false,
      wasCut,
      refusals: 0,
      notBeforeMs: 0,
      expiresAt: clock.now() + timeoutMs,
      store: key === undefined || isControl ? undefined : options.store,
      answered,
      release() {
        cancelDeadline();
        signal?.removeEventListener('abort', abort);
      },
    };
    const cancelDeadline = clock.schedule(() => settle(entry, pastDeadline(entry, timeoutMs)), timeoutMs);
    const abort = () => settle(entry, aborted(method, signal?.reason));
    signal?.addEventListener('abort', abort, { once: true });
    entries.set(id, entry);
    keep(entry);
    flush();
  }

  /** The refusal of a request that would have to wait where there is no room. */
  function full(addedBytes: number): GatewayError | undefined {
    const waiting = [...entries.values()].filter((entry) => isUnsent(entry) && entry.refusals === 0);
    if (isReady && !isLoading && waiting.length === 0) return undefined;
    const bytes = waiting.reduce((sum, entry) => sum + entry.bytes, addedBytes);
    if (waiting.length < limits.queuedRequests && bytes <= limits.queuedBytes) return undefined;
    const message = `${waiting.length} requests wait (${bytes} bytes); wait until it is live.`;
    return new GatewayError('QUEUE_FULL', message, { retryable: true });
  }

  /** Without its key a repeated request would be executed twice, unless it names what it ends. */
  function isRepeatable({ method, params, replay }: Entry): boolean {
    return replay !== 'never' && (!isKeyless(method) || params.runId !== undefined);
  }

  function settle(entry: Entry, error: GatewayError | undefined, result?: unknown): void {
    if (!entries.delete(entry.id)) return;
    entry.release();
    void quietly(() => entry.store?.remove(entry.id));
    entry.answered(error, result);
  }

  return {
    async load() {
      const { store } = options;
      if (!store) return;
      const loaded = () => {
        isLoading = false;
        flush();
      };
      isLoading = true;
      const cancel = clock.schedule(loaded, loadTimeoutMs);
      const newer = entries;
      try {
        const stored = await store.load();
        isLoading = true;
        entries = new Map();
        for (const { id, method, params, idempotencyKey, expiresAt, isSent } of stored) {
          const timeoutMs = Math.max(0, expiresAt - clock.now());
          enter(
            { id, method, params, wasCut: isSent },
            { timeoutMs, idempotencyKey, replay: 'keyed' },
            (error, result) => restored({ method, idempotencyKey, result, error }),
          );
        }
      } catch {
        // A store that can't be read costs what it held, not what is new.
      }
      for (const [id, entry] of newer) entries.set(id, entry);
      cancel();
      loaded();
    },

    add: (method, params, requestOptions = {}, isControl = false) =>
      new Promise((resolve, reject) => {
        enter({ method, params, isControl }, requestOptions, (error, result) =>
          error ? reject(error) : resolve(result),
        );
      }),

    call: (method, params, answered) => enter({ method, params, isControl: true }, {}, answered),

    cancelUnsent(key) {
      const unsent = [...entries.values()].find((entry) => entry.key === key && isUnsent(entry));
      if (unsent) settle(unsent, aborted('taken back'));
      return unsent !== undefined;
    },

    connected(bytes) {
      maxPayloadBytes = bytes;
    },

    ready() {
      isReady = true;
      flush();
    },

    disconnected() {
      maxPayloadBytes = undefined;
      isReady = false;
      for (const entry of [...entries.values()]) {
        if (entry.isControl) {
          settle(entry, new GatewayError('UNAVAILABLE', `${entry.method}: connection lost`, { retryable: true }));
        } else if (entry.isInFlight && !isRepeatable(entry)) {
          settle(entry, unknownOutcome(entry.method, 'connection lost'));
        } else if (entry.isInFlight) {
          entry.wasCut = true;
          takeBack(entry);
        }
      }
    },

    answer({ id, ok, payload, error }) {
      const entry = entries.get(id);
      if (!entry) return;
      const refusal = ok ? undefined : GatewayError.fromWire(error ?? { code: 'INTERNAL', message: entry.method });
      if (refusal?.retryable && entry.replay !== 'never') {
        takeBack(entry);
        entry.notBeforeMs = clock.elapsed() + backoffMs(entry.refusals++, random, refusal.retryAfterMs);
      } else if (ok && entry.expectsFinal && (payload as { status?: unknown } | null)?.status === 'accepted') {
        // Taken: what its session asks for after it need not wait for the end.
        entry.refusals = 0;
        entry.isAccepted = true;
      } else {
        settle(entry, refusal, payload);
      }
      flush();
    },

    end(error) {
      ended = error;
      cancelTimer?.();
      for (const entry of [...entries.values()]) settle(entry, error);
    },
  };
}

/** It never left, for all that is known. */
function isUnsent({ isInFlight, wasCut }: Entry): boolean {
  return !isInFlight && !wasCut;
}

/** It is here again, to be sent again. */
function takeBack(entry: Entry): void {
  entry.isInFlight = false;
  entry.isAccepted = false;
}

function keep(entry: Entry): void {
  const { id, method, params, key: idempotencyKey = '', expiresAt, store } = entry;
  void quietly(() => store?.put({ id, method, params, idempotencyKey, expiresAt, isSent: !isUnsent(entry) }));
}

/** Whether it takes one of the places in flight once it is sent. */
function isCounted({ isAccepted, isControl, method }: Entry): boolean {
  return !isAccepted && !isControl && method !== waitingMethod;
}

function pastDeadline(entry: Entry, timeoutMs: number): GatewayError {
  if (!isUnsent(entry)) return unknownOutcome(entry.method, `no answer within ${timeoutMs} ms`);
  return new GatewayError('DEADLINE', `${entry.method} was not sent within ${timeoutMs} ms.`);
}

function unknownOutcome(method: string, why: string): GatewayError {
  return new GatewayError('UNKNOWN_OUTCOME', `${method}: ${why}; it may have been executed; look first.`);
}

function aborted(what: string, cause?: unknown): GatewayError {
  return new GatewayError('ABORTED', `Aborted: ${what}`, { cause });
}

/** The frame of a request. */
export function requestText(id: string, method: string, params: unknown): string {
  return JSON.stringify({ type: 'req', id, method, params });
}

async function quietly(action: () => void | Promise<void> | undefined): Promise<void> {
  try {
    await action();
  } catch {
    // What a store can't keep lives as long as the page.
  }
}
