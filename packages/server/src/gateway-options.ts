import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock, Role, Transport } from '@openclaw/protocol';
import type { MethodImplementation } from './dispatch/method.ts';
import type { EdgeLiveOptions, EdgeOptions } from './http/edge-options.ts';
import type { HooksOptions } from './http/hooks/hooks-options.ts';
import type { UploadsOptions } from './http/media/upload-room.ts';
import type { OpenAiOptions } from './http/openai/openai-options.ts';
import type { ConfigChange, ConfigPort } from './methods/config.ts';
import type { GatewayObserver } from './observer.ts';
import type { AgentOptions } from './runs/agents.ts';
import type { EffectsOptions } from './runs/effects.ts';
import type { EventStore } from './streams/event-store.ts';
import type { RetentionOptions } from './streams/retention.ts';

/** What can be changed while the gateway runs; see {@link Gateway.reconfigure}. */
export interface LiveOptions extends EdgeLiveOptions {
  /** What runs whose message came from outside may do by tools that are not safe. Default: an operator is asked. */
  effects?: EffectsOptions;
  /** The OpenAI-compatible API under `/v1`. Default off. */
  openAi?: OpenAiOptions;
  /** The bounds of files that come by HTTP and wait for a message. */
  uploads?: UploadsOptions;
  /** Webhooks. Default none. */
  hooks?: HooksOptions;
}

/** What a gateway is made of. Only `auth` has no default. */
export interface GatewayOptions extends Omit<EdgeOptions, 'failing' | 'defer' | keyof LiveOptions>, LiveOptions {
  /** Where the log, the ledger and the sessions are kept. Default: in memory, gone with the process. */
  store?: EventStore;
  /** The agents that may attach; the first one answers where none is named. Default one, `main`. */
  agents?: readonly AgentOptions[];
  /** Methods beside the contract's; see `implement`. */
  methods?: readonly MethodImplementation[];
  retention?: Partial<RetentionOptions>;
  /** Told in `hello-ok` and `status`. Default `0.1.0`. */
  version?: string;
  /** The configuration behind the methods `config.*`. Default none: `config.get` tells of an empty one. */
  config?: ConfigPort;
  /** Told what an operator should know: faults, failed commits. Never a secret, never a message's text. */
  onWarning?: (warning: string, cause?: unknown) => void;
  /** Told of everything that logs and metrics are made of, typed; one, or several in turn. Default nobody. */
  observer?: GatewayObserver | readonly GatewayObserver[];
  /** How long a run may be silent, or without any agent, before it is ended, in ms. Default 10 min. */
  runSilenceMs?: number;
  /** How long a run waits for the agent process that began it, and that is gone, in ms. Default 30 s (S21). */
  agentGraceMs?: number;
  clock?: Clock;
  /** Ends a tick of the group commit. Default `setImmediate`. */
  defer?: (task: () => void) => void;
}

/** Who a local peer is; fixed by the process that accepts it. */
export interface LocalIdentity {
  role: Role;
  id?: string;
  scopes?: readonly string[];
  /** False for a peer that lives on when this process ends: an agent then keeps its runs over a restart (S21). Default true. */
  isLocal?: boolean;
}

/** A running gateway. */
export interface Gateway {
  /** Listens for WebSocket and HTTP. Default host 127.0.0.1; port 0 picks a free one. Rejects with Node's error, e.g. EADDRINUSE. */
  listen(address: { port: number; host?: string }): Promise<AddressInfo>;
  /** Serves through an HTTP server of the caller's, which stays the caller's to close. */
  attach(server: Server, options?: { path?: string }): void;
  /** Takes a local peer over a transport: a `MessagePort` or an in-memory pair. Its identity is what is given here. */
  accept(transport: Transport, identity: LocalIdentity): void;
  /** Makes a token for an agent process or an operator; resolves when it is on the disk. Shown once, stored hashed. */
  createToken(grant: {
    role: 'agent' | 'channel' | 'operator';
    id: string;
    scopes?: readonly string[];
  }): Promise<string>;
  /**
   * Takes other settings into use without dropping a socket that may stay: connections whose credential is gone are closed,
   * those that lost scopes lose what these allowed, within a second. Throws `INVALID_REQUEST`, and changes nothing, for
   * settings that can't be served.
   */
  reconfigure(options: LiveOptions): void;
  /**
   * `sha256/` and the base64 of the SHA-256 of the gateway's own certificate (DER), for clients that trust it by that and not by
   * its issuer. Undefined without `tls`.
   */
  certificatePin(): string | undefined;
  /**
   * Tells every operator, in the stream `system`, and the audit trail that another configuration is in use, or that a file
   * was refused; of a client's edit that was refused, the audit trail alone. Resolves when that is on the disk.
   */
  configChanged(change: ConfigChange): Promise<void>;
  /** Runs that an agent of this process is working on. */
  readonly localRunCount: number;
  /**
   * Makes a one-use code that a page or a device may send as `auth.bootstrapToken`, good for ten minutes. Default scopes: all
   * of an operator.
   */
  createBootstrapCode(grant?: { scopes?: readonly string[] }): Promise<string>;
  /** Refuses new runs, tells everyone, and resolves when the runs of local agents have ended, or after `timeoutMs` (S25). */
  drain(options?: { reason?: string; restartExpectedMs?: number; timeoutMs?: number }): Promise<void>;
  /** Closes every connection and the store. What was accepted is kept. */
  close(): Promise<void>;
}
