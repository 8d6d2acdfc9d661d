// The storage contract, version 1: the vStorage API.

// Facets
export type {
  CloneResult,
  ClonesFacet,
  CloneVolume,
  CreateOverlay,
  LayeringFacet,
  Lineage,
  LineageFacet,
  LineageSnapshot,
} from "./clones.ts";
export type {
  ChangedBlocksFacet,
  Checkpoint,
  DiscardFacet,
  EncryptionFacet,
  Extent,
  ImageFile,
  ImportExportFacet,
  ImportVolume,
  QosFacet,
  QosPolicy,
  ResizeFacet,
} from "./data-services.ts";
export type {
  EpochsFacet,
  GroupSnapshot,
  GroupSnapshotsFacet,
  MigrateFacet,
  ReplicateFacet,
  ReplicationStatus,
} from "./replication.ts";
export type { CreateSnapshot, Snapshot, SnapshotAttachment, SnapshotsFacet } from "./snapshots.ts";
export type { StorageFacets, StorageProvider } from "./storage-provider.ts";
export { storageProvider } from "./storage-provider.ts";
// Pools
export type {
  CapacityAlarm,
  HealthReason,
  PoolCapacity,
  PoolMetadataSpace,
  StorageAttributes,
  VolumeHealth,
} from "./pool.ts";
export { poolCapacity, storageAttributes, volumeHealth } from "./pool.ts";
// Volumes and attachments
export type {
  AccessMode,
  Attachment,
  AttachVolume,
  CreateVolume,
  Volume,
  VolumeSource,
  VolumeTransport,
} from "./volume.ts";
export { volume, volumeTransport } from "./volume.ts";
