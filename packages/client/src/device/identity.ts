import { GatewayError } from '@openclaw/protocol/wire';
import { type DeviceSigner, type DeviceTokenKeeper, deviceSigner } from '../device.ts';
import type { Notice } from '../gateway.ts';
import { importPrivateKey, type KeyOrReason, makeKey, type StoredKey } from './key.ts';
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
  attach(url: string, notice: (notice: Notice) => void, role?: string): DeviceTokenKeeper;
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
    let record = (await loaded()) ?? { version: 1, tokens: {} };
    if (!record.key) {
      const made = await makeKey(subtle, store.keepsKeys === true);
      if (typeof made === 'string') return opened(made, record);
      record = await keptFirst({ ...record, key: made });
    }
    return opened(await importPrivateKey(subtle, record.key as StoredKey), record);
  }

  async function loaded(): Promise<DeviceRecord | undefined> {
    try {
      const record = (await store.load()) ?? undefined;
      if (record !== undefined && !isRecord(record)) throw new Error('what it holds is no device of version 1');
      return record;
    } catch (cause) {
      const message = `The device store can't be read (${textOf(cause)}); mend or delete it. Deleted, this device pairs anew.`;
      throw new GatewayError('UNAVAILABLE', message, { cause, retryable: true });
    }
  }

  /** Keeps a new key. Another page may have made one meanwhile: then that one counts. */
  async function keptFirst(record: DeviceRecord): Promise<DeviceRecord> {
    try {
      if (store.saveFirst) return await store.saveFirst(record);
      const other = await loaded();
      if (other?.key) return other;
      await store.save(record);
      return (await loaded()) ?? record;
    } catch (error) {
      unsaved.add(textOf(error));
      return record;
    }
  }

  function opened(found: KeyOrReason, record: DeviceRecord): Opened {
    if (typeof found === 'string') {
      status = { supported: false, reason: found };
      return { status, sign: undefined, record };
    }
    status = { supported: true, id: found.id };
    return { status, sign: deviceSigner(found), record };
  }

  /** Keeps a token, or drops the one that was refused: never one that another page got since. */
  function saveToken(
    gateway: string,
    { token, refused }: { token?: string | undefined; refused?: string | undefined },
    notice: (notice: Notice) => void,
  ): void {
    const isNewer = (current: string | undefined) =>
      token === undefined && current !== undefined && current !== refused;
    if (isNewer(newer.get(gateway))) return;
    newer.set(gateway, token);
    saving = saving
      .then(async () => {
        const { record } = await open();
        // Another page may have saved tokens of other gateways.
        const { key = record.key, tokens } = (await loaded()) ?? record;
        if (key?.publicKey !== record.key?.publicKey) throw new Error('another identity is there by now');
        const { [gateway]: current, ...others } = tokens;
        if (isNewer(current)) newer.set(gateway, current);
        else if (current !== token) {
          await store.save({
            version: 1,
            ...(key ? { key } : {}),
            tokens: token === undefined ? others : { ...others, [gateway]: token },
          });
        }
      })
      .catch((error: unknown) => notice(notKept(textOf(error))));
  }

  const signer = async (challenge: Parameters<DeviceSigner>[0]) => (await open()).sign?.(challenge);
  return Object.defineProperties(signer as KeptDevice, {
    supported: { get: () => status?.supported },
    reason: { get: () => (status?.supported === false ? status.reason : undefined) },
    status: { value: async () => (await open()).status },
    attach: {
      value: (url: string, notice: (notice: Notice) => void, role = 'operator'): DeviceTokenKeeper => {
        // A token is good for the role that it was given to.
        const gateway = gatewayName(url) + (role === 'operator' ? '' : `#${role}`);
        /** What the gateway was given last. */
        let used: string | undefined;
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
            await saving;
            used = newer.has(gateway) ? newer.get(gateway) : record.tokens[gateway];
            return used;
          },
          save(token) {
            saveToken(gateway, token === undefined ? { refused: used } : { token }, notice);
            used = token;
          },
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

function isRecord({ version, tokens, key }: Partial<DeviceRecord> & object): boolean {
  return (
    version === 1 && typeof tokens === 'object' && tokens !== null && (key === undefined || typeof key === 'object')
  );
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
