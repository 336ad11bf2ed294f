import { GatewayError } from '@openclaw/protocol/wire';

/** What a setup code says: to be spread into the options of `connect`. */
export interface SetupCode {
  /** Where the gateway is. */
  url: string;
  /** Further addresses of it, without `url`. */
  urls?: string[];
  /** Lets one device in, once. A secret until then. */
  bootstrapToken: string;
  /** The certificate of the gateway; see `ConnectOptions.pin`. */
  pin?: string;
}

/**
 * Reads a setup code, as `device.pair.setupCode` makes it and a QR code holds it. Throws `INVALID_REQUEST` for what is none;
 * the message never repeats it.
 */
export function parseSetupCode(text: string): SetupCode {
  const { url, urls, bootstrapToken, pin } = decoded(text);
  const isAddress = (value: unknown): value is string => typeof value === 'string' && /^wss?:\/\/./i.test(value);
  const isWhole =
    isAddress(url) &&
    typeof bootstrapToken === 'string' &&
    bootstrapToken !== '' &&
    (urls === undefined || (Array.isArray(urls) && urls.every(isAddress))) &&
    (pin === undefined || typeof pin === 'string');
  if (!isWhole) throw invalid();
  const others = urls?.filter((each) => each !== url) ?? [];
  return { url, ...(others.length > 0 ? { urls: others } : {}), bootstrapToken, ...(pin ? { pin } : {}) };
}

function decoded(text: string): Partial<Record<keyof SetupCode, unknown>> {
  try {
    const binary = atob(text.trim().replaceAll('-', '+').replaceAll('_', '/'));
    const json = new TextDecoder().decode(Uint8Array.from(binary, (character) => character.charCodeAt(0)));
    return (JSON.parse(json) ?? {}) as Partial<Record<keyof SetupCode, unknown>>;
  } catch {
    throw invalid();
  }
}

function invalid(): GatewayError {
  return new GatewayError('INVALID_REQUEST', 'This is no setup code, or not all of it; copy or scan it again.');
}
