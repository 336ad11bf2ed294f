import type { Config } from './config-schema.ts';

/** The configuration when there is no file; written out, so that a start without one need not load the schema. */
export const defaultConfig: Config = {
  auth: { mode: 'token' },
  tokens: {},
  http: { allowedOrigins: [], allowedHosts: [], trustedProxies: [] },
  limits: {},
  effects: {},
  openAi: {},
  uploads: {},
  retention: {},
  runs: {},
  log: { level: 'info' },
  metrics: true,
  agent: {},
};
