import type { Clock, ConnectParams } from '@openclaw/protocol';
import { shownWords } from './connect-params.ts';
import { ConnectRefusal } from './connect-refusal.ts';
import { addressKey, FailedAttempts } from './failed-attempts.ts';
import type { AccessNote } from './host.ts';
import type { ConnectionLimits } from './limits.ts';
import type { Remote } from './origin.ts';
import type { PairedDevice } from './paired-devices.ts';
import type { Pairing, PairingAsked } from './pairing.ts';
import { rateLimited } from './proof.ts';

export interface PairingDeskOptions {
  pairing: Pairing;
  clock: Clock;
  limits: () => ConnectionLimits;
  note: (entry: AccessNote) => void;
}

/** Where devices that are not let in yet leave their request, so many an address as the limits allow. */
export class PairingDesk {
  readonly #options: PairingDeskOptions;
  readonly #requests: FailedAttempts;

  constructor(options: PairingDeskOptions) {
    this.#options = options;
    this.#requests = new FailedAttempts(options.clock, () => {
      const { pairingPerMinute, failedAuthBlockMs, failedAuthMaxBlockMs } = options.limits();
      return { perMinute: pairingPerMinute, blockMs: failedAuthBlockMs, maxBlockMs: failedAuthMaxBlockMs };
    });
  }

  /**
   * Keeps the request of a device with this tick's commit, and gives the refusal that tells the device of it. Asking for
   * the same again gives the same request. Throws a {@link ConnectRefusal} where an address asks too often.
   */
  ask(
    params: ConnectParams,
    scopes: readonly string[],
    { known, remote }: { known: PairedDevice | undefined; remote: Remote },
  ): ConnectRefusal {
    const { pairing, note } = this.#options;
    const asked = askedBy(params, scopes, { isRepair: known !== undefined, remote });
    if (!pairing.waiting(asked)) {
      const keys = [addressKey(remote.address)];
      const waitMs = this.#requests.waitMs(keys);
      if (waitMs !== undefined) throw rateLimited(waitMs);
      this.#requests.note(keys);
      note({
        action: 'pairing.requested',
        actor: `device:${asked.deviceId}`,
        target: asked.deviceId,
        remoteIp: remote.address,
        scopes: [...scopes],
      });
    }
    return pairingRequired(pairing.ask(asked).requestId, asked, known);
  }
}

function askedBy(
  { client, device }: ConnectParams,
  scopes: readonly string[],
  { isRepair, remote }: { isRepair: boolean; remote: Remote },
): PairingAsked {
  const [displayName, platform, deviceFamily, clientId, clientMode] = [
    client.displayName ?? '',
    client.platform,
    client.deviceFamily ?? '',
    client.id,
    client.mode,
  ].map((text) => shownWords(text) || undefined);
  return {
    deviceId: device!.id,
    publicKey: device!.publicKey,
    ...(displayName && { displayName }),
    ...(platform && { platform }),
    ...(deviceFamily && { deviceFamily }),
    ...(clientId && { clientId }),
    ...(clientMode && { clientMode }),
    role: 'operator',
    roles: ['operator'],
    scopes: [...scopes],
    ...(remote.address ? { remoteIp: remote.address } : {}),
    ...(isRepair ? { isRepair } : {}),
  };
}

/** v4 clients read the id of the request out of the reason, so it has to fit into one. */
function pairingRequired(requestId: string, asked: PairingAsked, known: PairedDevice | undefined): ConnectRefusal {
  const reason = known ? 'scope-upgrade' : 'not-paired';
  const what = known ? 'device asks for more than was approved' : 'device is not approved yet';
  return new ConnectRefusal('NOT_PAIRED', `pairing required: ${what} (requestId: ${requestId})`, {
    details: {
      code: 'PAIRING_REQUIRED',
      reason,
      requestId,
      remediationHint: `Approve the request ${requestId} (device.pair.approve), then connect again.`,
      deviceId: asked.deviceId,
      requestedRole: 'operator',
      requestedScopes: asked.scopes,
      approvedRoles: known ? ['operator'] : [],
      approvedScopes: known?.scopes ?? [],
      recommendedNextStep: 'wait_then_retry',
    },
  });
}
