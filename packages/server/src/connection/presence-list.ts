import { allowsScope, type Clock, type PresenceEntry } from '@openclaw/protocol';
import type { Identity, Peer } from './peer.ts';
import { presenceEntry } from './presence.ts';

/** How often changes of presence are told at most, in ms: a crowd that comes back is one change. */
const tellEveryMs = 1_000;
/** Entries in one list: the newest. */
const maxEntries = 200;

/** Who is connected, as others may see it (S6). */
export class PresenceList {
  readonly #clock: Clock;
  readonly #peers = new Map<Peer, PresenceEntry | undefined>();
  #version = 1;
  #isTelling = false;

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock;
  }

  /** Every connection after hello. */
  get peers(): IterableIterator<Peer> {
    return this.#peers.keys();
  }

  get peerCount(): number {
    return this.#peers.size;
  }

  /** Grows with every change. */
  get version(): number {
    return this.#version;
  }

  /** The newest of those who are listed. */
  get entries(): PresenceEntry[] {
    const listed: PresenceEntry[] = [];
    for (const entry of this.#peers.values()) if (entry) listed.push(entry);
    return listed.length > maxEntries ? listed.slice(-maxEntries) : listed;
  }

  /** The list for someone: empty for whoever may not read it. */
  entriesFor(identity: Identity): PresenceEntry[] {
    return mayRead(identity) ? this.entries : [];
  }

  join(peer: Peer): void {
    const entry = presenceEntry(peer, { ts: this.#clock.now() });
    this.#peers.set(peer, entry);
    if (entry) this.#changed();
  }

  /** What the peer is or may do has changed. */
  refresh(peer: Peer): void {
    if (!this.#peers.has(peer)) return;
    const entry = presenceEntry(peer, { ts: this.#clock.now(), reason: 'scopes' });
    this.#peers.set(peer, entry);
    if (entry) this.#changed();
  }

  leave(peer: Peer): void {
    const wasListed = this.#peers.get(peer) !== undefined;
    this.#peers.delete(peer);
    if (wasListed) this.#changed();
  }

  #changed(): void {
    this.#version++;
    if (this.#isTelling) return;
    this.#isTelling = true;
    this.#clock.schedule(() => {
      this.#isTelling = false;
      const json = JSON.stringify({ presence: this.entries });
      const stateVersion = { presence: this.#version, health: 1 };
      for (const peer of this.#peers.keys()) {
        if (mayRead(peer.identity)) peer.sendEvent('presence', json, stateVersion);
      }
    }, tellEveryMs);
  }
}

function mayRead({ role, scopes }: Identity): boolean {
  return role === 'operator' && allowsScope(scopes, 'operator.read');
}
