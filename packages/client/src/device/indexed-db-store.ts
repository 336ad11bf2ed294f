import type { DeviceRecord, DeviceStore } from './store.ts';

const place = 'device';

/**
 * Keeps the record in IndexedDB, with a private key that can be used but never read, not even by scripts of the same page.
 * `name` names the database. Rejects where the browser has none, as some private modes do.
 */
export function indexedDbDeviceStore(name = 'openclaw-device', factory: IDBFactory = indexedDB): DeviceStore {
  let opening: Promise<IDBDatabase> | undefined;

  async function objects(mode: IDBTransactionMode): Promise<IDBObjectStore> {
    opening ??= new Promise((resolve, reject) => {
      const request = factory.open(name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(place);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
      request.onblocked = () => reject(new Error('another page holds an older version of the database'));
    });
    opening.catch(() => {
      opening = undefined;
    });
    return (await opening).transaction(place, mode).objectStore(place);
  }

  return {
    keepsKeys: true,
    load: async () => done<DeviceRecord | undefined>((await objects('readonly')).get(place)),
    save: async (record) => {
      await done((await objects('readwrite')).put(record, place));
    },
  };
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
