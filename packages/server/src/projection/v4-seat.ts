import type { Peer } from '../connection/peer.ts';
import { watermarks } from '../transport/server-transport.ts';
import type { RunText, TextCursor } from './run-text.ts';
import { type ProjectedEvent, textEvent } from './v4-payloads.ts';
import { inOrder, type PendingText, type V4Run } from './v4-run.ts';

/** A v4 connection that projections go to: what it asked for, and, while it is slow, how far it has followed which text. */
export class V4Seat {
  /** Whether it asked for the changes and messages of every session. */
  hasSessions = false;
  /** The sessions whose messages it asked for. */
  readonly sessionKeys = new Set<string>();
  readonly hasTools: boolean;
  readonly #peer: Peer;
  /** By run, the texts that went on without this peer. Their words are in the run; here is only how far it has them. */
  readonly #held = new Map<V4Run, Map<RunText, TextCursor>>();

  constructor(peer: Peer) {
    this.#peer = peer;
    this.hasTools = peer.caps.has('tool-events');
  }

  /** Whether it asked for the messages of this session. */
  reads(sessionKey: string): boolean {
    return this.hasSessions || this.sessionKeys.has(sessionKey);
  }

  send({ event, json }: ProjectedEvent): void {
    if (this.#peer.isOpen) this.#peer.sendEvent(event, json);
  }

  /** The runs of which something was held back. */
  get heldRuns(): V4Run[] {
    return [...this.#held.keys()];
  }

  /** Sends text that went on, or, while the peer is slow, keeps how far it has followed (S26). */
  sendText(run: V4Run, pending: PendingText[], events: ProjectedEvent[]): void {
    if (!this.#held.has(run) && this.#peer.queuedBytes <= watermarks.highBytes) {
      for (const event of events) this.send(event);
      return;
    }
    this.#hold(run, pending);
    if (this.#peer.queuedBytes <= watermarks.lowBytes) this.catchUp(run);
  }

  /**
   * Sends what was held back of a run, joined. `isAgentOnly` leaves chat's part for later: for an `agent` event that must
   * not overtake the ones before it. Nothing of the run may wait to be sent to the others at this moment.
   */
  catchUp(run: V4Run, { isAgentOnly = false }: { isAgentOnly?: boolean } = {}): void {
    const held = this.#held.get(run);
    if (!held) return;
    for (const text of inOrder(held.keys(), run)) {
      if (isAgentOnly && text === run.answer) continue;
      const event = textEvent(run.identity, text, held.get(text) as TextCursor);
      held.delete(text);
      if (event) this.send(event);
    }
    if (held.size === 0) this.#held.delete(run);
  }

  /** The run has ended. */
  forget(run: V4Run): void {
    this.#held.delete(run);
  }

  #hold(run: V4Run, pending: PendingText[]): void {
    let held = this.#held.get(run);
    if (!held) {
      held = new Map();
      this.#held.set(run, held);
    }
    for (const { text, before } of pending) if (!held.has(text)) held.set(text, before);
  }
}
