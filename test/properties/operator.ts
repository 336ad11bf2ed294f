import {
  type Bookmark,
  connect,
  type Dialer,
  type Gateway,
  type GatewayError,
  isGatewayError,
  type QueueStore,
  type StoredRequest,
} from '@openclaw/client';
import { canonicalSessionKey, type QueueMode, sessionStream } from '@openclaw/protocol';
import type { Findings } from './findings.ts';
import { Replica } from './replica.ts';
import { Process, type Simulation } from './simulation.ts';
import type { Truth } from './truth.ts';

/** A request or run whose end the world waits for. */
export interface Waiting {
  what: string;
  isSettled: boolean;
}

/** How the sending of a message was answered. */
export interface SendOutcome {
  key: string;
  sessionKey: string;
  principal: string;
  message: string;
  /** The gateway's word for it, or the code of the error. */
  answer: string;
}

interface Reading {
  stream: string;
  /** The name that it is asked for by. */
  name: string;
  replica: Replica;
  bookmark: Bookmark | undefined;
  /** How long the application takes for one event, in ms. */
  handlerMs: number;
}

export interface OperatorOptions {
  simulation: Simulation;
  truth: Truth;
  findings: Findings;
  /** The principal; two operators may share one. */
  id: string;
  /** Its own name, for traces. */
  name: string;
  dial: (owner: Process) => Dialer;
  scopes: readonly string[];
}

/** A person's client: our SDK in a process that may be killed and come back with its bookmarks and its queue. */
export class Operator {
  readonly id: string;
  readonly name: string;
  readonly waiting = new Set<Waiting>();
  /** How many requests and runs were waited for. */
  waitCount = 0;
  readonly sends: SendOutcome[] = [];
  /** Keys of other keyed requests that were answered well. */
  readonly done: { method: string; key: string; label?: string }[] = [];
  readonly readings: Reading[] = [];
  readonly stored = new Map<string, StoredRequest>();
  process!: Process;
  gateway!: Gateway;
  readonly #options: OperatorOptions;
  #lifeCount = 0;

  constructor(options: OperatorOptions) {
    this.id = options.id;
    this.name = options.name;
    this.#options = options;
    this.start();
  }

  /** A new process: what it reads goes on from the bookmarks, what was not answered is sent again. */
  start(): void {
    const { simulation, dial } = this.#options;
    this.process = new Process(simulation, `${this.name}#${++this.#lifeCount}`);
    this.waiting.clear();
    const queueStore: QueueStore = {
      load: () => [...this.stored.values()],
      put: (request) => void this.stored.set(request.id, request),
      remove: (id) => void this.stored.delete(id),
    };
    const { process } = this;
    const guarded: QueueStore = {
      load: queueStore.load,
      put: (request) => (process.isAlive ? queueStore.put(request) : undefined),
      remove: (id) => (process.isAlive ? queueStore.remove(id) : undefined),
    };
    this.gateway = connect({
      dialer: dial(process),
      clock: process,
      random: simulation.random,
      scopes: this.#options.scopes,
      queueStore: guarded,
      page: {},
      limits: {
        lingerMs: simulation.pick([0, 2_000, 30_000]),
        ...(simulation.chance(0.2) ? { bufferedEvents: 4 } : {}),
      },
    });
    this.gateway.on('restored', ({ method, idempotencyKey, result, error }) => {
      if (!error) this.done.push({ method, key: idempotencyKey, ...labelOf(result) });
      else if (error.code === 'INTERNAL')
        this.#options.findings.report('I4', `${method} was answered INTERNAL: ${error.message}`);
    });
    this.gateway.on('state', ({ state, reason }) => {
      if (state === 'failed' && process.isAlive)
        this.#options.findings.report('I4', `${process.name} failed for good: ${reason}`);
    });
    for (const reading of this.readings) void this.#read(reading);
  }

  /** Kills the process and starts the next one. */
  restart(): void {
    this.process.kill();
    this.start();
  }

  /** Follows a stream for good: after a deletion, the next life of it. `after` may be any place. */
  follow(name: string, after?: Bookmark): void {
    const { truth, findings, simulation } = this.#options;
    const key = name.startsWith('session:') ? canonicalSessionKey(name.slice('session:'.length)) : undefined;
    const stream = key === undefined ? name : sessionStream(key);
    const report = (invariant: string, problem: string) => findings.report(invariant, `${this.name}: ${problem}`);
    const replica = new Replica(stream, truth, report, after);
    const handlerMs = simulation.chance(0.15) ? simulation.integer(1, 400) : 0;
    const reading: Reading = { stream, name, replica, bookmark: after, handlerMs };
    this.readings.push(reading);
    simulation.note(
      `${this.process.name} follows ${name} as reader ${this.readings.length} after ${JSON.stringify(after)}`,
    );
    void this.#read(reading);
  }

  async #read(reading: Reading): Promise<void> {
    const { process, gateway } = this;
    const { replica } = reading;
    // Killed in its handler, a process comes back with the bookmark from before, and takes the item again.
    let restore = () => {};
    process.onKill(() => restore());
    while (process.isAlive) {
      const events = gateway.stream(reading.name).events({ after: reading.bookmark });
      try {
        for await (const item of events) {
          if (!process.isAlive) return;
          this.#options.simulation.note(
            `${process.name} reader ${this.readings.indexOf(reading) + 1} is told ${item.type === 'reset' ? item.reason : item.event} ${item.bookmark.offset} of ${item.bookmark.epoch}`,
          );
          restore = replica.save();
          replica.apply(item);
          if (reading.handlerMs > 0 && !this.#options.findings.isHealed) await process.sleep(reading.handlerMs);
          restore = () => {};
          reading.bookmark = item.bookmark;
        }
      } catch (error) {
        if (!process.isAlive) return;
        this.#options.findings.report('I4', `${this.name}: reading ${reading.name} threw ${String(error)}`);
        return;
      }
      if (gateway.state === 'closed' || gateway.state === 'failed') return;
      reading.bookmark = undefined;
      await process.sleep(200);
    }
  }

  /** Sends a message and follows its run; what is told of it must add up. */
  send(sessionKey: string, message: string, key: string, queueMode?: QueueMode): void {
    const { process } = this;
    const run = this.gateway
      .session(sessionKey)
      .send(message, { idempotencyKey: key, ...(queueMode ? { queueMode } : {}) });
    const final = this.#wait(`the run ${key}`);
    run.final.then(
      (answer) => {
        final();
        this.#options.findings.answered(key, answer);
      },
      (error: GatewayError) => {
        final();
        this.#options.findings.ended(key, error);
      },
    );
    const told = this.#wait(`the parts of the run ${key}`);
    void (async () => {
      let text = '';
      let wasReset = false;
      const texts = new Map<string, string>();
      try {
        for await (const part of run) {
          if (part.type === 'reset') wasReset = true;
          if (part.type !== 'text') continue;
          const known = texts.get(part.itemId) ?? '';
          if (!part.replace && known + part.delta !== part.text)
            this.#options.findings.report('I2', `the part ${part.itemId} of ${key} does not continue what was told`);
          texts.set(part.itemId, part.text);
        }
        text = [...texts.values()].join('');
        if (!wasReset) this.#options.findings.heard(key, text);
      } catch {
        // As `final`.
      }
      if (process.isAlive) told();
    })();
  }

  /** Sends the same message under the same key, by the plain request. */
  sendAgain(sessionKey: string, message: string, key: string): void {
    const outcome: SendOutcome = { key, sessionKey, principal: this.id, message, answer: '' };
    this.#track(
      `chat.send ${key}`,
      this.gateway.request('chat.send', { sessionKey, message }, { idempotencyKey: key }),
      (answer) => {
        outcome.answer = typeof answer === 'string' ? answer : String((answer as { status: string }).status);
        this.sends.push(outcome);
      },
    );
  }

  /** Any request; its outcome is what the caller wants to know. */
  request(
    method: string,
    params: Record<string, unknown>,
    options: { idempotencyKey?: string; timeoutMs?: number; signal?: AbortSignal } = {},
    then: (answer: unknown) => void = () => {},
  ): void {
    const key = options.idempotencyKey;
    this.#track(method, this.gateway.request(method, params, options), (answer) => {
      if (key !== undefined && typeof answer !== 'string') this.done.push({ method, key, ...labelOf(answer) });
      then(answer);
    });
  }

  /** Aborts a run that it knows of. */
  abort(sessionKey: string, runId: string): void {
    this.#track(`abort ${runId}`, this.gateway.session(sessionKey).attach(runId).abort(), () => {});
  }

  #track(what: string, promise: Promise<unknown>, then: (answer: unknown) => void): void {
    const { process } = this;
    const settled = this.#wait(what);
    promise.then(
      (answer) => {
        settled();
        if (process.isAlive) then(answer);
      },
      (error: unknown) => {
        settled();
        const code = isGatewayError(error) ? error.code : String(error);
        const isFault = code === 'INTERNAL' || (isGatewayError(error) && error.details?.code === 'INTERNAL');
        if (isFault) this.#options.findings.report('I4', `${what}: ${String(error)}`);
        if (process.isAlive) then(code);
      },
    );
  }

  #wait(what: string): () => void {
    const waiting: Waiting = { what, isSettled: false };
    const { waiting: all } = this;
    all.add(waiting);
    this.waitCount++;
    return () => {
      waiting.isSettled = true;
      all.delete(waiting);
    };
  }
}

function labelOf(result: unknown): { label?: string } {
  const label = (result as { entry?: { label?: unknown } } | undefined)?.entry?.label;
  return typeof label === 'string' ? { label } : {};
}
