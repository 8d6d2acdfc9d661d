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
// Volumes and attachments
export type {
  AccessMode,
  Attachment,
  AttachVolume,
  CapacityAlarm,
  CreateVolume,
  PoolCapacity,
  Volume,
  VolumeHealth,
  VolumeSource,
  VolumeTransport,
} from "./volume.ts";
export { volume, volumeTransport } from "./volume.ts";
