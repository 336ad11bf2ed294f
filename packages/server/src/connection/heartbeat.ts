import type { Clock } from '@openclaw/protocol';

/** What the heartbeat needs of a connection. */
export interface Beating {
  readonly queuedBytes: number;
  /** Whether its silence means something: it answers pings, and its requests are being read. */
  readonly isPingable: boolean;
  /** Whether some queued bytes went out since the last call. */
  hasDrained(): boolean;
  /** Asks for a sign of life and sends `tick` with this payload. */
  beat(tickJson: string): void;
  /** The handshake took too long. */
  handshakeExpired(): void;
  /** No sign of life for a whole round (S22). */
  heartbeatLost(): void;
  /** No queued byte went out in time (S27). */
  drainStalled(): void;
}

export interface HeartbeatOptions {
  clock: Clock;
  /** How long a handshake may take. */
  handshakeMs: number;
  /** Runs a task when everything that has arrived was read. Default `setImmediate`. */
  defer?: (task: () => void) => void;
}

/** A round of the wheel: every connection is visited once. */
export const beatIntervalMs = 5_000;
const slotCount = 20;
const slotMs = beatIntervalMs / slotCount;
/** S27. */
const drainLimitTurns = 15_000 / slotMs;
/** A silent one is judged a slot before its next visit, so that a loss is seen within two rounds whatever the timers do. */
const judgedAheadSlots = 1;

interface Seat {
  isAwaited: boolean;
  /** The turn since which queued bytes have not moved; undefined while nothing is queued. */
  stalledSinceTurn: number | undefined;
}

/**
 * One timer for the liveness of all connections: a wheel of 20 slots that turns every 250 ms and visits each connection
 * every 5 s. Time is counted in turns, so an event loop that stood still for long counts as one turn, and judging waits
 * until what has arrived meanwhile was read: nobody is blamed for our own lag. Without connections no timer runs.
 */
export class Heartbeat {
  readonly #clock: Clock;
  /** How long a handshake may take, in ms; a change counts for those that begin after it. */
  handshakeMs: number;
  readonly #defer: (task: () => void) => void;
  readonly #slots: Map<Beating, Seat>[] = Array.from({ length: slotCount }, () => new Map());
  /** By their deadline, in turns. */
  readonly #handshakes = new Map<Beating, number>();
  readonly #slotOf = new Map<Beating, Map<Beating, Seat>>();
  #turn = 0;
  #nextSlot = 0;
  #cancel: (() => void) | undefined;

  constructor({ clock, handshakeMs, defer = setImmediate }: HeartbeatOptions) {
    this.#clock = clock;
    this.handshakeMs = handshakeMs;
    this.#defer = defer;
  }

  /** Gives a connection until the handshake's limit to be added. */
  awaitHandshake(connection: Beating): void {
    this.#handshakes.set(connection, this.#turn + Math.ceil(this.handshakeMs / slotMs) + 1);
    this.#cancel ??= this.#schedule();
  }

  /** Watches a connection from its hello on. */
  add(connection: Beating): void {
    this.#handshakes.delete(connection);
    // Round robin over the slots spreads the work evenly, however connections come and go.
    const slot = this.#slots[this.#nextSlot]!;
    this.#nextSlot = (this.#nextSlot + 1) % slotCount;
    slot.set(connection, { isAwaited: false, stalledSinceTurn: undefined });
    this.#slotOf.set(connection, slot);
    this.#cancel ??= this.#schedule();
  }

  /** Stops watching it. */
  remove(connection: Beating): void {
    this.#slotOf.get(connection)?.delete(connection);
    this.#slotOf.delete(connection);
    this.#handshakes.delete(connection);
    if (!this.#isIdle) return;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** The connection showed a sign of life. */
  noteAlive(connection: Beating): void {
    const seat = this.#slotOf.get(connection)?.get(connection);
    if (seat) seat.isAwaited = false;
  }

  get #isIdle(): boolean {
    return this.#slotOf.size === 0 && this.#handshakes.size === 0;
  }

  #schedule(): () => void {
    return this.#clock.schedule(() => {
      this.#cancel = undefined;
      this.#defer(() => {
        this.#advance();
        if (!this.#isIdle) this.#cancel ??= this.#schedule();
      });
    }, slotMs);
  }

  #advance(): void {
    this.#turn++;
    const at = (offset: number) => [...this.#slots[(this.#turn + offset) % slotCount]!];
    for (const [connection, seat] of at(judgedAheadSlots)) {
      if (seat.isAwaited && connection.isPingable && connection.queuedBytes === 0) connection.heartbeatLost();
    }
    const tickJson = JSON.stringify({ ts: this.#clock.now() });
    for (const [connection, seat] of at(0)) this.#visit(connection, seat, tickJson);
    for (const [connection, deadline] of this.#handshakes) {
      if (deadline > this.#turn) continue;
      this.#handshakes.delete(connection);
      connection.handshakeExpired();
    }
  }

  #visit(connection: Beating, seat: Seat, tickJson: string): void {
    const hasDrained = connection.hasDrained();
    if (connection.queuedBytes === 0) {
      seat.stalledSinceTurn = undefined;
    } else if (hasDrained || seat.stalledSinceTurn === undefined) {
      seat.stalledSinceTurn = this.#turn;
      seat.isAwaited = false;
    } else if (this.#turn - seat.stalledSinceTurn >= drainLimitTurns) {
      connection.drainStalled();
      return;
    }
    seat.isAwaited = connection.isPingable;
    connection.beat(tickJson);
  }
}
