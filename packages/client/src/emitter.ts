type Listener = (value: never) => void;

/** Listeners by event name. One that throws does not break what called it: its error surfaces as any uncaught one. */
export interface Emitter<Events extends object> {
  on<E extends keyof Events>(event: E, listener: (value: Events[E]) => void): () => void;
  off<E extends keyof Events>(event: E, listener: (value: Events[E]) => void): void;
  emit<E extends keyof Events>(event: E, value: Events[E]): void;
}

/** An emitter without listeners. */
export function makeEmitter<Events extends object>(): Emitter<Events> {
  const listeners: Partial<Record<keyof Events, Set<Listener>>> = {};
  const of = (event: keyof Events) => (listeners[event] ??= new Set());
  return {
    on(event, listener) {
      of(event).add(listener);
      return () => void of(event).delete(listener);
    },
    off: (event, listener) => void of(event).delete(listener),
    emit(event, value) {
      for (const listener of [...of(event)]) {
        try {
          listener(value as never);
        } catch (error) {
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    },
  };
}
