export type { AccessOptions, AuthOptions, NamedToken, TailscaleOptions } from './connection/access-options.ts';
export type { ConnectionLimits } from './connection/limits.ts';
export type { Identity, Peer } from './connection/peer.ts';
export { AtRelease, type Call, implement, type MethodHandler, type MethodImplementation } from './dispatch/method.ts';
export { createGateway } from './gateway.ts';
export type { Gateway, GatewayOptions, LocalIdentity } from './gateway-options.ts';
export type { AgentOptions } from './runs/agents.ts';
export type { EffectsOptions } from './runs/effects.ts';
export type {
  CommitBatch,
  EventRecord,
  EventStore,
  LedgerRow,
  ReadOptions,
  StoreContents,
  StoredDocument,
  StoredMedia,
  StoredState,
  StreamHead,
} from './streams/event-store.ts';
export { memoryStore } from './streams/memory-store.ts';
export type { RetentionOptions } from './streams/retention.ts';
