/** What a device store keeps: the key of the device, and the tokens that gateways gave it. */
export interface DeviceRecord {
  version: 1;
  /** Absent where the platform can't sign. */
  key?: {
    /** The raw 32 bytes, base64url. */
    publicKey: string;
    /** PKCS #8, base64url; in a store that keeps keys, the key itself, which can't be read out. */
    privateKey: string | CryptoKey;
  };
  /** Device tokens by the address of their gateway, with `#` and the role for others than operators. Secrets, as the private key is. */
  tokens: Record<string, string>;
}

/** Keeps one device's record. Both calls may reject: then the identity says so and goes on as well as it can. */
export interface DeviceStore {
  /** True when a `CryptoKey` can be kept as it is. Default false: then records are plain JSON. */
  readonly keepsKeys?: boolean;
  /** The record that was saved last; undefined when there is none. Must reject when one is there and can't be read. */
  load(): Promise<DeviceRecord | undefined>;
  save(record: DeviceRecord): Promise<void>;
  /**
   * Saves a record with a new key, unless one with a key is there by now, and resolves with the one that is kept. In one step, so
   * that two pages that start together get one key; without it they may, rarely, make two.
   */
  saveFirst?(record: DeviceRecord): Promise<DeviceRecord>;
}

/** Keeps the record as long as the process lives: for tests, and for devices that pair anew each time. */
export function memoryDeviceStore(): DeviceStore {
  let kept: DeviceRecord | undefined;
  const copy = (record: DeviceRecord): DeviceRecord => ({ ...record, tokens: { ...record.tokens } });
  return {
    keepsKeys: true,
    load: async () => kept && copy(kept),
    save: async (record) => {
      kept = copy(record);
    },
    saveFirst: async (record) => {
      if (!kept?.key) kept = copy(record);
      return copy(kept);
    },
  };
}

/** The part of `localStorage` that {@link localDeviceStore} uses; React Native's secure stores are easily made to look like it. */
export interface TextStorage {
  getItem(key: string): string | null | Promise<string | null>;
  setItem(key: string, text: string): void | Promise<void>;
}

/**
 * Keeps the record as text, in `localStorage` by default. Every script of the page can read the private key there: prefer
 * `indexedDbDeviceStore`, whose key can be used but not read.
 */
export function localDeviceStore(storage: TextStorage = localStorage, name = 'openclaw.device'): DeviceStore {
  return {
    load: async () => {
      const text = await storage.getItem(name);
      return text === null ? undefined : (JSON.parse(text) as DeviceRecord);
    },
    save: async (record) => storage.setItem(name, JSON.stringify(record)),
  };
}
