/** What a page may tell about its network and its sleep. */
export type WakeHint = 'online' | 'visible';

interface EventSource {
  addEventListener?(type: string, listener: () => void): void;
  removeEventListener?(type: string, listener: () => void): void;
}

/** The globals of a browser that matter here; all absent in Node. */
export interface PageScope extends EventSource {
  document?: EventSource & { visibilityState?: string };
  navigator?: { onLine?: boolean };
}

/** The globals of this process, as far as they are those of a page. */
export function pageScope(): PageScope {
  return globalThis as unknown as PageScope;
}

/** True when the browser says that there is no network. It can be wrong, so dialing goes on, slowly. */
export function isOffline(scope: PageScope): boolean {
  return scope.navigator?.onLine === false;
}

/**
 * Tells when the page comes back: `online`, `pageshow`, or `visibilitychange` to visible (S23). Does nothing outside a
 * page. The returned function ends it.
 */
export function watchPage(scope: PageScope, hint: (hint: WakeHint) => void): () => void {
  const online = () => hint('online');
  const shown = () => {
    if (scope.document?.visibilityState !== 'hidden') hint('visible');
  };
  const watched: [EventSource | undefined, string, () => void][] = [
    [scope, 'online', online],
    [scope, 'pageshow', shown],
    [scope.document, 'visibilitychange', shown],
  ];
  const each = (step: 'addEventListener' | 'removeEventListener') => {
    for (const [source, type, listener] of watched) source?.[step]?.(type, listener);
  };
  each('addEventListener');
  return () => each('removeEventListener');
}
