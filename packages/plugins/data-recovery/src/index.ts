// The plugin
export { type DataRecoveryConfig, dataRecoveryConfig } from "./config.ts";
export { default } from "./plugin.ts";

// Backup in the terms of a datacenter
export {
  type BackUpOptions,
  DatacenterRecovery,
  type RecoverableDatacenter,
  type RestoreDiskOptions,
  type VmBackup,
} from "./datacenter/datacenter-recovery.ts";

// The repository, for use without a kernel
export { DataRecoveryProvider } from "./data-recovery-provider.ts";
export { type OpenDataRecovery, openDataRecovery, type OpenDataRecoveryOptions } from "./open-data-recovery.ts";
export {
  type BlockDevice,
  openBlockDevice,
  type OpenDevice,
  type OpenDeviceOptions,
  type ZeroExtent,
} from "./source/block-device.ts";

// Retention
export { choosePoints } from "./retention/choose-points.ts";
