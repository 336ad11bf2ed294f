export { storeConformance, type StoreConformanceCase } from './streams/store-conformance.ts';
