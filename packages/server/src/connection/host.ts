import type { Clock, HelloOk, RequestFrame } from '@openclaw/protocol';
import type { SafeObserver } from '../observer.ts';
import type { AuditNote } from '../streams/audit-trail.ts';
import type { Documents } from '../streams/documents.ts';
import type { Pairing } from './pairing.ts';
import type { Identity, Peer } from './peer.ts';

/** An entry of the audit trail, without its time. */
export type AccessNote = AuditNote;

/** What connections need of the gateway; the gateway needs nothing of them but {@link Peer}. */
export interface ConnectionHost {
  readonly clock: Clock;
  /** Devices, hashed tokens and codes. Changes join the tick's commit. */
  readonly documents: Documents;
  /** Devices that wait to be let in. */
  readonly pairing: Pairing;
  readonly observer: SafeObserver;
  /** Adds to the audit trail with this tick's commit; alike refusals are joined. */
  note(entry: AccessNote): void;
  /** Runs `task` when everything that this tick changed is committed (at once if nothing is), else `failed` (S13). */
  afterCommit(task: () => void, failed?: (error: unknown) => void): void;
  phase(): 'starting' | 'ready' | 'draining';
  /** The parts of hello-ok that do not depend on the handshake, as far as `identity` may see them. */
  hello(identity: Identity): Pick<HelloOk, 'features' | 'snapshot'> & { version: string; bootId: string };
  /** The handshake is done and hello-ok was sent: the peer may get events from now on. */
  joined(peer: Peer): void;
  /** A request after hello. Envelope checked, params not. */
  received(peer: Peer, frame: RequestFrame): void;
  /** The peer lost scopes: what these allowed is to end. */
  narrowed(peer: Peer): void;
  /** The peer's queue fell below the low watermark after it had been above the high one. */
  drained(peer: Peer): void;
  /** The end of a peer that had joined. */
  left(peer: Peer): void;
}
