export { GatewayError, isGatewayError } from '@openclaw/protocol/wire';
export { connect } from './connect.ts';
export type { ConnectOptions, Credential } from './connect-options.ts';
export type { Phase, StateCode } from './connection-state.ts';
export type { Bookmark } from './cursor.ts';
export {
  type DeviceChallenge,
  type DeviceIdentity,
  type DeviceSigner,
  type DeviceTokenKeeper,
  deviceSigner,
} from './device.ts';
export type { DialCode, DialFailure } from './dial-codes.ts';
export type { DialedTransport, Dialer } from './dialer.ts';
export type {
  EphemeralEvent,
  Gateway,
  GatewayEvents,
  IssuedCredentials,
  Notice,
  RestoredOutcome,
  Run,
  SendOptions,
  Session,
  StateChange,
} from './gateway.ts';
export type { Limits } from './limits.ts';
export type { QueueStore, StoredRequest } from './queue-store.ts';
export type { Replay, RequestFunction, RequestOptions, RequestParams } from './request.ts';
export type {
  ApprovalPart,
  NoticePart,
  ResetPart,
  StatusPart,
  StreamedPart,
  TextPart,
  ToolPart,
  UsagePart,
} from './run-parts.ts';
export { parseSetupCode, type SetupCode } from './setup-code.ts';
export type {
  EventStream,
  EventsOptions,
  SessionEvent,
  SessionStreamItem,
  StreamEvent,
  StreamReader,
  StreamReset,
} from './stream-events.ts';
export type { PageScope } from './wake.ts';
