import type { Timestamp } from "@vdc-os/core";
import type { AccessMode, Attachment, Snapshot, Volume, VolumeSource } from "@vdc-os/core/storage/v1";
import { Pace } from "./qos-facet.ts";
import { SparseLayer } from "./sparse-layer.ts";

/** A checkpoint of changed blocks. */
export interface Checkpoint {
  readonly id: string;
  readonly name: string;
  readonly createdAt: Timestamp;
  readonly dirty: Set<number>;
  /** Why what has changed can't be told any more. */
  broken?: string;
}

/** A snapshot, with its content. */
export interface SnapshotRecord {
  readonly snapshot: Omit<Snapshot, "exclusiveBytes">;
  readonly layer: SparseLayer;
  /** The hosts that it is attached to, to be read. */
  readonly readingHosts: Set<string>;
}

/** How a volume came to be: `create` is repeated only by the same. */
export interface VolumeOrigin {
  readonly operation: string;
  readonly spec: unknown;
}

/** A volume, as a pool keeps it. */
export interface VolumeRecord {
  readonly facts: Omit<Volume, "capacityBytes" | "allocatedBytes" | "exclusiveBytes" | "parent">;
  readonly origin: VolumeOrigin;
  capacityBytes: number;
  layer: SparseLayer;
  /** What it was made from. */
  source: VolumeSource | undefined;
  /** The volume whose blocks it reads, while it does. */
  linkedTo: string | undefined;
  /** Whether that was made by `layering`, which counts no references. */
  overlay: boolean;
  /** Deleted by its owner, and kept for its children. */
  tombstoned: boolean;
  attachment: Attachment | undefined;
  access: AccessMode;
  /** The highest generation that has been attached. */
  newest: number;
  /** Every generation up to this one is cut off. */
  revoked: number;
  readonly checkpoints: Map<string, Checkpoint>;
  readonly pace: Pace;
}

/** What a new volume is made of. */
export type NewVolume = Pick<VolumeRecord, "facts" | "origin" | "capacityBytes"> &
  Partial<Pick<VolumeRecord, "layer" | "source" | "linkedTo" | "overlay">>;

/** A record of a new volume. */
export function newVolumeRecord(volume: NewVolume): VolumeRecord {
  return {
    facts: volume.facts,
    origin: volume.origin,
    capacityBytes: volume.capacityBytes,
    layer: volume.layer ?? new SparseLayer(),
    source: volume.source,
    linkedTo: volume.linkedTo,
    overlay: volume.overlay ?? false,
    tombstoned: false,
    attachment: undefined,
    access: "readWrite",
    newest: 0,
    revoked: 0,
    checkpoints: new Map(),
    pace: new Pace(),
  };
}
