export { type DeviceIdentityOptions, type DeviceStatus, deviceIdentity, type KeptDevice } from './identity.ts';
export { indexedDbDeviceStore } from './indexed-db-store.ts';
export {
  type DeviceRecord,
  type DeviceStore,
  localDeviceStore,
  memoryDeviceStore,
  type TextStorage,
} from './store.ts';
