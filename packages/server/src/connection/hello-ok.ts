import { type HelloOk, protocolVersion } from '@openclaw/protocol';
import { watermarks } from '../transport/server-transport.ts';
import type { AuthOptions } from './access-options.ts';
import type { Grant } from './handshake.ts';
import { beatIntervalMs } from './heartbeat.ts';
import type { ConnectionHost } from './host.ts';
import { attachmentLimits, type ConnectionLimits, frameBytesOf } from './limits.ts';

/** v4's number of bytes that may wait for a client. */
export const v4BufferedBytes = 50 * 1024 * 1024;
/** v4's number; the ticks come every 5 s to them as well. */
const v4TickIntervalMs = 30_000;

/** The answer to a `connect` that was let in: what the gateway is, what was granted, and the limits of this connection. */
export function helloOk(
  { identity, hasStreams, deviceToken }: Grant,
  connId: string,
  { host, limits, authMode }: { host: ConnectionHost; limits: ConnectionLimits; authMode: AuthOptions['mode'] },
): HelloOk {
  const { version, bootId, features, snapshot } = host.hello(identity);
  return {
    type: 'hello-ok',
    protocol: protocolVersion,
    server: { version, connId, bootId },
    features,
    snapshot: { authMode, ...snapshot },
    auth: { role: identity.role, scopes: [...identity.scopes], ...deviceToken },
    policy: {
      maxPayload: frameBytesOf(identity.role, limits),
      maxBufferedBytes: hasStreams ? watermarks.hardBytes : v4BufferedBytes,
      tickIntervalMs: hasStreams ? beatIntervalMs : v4TickIntervalMs,
      attachments: attachmentLimits,
    },
  };
}
