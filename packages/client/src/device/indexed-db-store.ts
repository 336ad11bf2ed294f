import type { DeviceRecord, DeviceStore } from './store.ts';

const place = 'device';

/**
 * Keeps the record in IndexedDB, with a private key that can be used but never read, not even by scripts of the same page.
 * `name` names the database. Its calls reject where the browser has none, as some private modes do.
 */
export function indexedDbDeviceStore(
  name = 'openclaw-device',
  factory: IDBFactory | undefined = globalThis.indexedDB,
): DeviceStore {
  let opening: Promise<IDBDatabase> | undefined;

  function database(): Promise<IDBDatabase> {
    opening ??= new Promise<IDBDatabase>((resolve, reject) => {
      if (!factory) throw new Error('there is no IndexedDB here');
      const request = factory.open(name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(place);
      request.onsuccess = () => {
        // The browser closes it when someone clears the data of the site.
        request.result.onclose = () => {
          opening = undefined;
        };
        resolve(request.result);
      };
      request.onerror = () => reject(request.error);
      request.onblocked = () => reject(new Error('another page holds an older version of the database'));
    });
    opening.catch(() => {
      opening = undefined;
    });
    return opening;
  }

  /** What `work` resolves with, once it is kept. */
  async function within<T>(mode: IDBTransactionMode, work: (objects: IDBObjectStore) => Promise<T>): Promise<T> {
    const transaction = (await database()).transaction(place, mode);
    const committed = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error('the browser gave the transaction up'));
    });
    const [result] = await Promise.all([work(transaction.objectStore(place)), committed]);
    return result;
  }

  return {
    keepsKeys: true,
    load: () => within('readonly', (objects) => done<DeviceRecord | undefined>(objects.get(place))),
    save: (record) => within('readwrite', async (objects) => void (await done(objects.put(record, place)))),
    saveFirst: (record) =>
      within('readwrite', async (objects) => {
        const other = await done<DeviceRecord | undefined>(objects.get(place));
        if (other?.key) return other;
        await done(objects.put(record, place));
        return record;
      }),
  };
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
