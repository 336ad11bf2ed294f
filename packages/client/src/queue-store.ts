/** A keyed request that was not answered yet, as plain JSON. */
export interface StoredRequest {
  id: string;
  method: string;
  params: unknown;
  idempotencyKey: string;
  /** When it is given up, in ms since 1970. */
  expiresAt: number;
  /** True once it may have reached the gateway. */
  isSent: boolean;
}

/**
 * Keeps unanswered keyed requests over a reload of the page. `load` is called once, before the first connection; its
 * requests are sent before any newer one, unless it takes more than 2 s. `put` also replaces by `id`. Calls may be asynchronous and are never awaited
 * except `load`; a rejected one is ignored: the request then lives as long as the page.
 */
export interface QueueStore {
  load(): readonly StoredRequest[] | Promise<readonly StoredRequest[]>;
  put(request: StoredRequest): void | Promise<void>;
  remove(id: string): void | Promise<void>;
}
