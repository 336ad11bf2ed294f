import type { ConnectParams, Role } from '@openclaw/protocol';
import type { EncodedFrame } from '../transport/encoded-frame.ts';

/** What somebody came in with. Never leaves the gateway. */
export type Credential =
  /** The shared token or password; which one, as a mark of this process. */
  | { kind: 'shared'; mark: string }
  /** Nothing, on a gateway without auth. */
  | { kind: 'none' }
  /** A token that was made or named in the options, by its hash. */
  | { kind: 'token'; hash: string }
  /** The token of a device, by its hash. */
  | { kind: 'device'; deviceId: string; hash: string }
  /** A one-use code by which this device was paired. */
  | { kind: 'code' }
  /** What a trusted proxy said; which one, by its address. */
  | { kind: 'user'; name: string; proxy?: string }
  /** What Tailscale said, through the proxy with this address. */
  | { kind: 'tailscale'; login: string; proxy?: string };

/** Who a connection is, as the handshake or `gateway.accept` established it. */
export interface Identity {
  role: Role;
  /** The agent's or channel's id; empty for operators. */
  id: string;
  scopes: ReadonlySet<string>;
  /** Who the ledger keeps requests for (S18): the device if the connect was signed, else the credential's name. */
  principal: string;
  deviceId?: string;
  /** What let it in, so that it can be cut when that is taken away; absent for peers that `gateway.accept` took. */
  credential?: Credential;
  /** True for a peer that lives and dies with the gateway process (`gateway.accept`). */
  isLocal: boolean;
}

/**
 * A connection after hello, as dispatch and streams see it. Sending is never blocked: `queuedBytes` tells how much has not
 * been drained, and the sender holds back by it (S26). Whoever sends has seen to commit-before-send (S13).
 */
export interface Peer {
  readonly connId: string;
  readonly identity: Identity;
  readonly client: ConnectParams['client'];
  readonly caps: ReadonlySet<string>;
  /** Whether both sides know `streams` (S4). Without it the connection gets v4 projections. */
  readonly hasStreams: boolean;
  readonly isOpen: boolean;
  /** True once it was cut because its credential was taken away: what it asked for is not begun any more. */
  readonly isRevoked?: boolean;
  /** The address of the other end; absent for local peers. */
  readonly remoteAddress?: string;
  /** Where it reached the gateway, as `ws://host:port` or `wss://…`; absent for local peers. */
  readonly gatewayUrl?: string;
  readonly queuedBytes: number;
  /** Sends a frame that is the same for everyone. */
  send(frame: EncodedFrame): void;
  /** Answers the request `id` with a result or an error, given as JSON. */
  respond(id: string, isOk: boolean, json: string): void;
  /** Sends an event outside streams: without `seq` where the connection has streams, else with its next one. */
  sendEvent(event: string, payloadJson: string, stateVersion?: { presence: number; health: number }): void;
  /** Stops or resumes reading requests from the peer (S26). */
  pauseReading(isPaused: boolean): void;
  /** Closes with a code (mapped for v4) and a reason in words. */
  close(code: number, reason: string): void;
}
