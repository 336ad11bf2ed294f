import type { ConfigPort } from '@openclaw/server';

/** A configuration that is opened only after the gateway listens: who asks before waits that long. */
export function openingConfig(opened: Promise<ConfigPort>): ConfigPort {
  return {
    get: async () => (await opened).get(),
    schema: async () => (await opened).schema(),
    patch: async (edit) => (await opened).patch(edit),
    set: async (edit) => (await opened).set(edit),
  };
}
