// The plugin: a CSI driver as a storage provider
export { type CsiEndpoint, type CsiNode, type CsiStorageConfig, csiStorageConfig } from "./config.ts";
export { default } from "./plugin.ts";

// The same without a kernel
export { CsiStorageProvider } from "./provider/csi-storage-provider.ts";
export { type CsiStorage, type OpenCsiStorageOptions, openCsiStorage } from "./provider/open-csi-storage.ts";

// A storage provider as a CSI driver
export { type CsiServer, type ServeCsiNode, type ServeCsiOptions, serveCsi } from "./server/serve-csi.ts";
export {
  localPresenter,
  type Presented,
  type PresentVolume,
  type VolumePresenter,
} from "./server/volume-presenter.ts";
