import { GatewayError } from '@openclaw/protocol/wire';
import { type DeviceSigner, type DeviceTokenKeeper, deviceSigner } from '../device.ts';
import type { Notice } from '../gateway.ts';
import { importPrivateKey, type KeyOrReason, makeKey } from './key.ts';
import type { DeviceRecord, DeviceStore } from './store.ts';

/** What a device identity is made of. */
export interface DeviceIdentityOptions {
  store: DeviceStore;
  /** WebCrypto, or what stands in for it. Default the platform's; undefined where it has none. */
  subtle?: SubtleCrypto | undefined;
}

/** Whether the platform can prove a device identity, and which one. */
export type DeviceStatus = { supported: true; id: string } | { supported: false; reason: string };

/** A device identity that is kept in a store, for `connect({ device })`. */
export interface KeptDevice extends DeviceSigner {
  attach(url: string, notice: (notice: Notice) => void): DeviceTokenKeeper;
  /** Undefined until it is known: after the first connect or `status()`. */
  readonly supported: boolean | undefined;
  /** Why the platform can't; undefined while it can or is unknown. */
  readonly reason: string | undefined;
  /** Loads or makes the identity. Rejects with `UNAVAILABLE` when the store can't be read; calling it again tries again. */
  status(): Promise<DeviceStatus>;
}

interface Opened {
  status: DeviceStatus;
  sign: DeviceSigner | undefined;
  record: DeviceRecord;
}

/**
 * The identity of this device: an Ed25519 key that is made once and kept in `store`, with the tokens that gateways give it. As
 * `device` of `connect` it signs the challenges, brings the token of the gateway along and keeps a new one, and drops one that
 * the gateway does not know any more. Where the platform has no Ed25519 it connects without an identity, with whatever
 * credential there is, and says so by the event `notice` and `supported`.
 */
export function deviceIdentity({ store, ...options }: DeviceIdentityOptions): KeptDevice {
  const subtle = 'subtle' in options ? options.subtle : globalThis.crypto?.subtle;
  let opening: Promise<Opened> | undefined;
  let status: DeviceStatus | undefined;
  let saving: Promise<unknown> = Promise.resolve();
  /** What was saved since, by gateway: it counts at once, whether the store could keep it or not. */
  const newer = new Map<string, string | undefined>();
  const unsaved = new Set<string>();

  function open(): Promise<Opened> {
    opening ??= begin().catch((cause: unknown) => {
      opening = undefined;
      throw cause;
    });
    return opening;
  }

  async function begin(): Promise<Opened> {
    const record = (await loaded()) ?? { version: 1, tokens: {} };
    const found = record.key
      ? await importPrivateKey(subtle, record.key)
      : await makeKey(subtle, store.keepsKeys === true);
    if (typeof found === 'string') {
      status = { supported: false, reason: found };
      return { status, sign: undefined, record };
    }
    if (record.key) return identified(found, record);
    // Another page may have made one meanwhile; the first that was saved counts.
    const other = await loaded();
    if (other?.key) return begin();
    record.key = found.kept;
    await keep(record).catch((error: unknown) => unsaved.add(textOf(error)));
    return identified(found, record);
  }

  async function loaded(): Promise<DeviceRecord | undefined> {
    try {
      return await store.load();
    } catch (cause) {
      const message = `The device store can't be read (${textOf(cause)}); mend or delete it. Deleted, this device pairs anew.`;
      throw new GatewayError('UNAVAILABLE', message, { cause, retryable: true });
    }
  }

  function identified({ id, publicKey, sign }: Exclude<KeyOrReason, string>, record: DeviceRecord): Opened {
    status = { supported: true, id };
    return { status, sign: deviceSigner({ id, publicKey, sign }), record };
  }

  async function keep(record: DeviceRecord): Promise<void> {
    await store.save(record);
  }

  function saveToken(gateway: string, token: string | undefined, notice: (notice: Notice) => void): void {
    newer.set(gateway, token);
    saving = saving
      .then(async () => {
        const { record } = await open();
        // Another page may have saved tokens of other gateways.
        const { key = record.key, tokens } = (await store.load()) ?? record;
        if (tokens[gateway] === token) return;
        const { [gateway]: _old, ...others } = tokens;
        await keep({
          version: 1,
          ...(key ? { key } : {}),
          tokens: token === undefined ? others : { ...others, [gateway]: token },
        });
      })
      .catch((error: unknown) => notice(notKept(textOf(error))));
  }

  const signer = async (challenge: Parameters<DeviceSigner>[0]) => (await open()).sign?.(challenge);
  return Object.defineProperties(signer as KeptDevice, {
    supported: { get: () => status?.supported },
    reason: { get: () => (status?.supported === false ? status.reason : undefined) },
    status: { value: async () => (await open()).status },
    attach: {
      value: (url: string, notice: (notice: Notice) => void): DeviceTokenKeeper => {
        const gateway = gatewayName(url);
        open().then(
          ({ status: known }) => {
            if (!known.supported) notice(unsupported(known.reason));
            for (const why of unsaved) notice(notKept(why));
          },
          // The attempt to connect tells it.
          () => {},
        );
        return {
          async load() {
            const { record } = await open();
            if (newer.has(gateway)) return newer.get(gateway);
            return Object.hasOwn(record.tokens, gateway) ? record.tokens[gateway] : undefined;
          },
          save: (token) => saveToken(gateway, token, notice),
        };
      },
    },
  });
}

/** The address of a gateway without what may be secret or differ from start to start. */
function gatewayName(url: string): string {
  if (!URL.canParse(url)) return 'local';
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

function unsupported(reason: string): Notice {
  return { code: 'device-unsupported', message: `Connecting without a device identity: ${reason}` };
}

function notKept(why: string): Notice {
  const message = `The device could not be stored (${why}); the next start has to pair again. Mend the store.`;
  return { code: 'device-not-kept', message };
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
