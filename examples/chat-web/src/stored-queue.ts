import type { QueueStore, StoredRequest } from '@openclaw/client';

const prefix = 'openclaw-chat.queue.';

/** Keeps messages that were not answered yet in the browser, so that a reload of the page sends them too, once. */
export const storedQueue = {
  load(): StoredRequest[] {
    try {
      return Object.keys(localStorage)
        .filter((key) => key.startsWith(prefix))
        .sort((left, right) => order(left) - order(right))
        .map((key) => JSON.parse(localStorage.getItem(key) ?? '') as StoredRequest & { order: number })
        .map(({ order: _, ...request }) => request);
    } catch {
      return [];
    }
  },
  put(request: StoredRequest) {
    const known = order(prefix + request.id);
    localStorage.setItem(
      prefix + request.id,
      JSON.stringify({ ...request, order: known || Date.now() + performance.now() / 1e6 }),
    );
  },
  remove(id: string) {
    localStorage.removeItem(prefix + id);
  },
} satisfies QueueStore;

function order(key: string): number {
  return (JSON.parse(localStorage.getItem(key) ?? '{}') as { order?: number }).order ?? 0;
}
