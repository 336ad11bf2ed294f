export type { AccessOptions, AuthOptions, NamedToken, TailscaleOptions } from './connection/access-options.ts';
export { type ConnectionLimits, type LimitFacts, limitsTable } from './connection/limits.ts';
export type { ForwardedUser, Remote } from './connection/origin.ts';
export { hashPassword } from './connection/password-hash.ts';
export type { Credential, Identity, Peer } from './connection/peer.ts';
export { AtRelease, type Call, implement, type MethodHandler, type MethodImplementation } from './dispatch/method.ts';
export { createGateway } from './gateway.ts';
export type { Gateway, GatewayOptions, LiveOptions, LocalIdentity } from './gateway-options.ts';
export type { HookMapping, HookSignature, HooksOptions } from './http/hooks/hooks-options.ts';
export type { UploadsOptions } from './http/media/upload-room.ts';
export type { OpenAiOptions } from './http/openai/openai-options.ts';
export { type HttpCaller, type HttpExchange, HttpProblem, type HttpRoute, readBody } from './http/route.ts';
export type { TlsOptions } from './http/tls.ts';
export type { ConfigChange, ConfigEdit, ConfigPort } from './methods/config.ts';
export type {
  AnsweredRequest,
  ClosedConnection,
  ConnectionFacts,
  EndedRun,
  GatewayFigures,
  GatewayObserver,
  Refusal,
} from './observer.ts';
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
  StoreUpload,
  StreamHead,
} from './streams/event-store.ts';
export { memoryStore } from './streams/memory-store.ts';
export type { RetentionOptions } from './streams/retention.ts';
