export { type SqliteStoreOptions, sqliteStore } from './sqlite-store.ts';
export type { UpkeepLimits } from './upkeep.ts';
