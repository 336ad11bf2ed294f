import type { AddressInfo } from 'node:net';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { isLoopbackAddress } from './origin.ts';

const maxHosts = 8;

/**
 * Where other machines of the network reach a gateway that listens on `address`, as `host:port`: empty when it listens on
 * this machine only. Link-local addresses are left out, since they mean another machine to another.
 */
export function networkHosts(
  address: AddressInfo | undefined,
  interfaces: () => NodeJS.Dict<NetworkInterfaceInfo[]> = networkInterfaces,
): string[] {
  if (!address || isLoopbackAddress(address.address)) return [];
  const { address: bound, port } = address;
  if (bound !== '0.0.0.0' && bound !== '::') return [`${bound.includes(':') ? `[${bound}]` : bound}:${port}`];
  return Object.values(interfaces())
    .flatMap((each) => each ?? [])
    .filter(({ family, internal, address: own }) => family === 'IPv4' && !internal && !own.startsWith('169.254.'))
    .slice(0, maxHosts)
    .map(({ address: own }) => `${own}:${port}`);
}
