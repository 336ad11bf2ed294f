export { type StoreConformanceCase, storeConformance } from './streams/store-conformance.ts';
