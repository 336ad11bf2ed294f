import type { PresenceEntry } from '@openclaw/protocol';
import { shownWords } from './connect-params.ts';
import type { Peer } from './peer.ts';

/** Clients that come and go for a single call, and programs behind a service: v4 does not list them. */
const unlistedModes: ReadonlySet<string> = new Set(['cli', 'backend', 'probe', 'test']);

/**
 * How a connection appears to others, or undefined where it does not appear (v4 lists apps and pages, not single calls and
 * services). What it says of itself can't act on a terminal that lists it. `ts` is when its state changed last, in ms since 1970.
 */
export function presenceEntry(
  peer: Peer,
  { ts, reason = 'connect' }: { ts: number; reason?: string },
): PresenceEntry | undefined {
  const { client, identity } = peer;
  if (identity.role !== 'operator' || unlistedModes.has(client.mode)) return undefined;
  const name = shownWords(client.displayName ?? '') || client.id;
  const [version, platform, deviceFamily, modelIdentifier, instanceId] = [
    client.version,
    client.platform,
    client.deviceFamily ?? '',
    client.modelIdentifier ?? '',
    client.instanceId ?? '',
  ].map((text) => shownWords(text)) as [string, string, string, string, string];
  return {
    host: name,
    ...(peer.remoteAddress ? { ip: peer.remoteAddress } : {}),
    ...(version ? { version } : {}),
    ...(platform ? { platform } : {}),
    ...(deviceFamily ? { deviceFamily } : {}),
    ...(modelIdentifier ? { modelIdentifier } : {}),
    mode: client.mode,
    reason,
    text: `${name} (${client.mode}, ${platform})`,
    ts,
    ...(identity.deviceId ? { deviceId: identity.deviceId } : {}),
    roles: [identity.role],
    scopes: [...identity.scopes],
    ...(instanceId ? { instanceId } : {}),
  };
}
