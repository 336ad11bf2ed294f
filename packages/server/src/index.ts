export type * from './streams/event-store.ts';
