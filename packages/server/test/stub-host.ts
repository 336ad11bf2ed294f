import type { RequestFrame } from '@openclaw/protocol';
import { VirtualClock } from '@openclaw/protocol/testing';
import type { ConnectionHost } from '../src/connection/host.ts';
import { Pairing } from '../src/connection/pairing.ts';
import type { Peer } from '../src/connection/peer.ts';
import { noObserver } from '../src/observer.ts';
import type { AuditNote } from '../src/streams/audit-trail.ts';
import { Committer } from '../src/streams/committer.ts';
import { Documents } from '../src/streams/documents.ts';
import { memoryStore } from '../src/streams/memory-store.ts';
import { StreamLog } from '../src/streams/stream-log.ts';

/** A gateway without anything behind its edge: it writes down what it is told, and answers what a test makes it answer. */
export class StubHost implements ConnectionHost {
  readonly clock = new VirtualClock();
  readonly store = memoryStore();
  readonly committer = new Committer({ store: this.store });
  readonly documents = new Documents(this.committer);
  readonly log = new StreamLog({
    store: this.store,
    committer: this.committer,
    elapsed: () => this.clock.elapsed(),
  });
  readonly pairing = new Pairing({
    log: this.log,
    now: () => this.clock.now(),
    elapsed: () => this.clock.elapsed(),
  });
  readonly observer = noObserver;
  readonly notes: AuditNote[] = [];
  currentPhase: 'starting' | 'ready' | 'draining' = 'ready';
  readonly peers: Peer[] = [];
  readonly departed: Peer[] = [];
  readonly drainedPeers: Peer[] = [];
  readonly narrowedPeers: Peer[] = [];
  readonly requests: RequestFrame[] = [];
  answer: (peer: Peer, frame: RequestFrame) => void = (peer, { id }) => peer.respond(id, true, '{}');

  static async create(): Promise<StubHost> {
    const host = new StubHost();
    await host.store.open();
    await host.pairing.start();
    return host;
  }

  afterCommit(task: () => void, failed?: (error: unknown) => void): void {
    this.committer.release(task, failed);
  }

  note(entry: AuditNote): void {
    this.notes.push(entry);
  }

  phase(): 'starting' | 'ready' | 'draining' {
    return this.currentPhase;
  }

  hello(): ReturnType<ConnectionHost['hello']> {
    return {
      version: '0.0.1-test',
      bootId: 'boot-1',
      features: { methods: ['health'], events: ['tick'], capabilities: ['streams'] },
      snapshot: { presence: [], health: { ok: true }, stateVersion: { presence: 1, health: 1 }, uptimeMs: 5 },
    };
  }

  joined(peer: Peer): void {
    this.peers.push(peer);
  }

  received(peer: Peer, frame: RequestFrame): void {
    this.requests.push(frame);
    this.answer(peer, frame);
  }

  narrowed(peer: Peer): void {
    this.narrowedPeers.push(peer);
  }

  drained(peer: Peer): void {
    this.drainedPeers.push(peer);
  }

  left(peer: Peer): void {
    this.departed.push(peer);
  }
}
