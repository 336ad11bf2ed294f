import type { Transport, TransportEvents } from '@openclaw/protocol';
import type { Process, Simulation } from './simulation.ts';

/** What a link may do to its messages. */
export interface LinkOptions {
  /** The longest time that a message is on its way, in ms. */
  latencyMs: number;
  /** Called with every message that the server's end sends, at the moment of sending. */
  sent?: (text: string) => void;
}

type Side = 'client' | 'server';

interface End {
  side: Side;
  owner: Process;
  events: TransportEvents | undefined;
  /** What was sent from here and has not arrived. */
  queue: { text: string; bytes: number }[];
  queuedBytes: number;
  isDelivering: boolean;
  isClosed: boolean;
  /** The close that follows what is in the queue. */
  goodbye: { code: number; reason: string } | undefined;
  /** Nothing leaves from here before this time; never, when it is infinite. */
  blockedUntilMs: number;
}

/** A connection between two processes that may lose what is in flight, stall, go silent, be slow, or break at any message. */
export class Link {
  readonly client: Transport;
  readonly server: Transport;
  isOver = false;
  /** How many bytes a character from the server counts in `queuedBytes`: makes small worlds have slow readers. */
  weight = 1;
  /** A slow reader: ms for each message from the server. */
  perMessageMs = 0;
  readonly #simulation: Simulation;
  readonly #options: LinkOptions;
  readonly #ends: Record<Side, End>;
  readonly #name: string;

  constructor(simulation: Simulation, owners: { client: Process; server: Process }, options: LinkOptions) {
    this.#simulation = simulation;
    this.#options = options;
    this.#ends = { client: makeEnd('client', owners.client), server: makeEnd('server', owners.server) };
    this.client = this.#transport(this.#ends.client);
    this.server = this.#transport(this.#ends.server);
    this.#name = `${owners.client.name}~${owners.server.name}`;
    owners.client.onKill(() => this.#died(this.#ends.client));
    owners.server.onKill(() => this.#died(this.#ends.server));
  }

  /** Breaks it: what is in flight is lost, both ends learn of it by and by. */
  cut(): void {
    this.#simulation.note(`${this.#name} is cut`);
    for (const end of [this.#ends.client, this.#ends.server]) this.#lose(end, this.#simulation.random() * 200);
  }

  /** Nothing passes in one direction, or either, and nobody is told. */
  block(direction: Side | 'both', ms: number): void {
    this.#simulation.note(`${this.#name} is blocked from ${direction} for ${ms} ms`);
    const untilMs = this.#simulation.elapsed() + ms;
    for (const end of [this.#ends.client, this.#ends.server]) {
      if (direction === 'both' || direction === end.side) end.blockedUntilMs = Math.max(end.blockedUntilMs, untilMs);
    }
  }

  #transport(end: End): Transport {
    return {
      get queuedBytes() {
        return end.queuedBytes;
      },
      send: (text) => this.#send(end, text),
      open: (events) => {
        end.events = events;
        this.#deliver(this.#other(end));
      },
      close: (code, reason) => this.#close(end, code, reason),
    };
  }

  #other(end: End): End {
    return this.#ends[end.side === 'client' ? 'server' : 'client'];
  }

  #send(end: End, text: string): void {
    if (end.isClosed || end.goodbye || !end.owner.isAlive) return;
    if (end.side === 'server') this.#options.sent?.(text);
    const bytes = text.length * (end.side === 'server' ? this.weight : 1);
    end.queue.push({ text, bytes });
    end.queuedBytes += bytes;
    this.#deliver(end);
  }

  #close(end: End, code: number, reason: string): void {
    if (end.isClosed || end.goodbye || !end.owner.isAlive) return;
    end.goodbye = { code, reason };
    this.#deliver(end);
    this.#lose(end, 0, code, reason);
  }

  #deliver(end: End): void {
    if (end.isDelivering) return;
    end.isDelivering = true;
    const { latencyMs } = this.#options;
    const slowMs = end.side === 'server' ? this.perMessageMs : 0;
    this.#simulation.schedule(
      () => {
        end.isDelivering = false;
        this.#arrive(end);
      },
      slowMs + (this.#simulation.chance(0.5) ? 0 : this.#simulation.random() * latencyMs),
    );
  }

  #arrive(end: End): void {
    const peer = this.#other(end);
    if (this.isOver || peer.isClosed || !peer.owner.isAlive || !peer.events) return;
    const waitMs = end.blockedUntilMs - this.#simulation.elapsed();
    if (waitMs > 0) {
      if (Number.isFinite(waitMs)) this.#simulation.schedule(() => this.#deliver(end), waitMs);
      return;
    }
    let left = this.perMessageMs > 0 && end.side === 'server' ? 1 : this.#simulation.integer(1, 8);
    const { events } = peer;
    while (left-- > 0 && end.queue.length > 0 && !peer.isClosed && !peer.goodbye) {
      const { text, bytes } = end.queue.shift() as End['queue'][number];
      end.queuedBytes -= bytes;
      if (this.#simulation.trace)
        this.#simulation.note(`${this.#name} ${end.side === 'client' ? '>' : '<'} ${text.slice(0, 300)}`);
      events.message(text);
    }
    if (!end.isClosed && !end.goodbye && end.owner.isAlive) end.events?.drained();
    if (end.queue.length > 0) this.#deliver(end);
    else if (end.goodbye && !peer.isClosed) this.#lose(peer, 0, end.goodbye.code, end.goodbye.reason);
  }

  /** The owner of one end is gone: the other side hears of it, most of the time. */
  #died(end: End): void {
    end.isClosed = true;
    end.queue = [];
    if (this.#simulation.chance(0.85)) this.#lose(this.#other(end), this.#simulation.random() * 100);
    this.#settle();
  }

  #lose(end: End, delayMs: number, code = 1006, reason = ''): void {
    if (end.isClosed) return;
    if (code === 1006) {
      end.queue = [];
      this.#other(end).queue = [];
    }
    end.goodbye ??= { code, reason };
    this.#simulation.schedule(() => {
      if (end.isClosed) return;
      end.isClosed = true;
      this.#settle();
      this.#simulation.note(`${this.#name} ${end.side} hears of the end: ${code} ${reason}`);
      if (end.owner.isAlive) end.events?.closed(code, reason);
    }, delayMs);
  }

  #settle(): void {
    this.isOver = this.#ends.client.isClosed && this.#ends.server.isClosed;
  }
}

function makeEnd(side: Side, owner: Process): End {
  return {
    side,
    owner,
    events: undefined,
    queue: [],
    queuedBytes: 0,
    isDelivering: false,
    isClosed: false,
    goodbye: undefined,
    blockedUntilMs: 0,
  };
}
