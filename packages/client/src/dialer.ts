import { GatewayError, type Transport } from '@openclaw/protocol/wire';
import type { DialFailure } from './dial-codes.ts';

/** A transport that can say why it did not come to be a connection. */
export interface DialedTransport extends Transport {
  /** Why the gateway could not be heard. Read as soon as an attempt is given up before the first frame. */
  readonly failure?: DialFailure | undefined;
}

/** Opens a new transport to the gateway; called for every attempt. Throwing counts as a failed attempt. */
export type Dialer = () => DialedTransport;

/** Where a WebSocket leads, and how it gets there. All but `url` and `hasNext` is for Node only. */
export interface DialOptions {
  url?: string | undefined;
  /** Another address follows it: what asks to wait does not keep that one waiting. */
  hasNext?: boolean | undefined;
  /** HTTP headers of the upgrade. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** The proxy, or false for none. Default: what the environment says. */
  proxy?: string | false | undefined;
  /** Certificates of CAs that are trusted beside the known ones, PEM. */
  ca?: string | readonly string[] | undefined;
  /** The one certificate that is trusted: `sha256/` and the base64 of its SHA-256. */
  pin?: string | undefined;
}

/** v4's code for a peer that fell silent. */
export const silentClose = 4000;

/** Throws `INVALID_REQUEST` for what is no address of a WebSocket. The address is not repeated: it may hold a password. */
export function checkUrl(url = ''): asserts url is string {
  if (!/^wss?:\/\/[^#]+$/i.test(url)) {
    throw new GatewayError('INVALID_REQUEST', 'url must begin with ws:// or wss://.');
  }
}
