import { type Clock, isGatewayError, type RunPart } from '@openclaw/protocol/wire';

/** What an {@link EmitWindow} needs of its surroundings. */
export interface EmitWindowOptions {
  /** The last emit that is committed; the next is `n + 1`. */
  n: number;
  clock: Clock;
  /** Runs a task after what the current tick brings; the parts of a tick become one emit. */
  defer: (task: () => void) => void;
  /** Sends one `run.emit`; rejects with the gateway's error. */
  send: (n: number, parts: RunPart[], signal: AbortSignal) => Promise<{ n: number; expected?: number | undefined }>;
  /** The run has its terminal event, whoever caused it; nothing is sent any more. */
  ended: () => void;
  /** The gateway refused a part for good, with its words. */
  refused: (error: unknown) => void;
}

interface Batch {
  n: number;
  parts: RunPart[];
  weight: number;
}

/** Emits on their way at once; what comes meanwhile waits and is joined. Well below the gateway's 64. */
const maxInFlight = 8;
/** Bytes, estimated from above, that may be unacknowledged before the agent has to wait; the gateway's limit is 1 MiB. */
const maxUnackedBytes = 768 * 1024;
const maxBatchBytes = 192 * 1024;
const maxBatchParts = 256;
/** What the gateway adds to a part: the names of its run and session. */
const frameBytes = 320;
const retryMs = 500;

/**
 * The numbered emits of one run (S28). Keeps what is not acknowledged and sends it again, in order and with the same
 * numbers, after a reconnect or a retryable refusal; joins adjacent deltas of one part while they wait. Sends only
 * between `attach` and `detach`.
 */
export class EmitWindow {
  #options: EmitWindowOptions;
  #lastN: number;
  #inFlight: Batch[] = [];
  #sentCount = 0;
  #waiting: { part: RunPart; weight: number }[] = [];
  #unackedBytes = 0;
  #link: AbortController | undefined;
  #isFlushDue = false;
  #isRetryDue = false;
  #isOver = false;
  #wakers: (() => void)[] = [];

  constructor(options: EmitWindowOptions) {
    this.#options = options;
    this.#lastN = options.n;
  }

  /** Queues parts; they leave with what else this tick brings. */
  push(parts: readonly RunPart[]): void {
    if (this.#isOver) return;
    for (const part of parts) {
      const last = this.#waiting.at(-1);
      const joined = last && joinDeltas(last.part, part);
      const weight = partBytes(part);
      this.#unackedBytes += weight;
      if (last && joined && last.weight + weight <= maxBatchBytes / 2) {
        this.#waiting[this.#waiting.length - 1] = { part: joined, weight: last.weight + weight };
      } else {
        this.#waiting.push({ part, weight });
      }
    }
    this.#flushSoon();
  }

  /** Resolves when the agent may be asked for more: immediately, unless too much is unacknowledged. */
  async room(): Promise<void> {
    while (!this.#isOver && this.#unackedBytes > maxUnackedBytes) await this.#change();
  }

  /** Resolves when everything is acknowledged, or the run is over. */
  async drained(): Promise<void> {
    while (!this.#isOver && (this.#waiting.length > 0 || this.#inFlight.length > 0)) await this.#change();
  }

  /** Says that the run is alive, if nothing is on its way anyhow. */
  keepAlive(): void {
    const link = this.#link;
    if (!link || this.#isOver || this.#inFlight.length > 0) return;
    this.#options.send(0, [], link.signal).catch((error: unknown) => {
      if (isGatewayError(error) && error.code === 'RUN_ENDED') this.#end();
    });
  }

  /** The connection holds the agent's stream: everything unacknowledged goes out, then what waits. */
  attach(): void {
    this.detach();
    this.#link = new AbortController();
    this.#flushSoon();
  }

  /** The connection is gone: nothing goes out, nothing is forgotten. */
  detach(): void {
    const link = this.#link;
    this.#link = undefined;
    this.#sentCount = 0;
    link?.abort(new Error('the connection to the gateway is gone'));
  }

  /** Ends it: what is unacknowledged is dropped, those who wait go on. */
  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.detach();
    this.#waiting = [];
    this.#inFlight = [];
    this.#wake();
  }

  /** Drops everything that is unacknowledged and queues `parts` in its place, under the first unacknowledged number. */
  replaceAll(parts: readonly RunPart[]): void {
    const first = this.#inFlight[0];
    if (first) this.#lastN = first.n - 1;
    this.#inFlight = [];
    this.#waiting = [];
    this.#unackedBytes = 0;
    if (this.#link) this.attach();
    this.push(parts);
  }

  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#options.defer(() => {
      this.#isFlushDue = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (!this.#link || this.#isOver || this.#isRetryDue) return;
    while (this.#waiting.length > 0 && this.#hasRoomFor(this.#waiting[0]?.weight ?? 0))
      this.#inFlight.push(this.#cutBatch());
    while (this.#sentCount < this.#inFlight.length) {
      const batch = this.#inFlight[this.#sentCount++] as Batch;
      void this.#send(batch, this.#link);
    }
  }

  /** What is on its way stays below what the gateway takes without an answer: beyond that it would cut the agent off. */
  #hasRoomFor(weight: number): boolean {
    if (this.#inFlight.length === 0) return true;
    return this.#inFlight.length < maxInFlight && this.#bytesOnWay + weight <= maxUnackedBytes;
  }

  get #bytesOnWay(): number {
    let bytes = 0;
    for (const batch of this.#inFlight) bytes += batch.weight;
    return bytes;
  }

  #cutBatch(): Batch {
    const most = Math.min(maxBatchBytes, maxUnackedBytes - this.#bytesOnWay);
    let count = 0;
    let weight = 0;
    for (const next of this.#waiting) {
      if (count > 0 && (count === maxBatchParts || weight + next.weight > most)) break;
      weight += next.weight;
      count++;
    }
    const parts = this.#waiting.splice(0, count).map(({ part }) => part);
    return { n: ++this.#lastN, parts, weight };
  }

  async #send(batch: Batch, link: AbortController): Promise<void> {
    try {
      const { n, expected } = await this.#options.send(batch.n, batch.parts, link.signal);
      if (expected === undefined) this.#acknowledge(n);
      else if (link === this.#link) this.#goBack(expected);
    } catch (error) {
      if (this.#isOver) return;
      if (isGatewayError(error) && error.code === 'RUN_ENDED') return this.#end();
      if (link !== this.#link) return;
      const expected = isGatewayError(error) ? error.details?.expected : undefined;
      if (typeof expected === 'number') return this.#goBack(expected);
      if (isRetryable(error)) return this.#goBack(this.#inFlight[0]?.n ?? batch.n, error.retryAfterMs);
      this.#options.refused(error);
    }
  }

  #acknowledge(n: number): void {
    while (this.#inFlight[0] && this.#inFlight[0].n <= n) {
      this.#unackedBytes -= (this.#inFlight.shift() as Batch).weight;
      this.#sentCount = Math.max(0, this.#sentCount - 1);
    }
    this.#wake();
    if (this.#waiting.length > 0) this.#flushSoon();
  }

  /** The gateway wants `expected` next: everything from there on goes out again, a little later. */
  #goBack(expected: number, delayMs = retryMs): void {
    this.#acknowledge(expected - 1);
    const first = this.#inFlight[0];
    if (first && first.n > expected) {
      this.#options.refused(new Error(`The gateway expects emit ${expected}, which it acknowledged before.`));
      return;
    }
    const link = this.#link;
    this.#link = link && new AbortController();
    this.#sentCount = 0;
    link?.abort(new Error('sent again in order'));
    if (this.#isRetryDue) return;
    this.#isRetryDue = true;
    this.#options.clock.schedule(() => {
      this.#isRetryDue = false;
      this.#flush();
    }, delayMs);
  }

  #end(): void {
    if (this.#isOver) return;
    this.stop();
    this.#options.ended();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wakers.push(resolve));
  }

  #wake(): void {
    const wakers = this.#wakers;
    this.#wakers = [];
    for (const wake of wakers) wake();
  }
}

const retryableCodes: ReadonlySet<string> = new Set([
  'UNAVAILABLE',
  'QUEUE_FULL',
  'UNKNOWN_OUTCOME',
  'DEADLINE',
  'CLOSED',
]);

function isRetryable(error: unknown): error is { retryAfterMs: number | undefined } {
  return isGatewayError(error) && (error.retryable || retryableCodes.has(error.code));
}

/** One delta for two adjacent ones of the same part, else undefined. */
function joinDeltas(earlier: RunPart, later: RunPart): RunPart | undefined {
  if (earlier.stream !== 'assistant' && earlier.stream !== 'thinking') return undefined;
  if (later.stream !== earlier.stream || later.data.itemId !== earlier.data.itemId || later.data.replace)
    return undefined;
  if (later.data.at !== earlier.data.at + earlier.data.delta.length) return undefined;
  return { stream: earlier.stream, data: { ...earlier.data, delta: earlier.data.delta + later.data.delta } };
}

/** What JSON writes as more than three bytes. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const escaped = /[\u0000-\u001f]|\p{Surrogate}/u;

/** An upper bound that costs no encoding for text: a UTF-16 unit is at most 3 bytes of UTF-8, or 6 where it is escaped. */
function partBytes(part: RunPart): number {
  if (part.stream !== 'assistant' && part.stream !== 'thinking')
    return frameBytes + 3 * JSON.stringify(part.data).length;
  const { delta } = part.data;
  return frameBytes + (escaped.test(delta) ? 6 : 3) * delta.length;
}
