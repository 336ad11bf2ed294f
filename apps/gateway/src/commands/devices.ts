import type { Environment } from '../config-values.ts';
import type { Flags } from '../flags.ts';
import { askOwnGateway, timeoutMs } from './own-gateway.ts';

/** What is to be done with a device, or with its request to be let in. */
export interface DevicesOrder {
  action: 'approve' | 'reject' | 'remove';
  /** The request, or of `remove` the device. The beginning of it will do. */
  id: string;
}

/**
 * Lists the devices that wait to be let in and those that were, or carries out an order about one. Throws a `StartError` when
 * the gateway that runs with these flags can't be asked, or refuses.
 */
export async function devicesCommand(
  flags: Flags,
  env: Environment,
  { order, print }: { order: DevicesOrder | undefined; print: (line: string) => void },
): Promise<void> {
  await askOwnGateway(
    flags,
    env,
    order ? `did not ${order.action} ${order.id}` : 'lists no devices',
    async (request) => {
      const { pending, paired } = await request('device.pair.list', {}, { timeoutMs });
      if (!order) {
        for (const { requestId, deviceId, displayName, clientId, platform, scopes, remoteIp } of pending) {
          const who = [displayName ?? clientId, platform, remoteIp && `from ${remoteIp}`].filter(Boolean).join(', ');
          print(`waits   ${requestId}  ${short(deviceId)}  ${who}, asks for ${scopes?.join(' ') || 'nothing'}`);
        }
        for (const { deviceId, displayName, clientId, platform, scopes, connected } of paired) {
          const who = [displayName ?? clientId, platform, connected && 'connected'].filter(Boolean).join(', ');
          print(`paired  ${short(deviceId)}  ${who}, may ${scopes.join(' ') || 'do nothing'}`);
        }
        if (pending.length + paired.length === 0) print('No device waits and none was let in.');
        else if (pending.length > 0) print('Let one in with: openclaw-ws-gateway devices approve <request>');
        return;
      }
      const { action, id } = order;
      if (action === 'remove') {
        const deviceId = whole(
          id,
          paired.map(({ deviceId: known }) => known),
        );
        await request('device.pair.remove', { deviceId }, { timeoutMs });
        print(`${short(deviceId)} is removed, and its connections are cut.`);
        return;
      }
      const requestId = whole(
        id,
        pending.map(({ requestId: known }) => known),
      );
      await request(`device.pair.${action}`, { requestId }, { timeoutMs });
      print(action === 'approve' ? 'The device is let in when it connects next.' : 'The device is refused.');
    },
  );
}

/** The one id that begins so; the text as it is when there is none or several, for the gateway to refuse. */
function whole(beginning: string, ids: readonly string[]): string {
  const found = ids.filter((id) => id.startsWith(beginning));
  return found.length === 1 ? (found[0] as string) : beginning;
}

function short(deviceId: string): string {
  return deviceId.slice(0, 12);
}
