import {
  type AgentPayload,
  allowsScope,
  type Clock,
  GatewayError,
  type Payload,
  type RunPart,
} from '@openclaw/protocol';
import type { Peer } from '../connection/peer.ts';
import type { CommittedEvent } from '../streams/committed-event.ts';
import { messageText, v4SessionMessage } from './v4-message.ts';
import {
  agentEvent,
  lifecycleEvents,
  type ProjectedEvent,
  sessionsChanged,
  textEvent,
  toolData,
} from './v4-payloads.ts';
import { journalBefore, V4Run } from './v4-run.ts';
import { V4Seat } from './v4-seat.ts';

export interface V4ProjectionOptions {
  clock: Clock;
  /**
   * What an open run has said so far, deltas joined per part; empty for a run that is not open. Asked when the projection
   * meets a run in its middle, as after a restart.
   */
  journalOf(runId: string): readonly RunPart[];
  /**
   * How often the text of a run is sent at most; what comes in between is joined. Default 100 ms; as much again for every
   * 32 Ki UTF-16 units that the text has.
   */
  deltaIntervalMs?: number;
  /** Sessions whose messages one connection may ask for. Default 4,096. */
  maxSessionKeys?: number;
}

const longTextUnits = 32_768;

/**
 * What connections without `streams` get in place of streams (S4): v4's `chat` and `agent` events, cumulative text
 * included, and `session.message`, `session.tool` and `sessions.changed` for those who subscribed. Made of committed events
 * only. Each event is stringified once for all, `seq` is the connection's own. A slow peer gets joined text (S26); nothing
 * is ever sent again: a peer that comes late gets the whole text with the next delta.
 */
export class V4Projection {
  readonly #clock: Clock;
  readonly #journalOf: V4ProjectionOptions['journalOf'];
  readonly #deltaIntervalMs: number;
  readonly #maxSessionKeys: number;
  readonly #seats = new Map<Peer, V4Seat>();
  /** Open runs. Their texts are followed without peers, too: one may join at any moment, and v4 sends whole texts. */
  readonly #runs = new Map<string, V4Run>();

  constructor({ clock, journalOf, deltaIntervalMs = 100, maxSessionKeys = 4_096 }: V4ProjectionOptions) {
    this.#clock = clock;
    this.#journalOf = journalOf;
    this.#deltaIntervalMs = deltaIntervalMs;
    this.#maxSessionKeys = maxSessionKeys;
  }

  /** Connections that get projections. At 0 nothing is stringified, sent or timed. */
  get peerCount(): number {
    return this.#seats.size;
  }

  /** Takes a peer after its hello. One that has streams, is no operator, or may not read is left out. */
  join(peer: Peer): void {
    const { role, scopes } = peer.identity;
    if (peer.hasStreams || role !== 'operator' || !allowsScope(scopes, 'operator.read')) return;
    this.#seats.set(peer, new V4Seat(peer));
  }

  /** Forgets a peer; one that never joined is fine. */
  leave(peer: Peer): void {
    this.#seats.delete(peer);
    if (this.#seats.size > 0) return;
    for (const run of this.#runs.values()) {
      run.takePending();
      this.#stopJoining(run);
    }
  }

  /** Sends a peer whose queue has drained what was held back meanwhile, joined. */
  drained(peer: Peer): void {
    const seat = this.#seats.get(peer);
    for (const run of seat?.heldRuns ?? []) {
      this.#flush(run);
      seat?.catchUp(run);
    }
  }

  /** v4's `sessions.subscribe`: `sessions.changed`, and the messages and tools of every session, from now on. */
  subscribeSessions(peer: Peer): void {
    const seat = this.#seats.get(peer);
    if (seat) seat.hasSessions = true;
  }

  /** v4's `sessions.unsubscribe`. */
  unsubscribeSessions(peer: Peer): void {
    const seat = this.#seats.get(peer);
    if (seat) seat.hasSessions = false;
  }

  /**
   * v4's `sessions.messages.subscribe`: the messages and tools of one session, by its canonical key, from now on. Throws
   * `INVALID_REQUEST` when the connection has too many.
   */
  subscribeMessages(peer: Peer, sessionKey: string): void {
    const seat = this.#seats.get(peer);
    if (!seat) return;
    if (seat.sessionKeys.size >= this.#maxSessionKeys && !seat.sessionKeys.has(sessionKey)) {
      throw new GatewayError(
        'INVALID_REQUEST',
        `A connection may subscribe to the messages of ${this.#maxSessionKeys} sessions; unsubscribe from some, or use sessions.subscribe.`,
      );
    }
    seat.sessionKeys.add(sessionKey);
  }

  /** v4's `sessions.messages.unsubscribe`. */
  unsubscribeMessages(peer: Peer, sessionKey: string): void {
    this.#seats.get(peer)?.sessionKeys.delete(sessionKey);
  }

  /** Projects the events of one commit, in their order, after that commit. To be called for every commit, peers or not. */
  publish(events: readonly CommittedEvent[]): void {
    const touched = new Set<V4Run>();
    for (const { event, payload } of events) {
      if (event === 'agent') this.#publishPart(payload as AgentPayload, events, touched);
      else if (event === 'session.message') this.#publishMessage(payload as Payload<'session.message'>);
      else if (event === 'sessions.changed') this.#publishChange(payload as Payload<'sessions.changed'>);
    }
    // The first text after a pause leaves at once, all of this commit in one piece.
    for (const run of touched) if (!run.stopJoining) this.#flush(run);
  }

  #publishPart(payload: AgentPayload, events: readonly CommittedEvent[], touched: Set<V4Run>): void {
    if (payload.stream === 'assistant' || payload.stream === 'thinking') {
      const run = this.#meet(payload);
      run.apply(payload);
      touched.add(run);
      return;
    }
    const known = this.#runs.get(payload.runId);
    if (known) this.#flush(known);
    if (payload.stream === 'lifecycle') this.#publishLifecycle(payload, known, events);
    else if (this.#seats.size > 0) this.#publishOther(payload, known);
  }

  #publishOther(payload: Exclude<AgentPayload, { stream: 'lifecycle' }>, known: V4Run | undefined): void {
    if (payload.stream === 'tool') {
      const seats = [...this.#seats.values()];
      const mirrors = seats.filter((seat) => seat.reads(payload.sessionKey));
      if (mirrors.length === 0 && !seats.some(({ hasTools }) => hasTools)) return;
      const tool = agentEvent(payload, payload, 'tool', toolData(payload.data));
      this.#sendAgent(tool, known, ({ hasTools }) => hasTools);
      for (const seat of mirrors) seat.send({ ...tool, event: 'session.tool' });
      return;
    }
    // An emit without parts is kept as a usage without numbers.
    if (payload.stream === 'usage' && Object.keys(payload.data).length === 0) return;
    this.#sendAgent(agentEvent(payload, payload, payload.stream, payload.data), known);
  }

  #publishLifecycle(
    payload: Extract<AgentPayload, { stream: 'lifecycle' }>,
    known: V4Run | undefined,
    events: readonly CommittedEvent[],
  ): void {
    const { phase, startedAt, attempt = 1 } = payload.data;
    const isTerminal = phase === 'end' || phase === 'error';
    let run = known;
    if (!run && !isTerminal) {
      // One that an agent had before is met after a restart of the gateway: it goes on from what it said.
      const isFresh = phase === 'queued' || (phase === 'start' && attempt === 1);
      run = this.#add(new V4Run(identityOf(payload), isFresh ? undefined : this.#journalOf(payload.runId)));
    }
    if (run) run.startedAt ??= startedAt;
    if (this.#seats.size > 0) {
      const answer = isTerminal ? (run?.answer.text ?? this.#answerOf(payload.runId, events)) : '';
      for (const seat of isTerminal && run ? this.#seats.values() : []) seat.catchUp(run as V4Run);
      for (const event of lifecycleEvents(payload, answer, run?.startedAt)) this.#sendAgent(event, run);
    }
    if (isTerminal && run) this.#drop(run);
  }

  #publishMessage(payload: Payload<'session.message'>): void {
    const readers = [...this.#seats.values()].filter((seat) => seat.reads(payload.sessionKey));
    if (readers.length === 0) return;
    const event = { event: 'session.message', json: JSON.stringify(v4SessionMessage(payload)) };
    for (const seat of readers) seat.send(event);
  }

  #publishChange(payload: Payload<'sessions.changed'>): void {
    if (payload.reason === 'delete') {
      for (const run of this.#runs.values()) if (run.identity.sessionKey === payload.sessionKey) this.#drop(run);
    }
    const readers = [...this.#seats.values()].filter((seat) => seat.hasSessions);
    if (readers.length === 0) return;
    const event = { event: 'sessions.changed', json: JSON.stringify(sessionsChanged(payload)) };
    for (const seat of readers) seat.send(event);
  }

  /** Sends an event of a run; what was held back of the run's `agent` events goes before it. */
  #sendAgent(event: ProjectedEvent, run: V4Run | undefined, isFor: (seat: V4Seat) => boolean = () => true): void {
    for (const seat of this.#seats.values()) {
      if (!isFor(seat)) continue;
      if (run) seat.catchUp(run, { isAgentOnly: true });
      seat.send(event);
    }
  }

  /** Sends what was joined, and joins what follows for a while. */
  #flush(run: V4Run): void {
    if (!run.hasPending) return;
    const pending = run.takePending();
    if (this.#seats.size === 0) return;
    const events = pending.flatMap(({ text, before }) => textEvent(run.identity, text, before) ?? []);
    for (const seat of this.#seats.values()) seat.sendText(run, pending, events);
    // Whole texts are sent again and again: a long one less often, so that its cost grows no faster than the text does.
    const factor = 1 + Math.floor(Math.max(...pending.map(({ text }) => text.text.length)) / longTextUnits);
    run.stopJoining ??= this.#clock.schedule(() => {
      run.stopJoining = undefined;
      this.#flush(run);
    }, this.#deltaIntervalMs * factor);
  }

  /** The run of a delta; one that was met in its middle begins with what it said before. */
  #meet(payload: Extract<AgentPayload, { stream: 'assistant' | 'thinking' }>): V4Run {
    const known = this.#runs.get(payload.runId);
    if (known?.precedes(payload)) return known;
    const run = new V4Run(identityOf(payload), journalBefore(this.#journalOf(payload.runId), payload));
    run.startedAt = known?.startedAt;
    if (known) {
      this.#flush(known);
      this.#drop(known);
    }
    return this.#add(run);
  }

  /** The answer of a run of which no delta was seen. */
  #answerOf(runId: string, events: readonly CommittedEvent[]): string {
    for (const { event, payload } of events) {
      if (event !== 'session.message') continue;
      const { message } = payload as Payload<'session.message'>;
      if (message.role === 'assistant' && message.runId === runId) return messageText(message.content);
    }
    let answer = '';
    for (const part of this.#journalOf(runId)) if (part.stream === 'assistant') answer += part.data.delta;
    return answer;
  }

  #add(run: V4Run): V4Run {
    this.#runs.set(run.identity.runId, run);
    return run;
  }

  #stopJoining(run: V4Run): void {
    run.stopJoining?.();
    run.stopJoining = undefined;
  }

  #drop(run: V4Run): void {
    this.#stopJoining(run);
    this.#runs.delete(run.identity.runId);
    for (const seat of this.#seats.values()) seat.forget(run);
  }
}

function identityOf({ runId, sessionKey, sessionId, agentId }: AgentPayload) {
  return { runId, sessionKey, sessionId, agentId };
}
