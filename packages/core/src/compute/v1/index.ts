// The hypervisor contract, version 1: the vCompute API.

// Facets
export type {
  DirectPathFacet,
  EpochReport,
  GuestAgentFacet,
  HotAddFacet,
  HotChangeResult,
  NativeMigrationFacet,
  ReplicaFacet,
  SnapshotWithMemoryFacet,
  TemplatesFacet,
} from "./facets.ts";
export type {
  DiskCopyFacet,
  DiskMigration,
  DiskMigrationRef,
  DiskMigrationState,
  DiskResizeFacet,
  StorageMigrationFacet,
} from "./storage-migration.ts";
export type { ComputeFacets, Hypervisor } from "./hypervisor.ts";
export { hypervisor } from "./hypervisor.ts";
export type {
  BootSource,
  ComputeInventory,
  CreateVm,
  PowerState,
  Vm,
  VmDisk,
  VmNic,
  VmSpec,
  VmStatistics,
} from "./virtual-machine.ts";
// Virtual machines
export { vmSpec } from "./virtual-machine.ts";
