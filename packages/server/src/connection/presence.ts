import type { PresenceEntry } from '@openclaw/protocol';
import type { Peer } from './peer.ts';

/** Clients that come and go for a single call, and programs behind a service: v4 does not list them. */
const unlistedModes: ReadonlySet<string> = new Set(['cli', 'backend', 'probe', 'test']);

/**
 * How a connection appears to others, or undefined where it does not appear (v4 lists apps and pages, not single calls and
 * services). `ts` is when its state changed last, in ms since 1970.
 */
export function presenceEntry(
  peer: Peer,
  { ts, reason = 'connect' }: { ts: number; reason?: string },
): PresenceEntry | undefined {
  const { client, identity } = peer;
  if (identity.role !== 'operator' || unlistedModes.has(client.mode)) return undefined;
  const name = client.displayName || client.id;
  return {
    host: name,
    ...(peer.remoteAddress ? { ip: peer.remoteAddress } : {}),
    version: client.version,
    platform: client.platform,
    ...(client.deviceFamily ? { deviceFamily: client.deviceFamily } : {}),
    ...(client.modelIdentifier ? { modelIdentifier: client.modelIdentifier } : {}),
    mode: client.mode,
    reason,
    text: `${name} (${client.mode}, ${client.platform})`,
    ts,
    ...(identity.deviceId ? { deviceId: identity.deviceId } : {}),
    roles: [identity.role],
    scopes: [...identity.scopes],
    ...(client.instanceId ? { instanceId: client.instanceId } : {}),
  };
}
