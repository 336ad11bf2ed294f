import type { DecodeLimits } from '@openclaw/protocol';
import type { AuthOptions } from './access-options.ts';
import type { Connection } from './connection.ts';
import type { EventFrames } from './event-frames.ts';
import type { Grant } from './handshake.ts';
import type { Heartbeat } from './heartbeat.ts';
import type { ConnectionHost } from './host.ts';
import type { ConnectionLimits } from './limits.ts';

/** What all connections share. */
export interface ConnectionContext {
  host: ConnectionHost;
  heartbeat: Heartbeat;
  events: EventFrames;
  limits: ConnectionLimits;
  /** How deep and wide a message may be. */
  decodeLimits: DecodeLimits;
  authMode: AuthOptions['mode'];
  /** The connection may not become more: refused with 4202. */
  isFull: () => boolean;
  /** It left the handshake behind, one way or the other. */
  handshakeEnded: (connection: Connection) => void;
  joined: (connection: Connection) => void;
  /** Its transport is gone; the last call. */
  gone: (connection: Connection) => void;
}

/**
 * How a connection is let in: asked once, by its first request. Throws or rejects with a {@link ConnectRefusal}. Changes
 * nothing once `isOpen` says that the connection is gone.
 */
export type Authorize = (rawParams: unknown, nonce: string, isOpen: () => boolean) => Grant | Promise<Grant>;
